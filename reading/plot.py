"""Success at every boundary of a rollout as a small line, drawn by Vega-Lite as SVG."""

from functools import lru_cache

import vl_convert
from markupsafe import Markup

WIDTH, HEIGHT = 240, 70
AXIS = {"labelColor": "currentColor", "titleColor": "currentColor", "gridColor": "#8884"}


@lru_cache(maxsize=512)
def curve(successes: tuple[float | None, ...]) -> Markup:
    """The line of success J by boundary, from 0 to 1; a gap where it is not known."""
    values = [{"boundary": index, "J": success} for index, success in enumerate(successes)]
    boundaries = {"labelAngle": 0, "title": "boundary"}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": WIDTH,
        "height": HEIGHT,
        "background": None,
        "data": {"values": values},
        "mark": {"type": "line", "point": {"color": "currentColor"}, "color": "currentColor"},
        "encoding": {
            "x": {"field": "boundary", "type": "ordinal", "axis": boundaries},
            "y": {"field": "J", "type": "quantitative", "scale": {"domain": [0, 1]}},
        },
        "config": {"axis": AXIS, "axisY": {"values": [0, 0.5, 1]}, "view": {"stroke": None}},
    }
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return Markup(drawn)  # noqa: S704  # of numbers alone


def warm_up() -> None:
    """Draw one, since the first takes seconds."""
    curve((0.0, 1.0))
