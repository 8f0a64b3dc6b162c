"""The gate's process: it answers by our own code, or its end is an answer about the round."""

from pathlib import Path

import pytest

from lineage.proof.gate import process
from lineage.proof.gate.process import Gate
from lineage.record.errors import AuditError


def request(folder: Path) -> dict[str, str]:
    """A round of which nothing is there."""
    tables = ("problems", "rollouts", "scores", "segments", "probes", "gains")
    paths = {name: str(folder / name) for name in (*tables, "text_format", "policy")}
    return {"round_id": "i1", "params_file": str(folder / "params.yaml"), **paths}


def test_the_code_of_the_repository_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Gate() as gate:
        reply = gate.ask(request(tmp_path))
    assert "params.yaml is missing" in reply["unread"]
    assert not (tmp_path / "ran").exists()


def test_its_end_is_an_answer_and_the_next_round_is_asked(tmp_path: Path) -> None:
    with Gate() as gate:
        (broken,) = gate.ask({})["broken"]
        assert "the gate ended with 1: KeyError" in broken["message"]
        assert gate.ask(request(tmp_path))["unread"]


def test_without_its_packages_the_question_cannot_be_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PROGRAM", "stages.validate.not_there")
    with Gate() as gate, pytest.raises(AuditError, match="--no-gate"):
        gate.ask(request(tmp_path))
