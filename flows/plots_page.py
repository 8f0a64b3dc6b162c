"""Write the page `dvc plots` fills, with the drawing library inside it: plots then open offline.

Example: python -m flows.plots_page .dvc/plots.html
"""

import sys
from pathlib import Path

import vl_convert

VEGA_LITE = "5.20"  # DVC's own templates are of this major version
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>Knowhow: DVC plots</title>
<style>table { border-spacing: 15px }</style>
<script>(() => { %s })();</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def page() -> str:
    """The page; DVC replaces what stands in braces."""
    script = "window.vegaEmbed = vegaEmbed;"
    return PAGE.replace("%s", vl_convert.javascript_bundle(script, vl_version=VEGA_LITE))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
