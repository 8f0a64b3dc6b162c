"""Data Docs: one HTML page a table, as Great Expectations renders it, and one that lists them."""

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.running.publish import atomic
from stages.validate.refusal import broken_expectations, explain
from stages.validate.suites import ExpectationResult

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
    )

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;
color:#222;background:#fff}
table{border-collapse:collapse;margin:.3rem 0 1rem;width:100%}
th,td{border-bottom:1px solid #ddd;padding:.35rem .6rem;text-align:left;vertical-align:top}
th{color:#666;font-weight:600}
h1,h5{margin:1.2rem 0 .3rem}
h5{font-size:1.05rem}
[id$=subheader] *{font-size:1rem;font-weight:400;color:#666;margin:0}
.badge{background:#eef;border-radius:.3rem;padding:0 .35rem;font-family:monospace}
.text-danger{color:#b00020}
.text-success{color:#0a7a2f}
.fa-check-circle::before{content:"\\2713  holds"}
.fa-times::before{content:"\\2717  broken"}
i{font-style:normal;white-space:nowrap}
a{color:#0b57d0}
"""


def write_docs(
    docs: Path,
    round_id: str,
    results: "Mapping[str, ExpectationSuiteValidationResult]",
    results_by_table: Mapping[str, Sequence[ExpectationResult]],
    num_rows: Mapping[str, int],
) -> None:
    """Write one page a table, as Great Expectations renders it, then index.html.

    No page loads anything.
    """
    docs.mkdir(parents=True, exist_ok=True)
    home = '<p><a href="index.html">all tables</a></p>'
    for name, result in results.items():
        notes = {outcome.column: outcome.notes for outcome in results_by_table[name]}
        _write_page(
            docs / f"{name}.html", f"Round {round_id}: {name}", [home, *_sections(result, notes)]
        )
    rows = [
        f'<tr><td><a href="{name}.html">{name}</a></td><td>{num_rows[name]}</td>'
        f"<td>{len(results_by_table[name])}</td>"
        f"<td>{sum(not outcome.success for outcome in results_by_table[name])}</td></tr>"
        for name in results
    ]
    broken = [
        f'<li class="text-danger">{html.escape(explain(name, outcome, num_rows[name]))}</li>'
        for name, outcome in broken_expectations(results_by_table)
    ]
    head = "<tr><th>table</th><th>rows</th><th>expectations</th><th>broken</th></tr>"
    body = ["<table>", head, *rows, "</table>", "<ul>", *broken, "</ul>"]
    _write_page(docs / "index.html", f"Round {round_id}: are its tables fit to train on?", body)


def _sections(
    result: "ExpectationSuiteValidationResult", notes: Mapping[str, str]
) -> Iterator[str]:
    """One HTML section a column.

    The page around them is our own: theirs loads its looks from the network.
    """
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    _overview, *sections = ValidationResultsPageRenderer().render(result).sections
    view = DefaultJinjaSectionView()
    for index, section in enumerate(sections):
        section.content_blocks[0].subheader = html.escape(notes[section.section_name])
        yield view.render({"section": section.to_json_dict(), "section_loop": {"index": index}})


def _write_page(path: Path, title: str, body: Sequence[str]) -> None:
    head = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
    head += f"<title>{html.escape(title)}</title>"
    page = [
        head,
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>",
        *body,
        "</body></html>",
    ]
    with atomic(path) as beside:
        beside.write_text("\n".join(page), encoding="utf-8")
