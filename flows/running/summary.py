"""How training goes, as far as it is measured: the step `summarize` on the metrics there are."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.project import programs
from flows.project.paths import DATA

SUMMARIZER = "stages.summarize"
METRICS = DATA / "metrics"
SCORED = METRICS / "summary" / "rounds"
COMPARISONS = DATA / "report" / "comparisons.json"


class NoSummary(Exception):
    """Metrics or params.yaml are spoilt, or were written at this moment; says which."""


def summarize() -> dict[str, Any]:
    """Policies, rounds and findings of what is measured so far; no file of the checkout is written.

    Raises:
        NoSummary: the step ended with an error.
    """
    with TemporaryDirectory() as folder:
        written = {name: Path(folder, name) for name in ("summary", "success", "rounds", "steps")}
        words = [f"--{name}={path}" for name, path in written.items()]
        try:
            programs.output_of(
                SUMMARIZER,
                f"--metrics-dir={METRICS}",
                f"--comparisons={COMPARISONS}",
                "--only-measured",
                *words,
            )
        except programs.ProgramFailed as failed:
            raise NoSummary(failed.error or failed.last_line) from None
        summary: dict[str, Any] = json.loads(written["summary"].read_text(encoding="utf-8"))
        return summary
