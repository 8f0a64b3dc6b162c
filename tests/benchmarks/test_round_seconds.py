"""Run facts of a small round, added up by hand."""

import json
from pathlib import Path

import pytest

from benchmarks.measuring import MEBIBYTE
from benchmarks.round_seconds import gap_seconds, main, read_runs, summary
from stages.running.errors import BadInput

START = 1_000_000.0


def leave(
    data: Path,
    out: str,
    stage: str,
    started_at: float,
    seconds: dict[str, float],
    memory_mib: int,
    **counts: float,
) -> None:
    """What a stage leaves beside `out`; `seconds` gives its total first."""
    file = data / f"{out}.run.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "stage": stage,
        "started_at": START + started_at,
        "ended_at": START + started_at + seconds["total"],
        "seconds": seconds,
        "counts": counts,
        "peak_memory_bytes": memory_mib * MEBIBYTE,
    }
    file.write_text(json.dumps(facts))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An init, a round and an exam: 2 s between stages, 1,000 s before the exam."""
    leave(
        tmp_path,
        "policies/r0",
        "sft",
        0,
        {"total": 50, "startup": 5, "training": 40},
        300,
        num_tokens=8000,
    )
    leave(
        tmp_path,
        "rounds/i1/rollouts",
        "rollout",
        52,
        {"total": 40, "startup": 20, "sampling": 16},
        2000,
        num_rollouts=8,
        num_tokens=800,
    )
    leave(tmp_path, "rounds/i1/scores", "score", 94, {"total": 3, "startup": 1, "judging": 2}, 100)
    leave(
        tmp_path,
        "rounds/i1/probes",
        "probe",
        99,
        {"total": 20, "startup": 9, "probing": 10},
        900,
        num_probes=30,
    )
    leave(
        tmp_path,
        "rounds/i1/validation",
        "validate",
        121,
        {"total": 9, "startup": 1, "framing": 1, "validating": 4, "documenting": 2},
        400,
    )
    leave(
        tmp_path,
        "policies/i1",
        "update",
        132,
        {"total": 30, "startup": 6, "training": 20},
        700,
        num_tokens=3000,
    )
    leave(
        tmp_path,
        "exams/i1/answers",
        "examine",
        1162,
        {"total": 30, "startup": 20, "sampling": 10},
        2100,
    )
    return tmp_path


def test_a_round_adds_up_by_hand(data: Path) -> None:
    report = summary(read_runs(data))
    assert report["parts"]["round i1"]["seconds"] == {
        "orchestration": 10,  # five stages, 2 s before each
        "startup": 37,
        "sampling": 16,
        "judging": 2,
        "probing": 10,
        "validation": 7,
        "training": 20,
        "other": 10,  # 4 + 0 + 1 + 1 + 4
        "total": 112,  # 10 + 40 + 3 + 20 + 9 + 30
    }


def test_parts_come_in_the_order_they_ran(data: Path) -> None:
    assert list(summary(read_runs(data))["parts"]) == ["init r0", "round i1", "exam i1"]


def test_rates_are_of_the_phase_that_the_tokens_went_through(data: Path) -> None:
    parts = summary(read_runs(data))["parts"]
    assert parts["init r0"]["tokens_per_second"] == {"training": 200}
    assert parts["round i1"]["tokens_per_second"] == {"sampling": 50, "training": 150}
    assert parts["exam i1"]["tokens_per_second"] == {}, "the exam counts no tokens"


def test_memory_is_the_most_of_a_stages_runs(data: Path) -> None:
    leave(
        data,
        "rounds/i2/rollouts",
        "rollout",
        1194,
        {"total": 60, "startup": 20, "sampling": 40},
        2500,
    )
    stages = summary(read_runs(data))["stages"]
    assert stages["rollout"] == {"num_runs": 2, "median_seconds": 50, "peak_memory_mib": 2500}
    assert stages["update"] == {"num_runs": 1, "median_seconds": 30, "peak_memory_mib": 700}


def test_a_pause_between_sittings_is_nobodys_second(data: Path) -> None:
    report = summary(read_runs(data))
    assert report["parts"]["exam i1"]["seconds"]["orchestration"] == 0
    assert report["num_pauses"] == 1
    assert report["elapsed_seconds"] == 192
    assert (
        sum(part["seconds"]["total"] for part in report["parts"].values())
        == report["elapsed_seconds"]
    )


def test_stages_at_the_same_time_have_no_gap() -> None:
    assert gap_seconds([0, 4, 12, 13], [10, 6, 14, 15]) == [0, 0, 2, 0]


def test_stages_outside_of_rounds_stand_for_themselves(tmp_path: Path) -> None:
    leave(tmp_path, "problems", "prepare", 0, {"total": 2, "startup": 1, "generating": 1}, 100)
    leave(tmp_path, "demos/r0", "demonstrate", 2, {"total": 2, "startup": 1, "generating": 1}, 100)
    leave(tmp_path, "report/report", "report", 4, {"total": 2, "startup": 1, "drawing": 1}, 100)
    assert [run.part for run in read_runs(tmp_path)] == ["prepare", "init r0", "report"]


def test_tables_for_people(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(data)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        *("seconds", "orchestration", "startup", "sampling", "judging", "probing"),
        *("validation", "training", "other", "total"),
    ]
    assert lines[2].split() == [
        "round",
        "i1",
        *["10.0", "37.0", "16.0", "2.0", "10.0", "7.0", "20.0", "10.0", "112.0"],
    ]
    assert lines[-1] == "192.0 s elapsed, 1 pause(s) left out"
    assert len({len(line) for line in lines[:5]}) == 1, "columns are aligned"


def test_json_for_programs(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(data, as_json=True)
    assert json.loads(capsys.readouterr().out) == summary(read_runs(data))


def test_nothing_to_read_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no run facts .* no stage has run here yet"):
        read_runs(tmp_path)
