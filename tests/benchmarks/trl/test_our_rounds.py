"""Our side trains on the rollouts that lie in its folder."""

from pathlib import Path

from benchmarks.trl.our_rounds import examples_of
from benchmarks.trl.their_rounds import column, reward
from fixtures.rows import row
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.rollouts import ROLLOUTS


def test_a_grade_becomes_an_advantage_in_its_group(tmp_path: Path) -> None:
    rows = []
    for number in range(4):
        problem, index = divmod(number, 2)
        place = {"problem_id": str(problem), "sample_index": index}
        rows.append(row(ROLLOUTS, **place, completion_tokens=[7, 3, index], cue=range(1, 2)))
    write_table(tmp_path / "rollouts.parquet", ROLLOUTS, rows)
    assert [reward(made["completion_tokens"]) for made in rows] == [1.0, 0.0, 1.0, 0.0]
    examples = examples_of(tmp_path)
    assert [example.advantages.tolist() for example in examples[:2]] == [[0.5] * 3, [-0.5] * 3]
    assert examples[0].is_target.tolist() == [True, False, True]


def test_a_figure_of_each_step() -> None:
    assert column([{"loss": 1}, {"loss": 2.5}], "loss") == [1.0, 2.5]
