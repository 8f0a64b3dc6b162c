"""A stored round judged again: what differs is counted, and told with intervals."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checkouts import PROFILES
from fixtures.rows import row
from fixtures.tasks import countdown_task
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.tasks.rows import problem_row
from stages.tasks.task import Problem
from stages.verifiers.second_look import FINDING, Judged, look, main, stored, text, wilson

PROBLEM = Problem("p", "train", 3, "", "", {"numbers": [3, 5, 7], "target": 36}, 0)
RIGHT, WRONG = "7 + 5 12 12 * 3 36", "7 + 5 12 12 * 3 37"


def judged(*answers: tuple[str, Verdict]) -> list[Judged]:
    """Stored answers to one problem."""
    return [
        Judged(f"i1/p/{index}", PROBLEM, answer, verdict)
        for index, (answer, verdict) in enumerate(answers)
    ]


def test_a_round_that_was_judged_well_has_nothing_to_tell() -> None:
    round_ = judged((RIGHT, Verdict.CORRECT), (WRONG, Verdict.INCORRECT), ("", Verdict.UNPARSABLE))
    looked = look(countdown_task(), round_, num_perturbed=10)
    assert looked["num_answers"] == 3
    assert looked["again"]["num"] == looked["second"]["num"] == 0
    assert looked["same"]["spacing"]["num"] == 1
    assert all(line["num"] == 0 and line["of"] for line in looked["wrong"].values())
    assert {"empty", "truncated", "swapped digits", "words behind"} <= looked["wrong"].keys()


def test_a_false_verdict_is_told_with_its_first_offender() -> None:
    round_ = judged((RIGHT, Verdict.INCORRECT), (RIGHT, Verdict.CORRECT))
    looked = look(countdown_task(), round_, num_perturbed=0)
    for way in ("again", "second"):
        assert (looked[way]["num"], looked[way]["of"]) == (1, 2)
        assert looked[way]["kinds"] == {"incorrect -> correct": 1}
        assert looked[way]["first"][0]["rollout_id"] == "i1/p/0"
    told = text({"round": "i1", "second_is": "another", **looked})
    assert "incorrect -> correct" in told
    assert "i1/p/0" in told
    json.dumps(looked, allow_nan=False)


def write_round(data: Path, *verdicts: Verdict) -> None:
    """A round of right answers to one problem, judged so."""
    write_table(data / "problems.parquet", PROBLEMS, [problem_row("countdown", PROBLEM)])
    folder = data / "rounds/i1"
    names = [f"i1/p/{index}" for index in range(len(verdicts))]
    asked = [
        row(ROLLOUTS, rollout_id=name, problem_id="p", sample_index=index)
        for index, name in enumerate(names)
    ]
    write_table(folder / "rollouts.parquet", ROLLOUTS, asked)
    said = [
        row(SCORES, rollout_id=name, verdict=verdict, answer=RIGHT, reward=verdict.reward)
        for name, verdict in zip(names, verdicts, strict=True)
    ]
    write_table(folder / "scores.parquet", SCORES, said)


def test_a_stored_round_is_read_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_round(tmp_path, Verdict.CORRECT, Verdict.CORRECT)
    main("i1", tmp_path, PROFILES / "tiny.yaml", num_perturbed=1, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdicts"] == {"correct": 2}
    assert answer["second_is"].startswith("its steps")
    write_round(tmp_path, Verdict.CORRECT, Verdict.INCORRECT)
    with pytest.raises(SystemExit) as ended:
        main("i1", tmp_path, PROFILES / "tiny.yaml", num_perturbed=1)
    assert ended.value.code == FINDING
    assert "1 incorrect -> correct" in capsys.readouterr().out


def test_a_round_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="dvc repro score@i9"):
        stored(tmp_path, "i9")


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_rate(case: tuple[int, int]) -> None:
    num, num_of = case
    low, high = wilson(num, num_of)
    assert 0 <= low <= num / num_of + 1e-12
    assert num / num_of - 1e-12 <= high <= 1
    mirrored = wilson(num_of - num, num_of)
    assert (1 - high, 1 - low) == pytest.approx(mirrored)


def test_an_interval_by_hand() -> None:
    assert wilson(0, 10) == pytest.approx((0, 0.27753), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-4)
    assert wilson(0, 0) == (0, 1)
