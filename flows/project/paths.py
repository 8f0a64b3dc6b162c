"""Where the flows find the checkout's own files, relative to the repository's root."""

from pathlib import Path

PARAMS = Path("params.yaml")
GRAPH = Path("dvc.yaml")
LOCK = Path("dvc.lock")
DATA = Path("data")
SCRATCH = DATA / ".scratch"
"""Unfinished work, logs and locks: git ignores it, and `make clean` deletes it."""
POLICIES = DATA / "policies"
REPORT = DATA / "report" / "report.html"
EXAMS = DATA / "metrics" / "exams"
