"""What back-propagates: what is refused, and what an unfinished run may change."""

from pathlib import Path

from stages.contracts.params.compute.training import Training
from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    ("precision", [put("compute.training.precision", "float16")], ["precision", "'bfloat16'"]),
    ("no_process", [put("compute.training.num_processes", 0)], ["num_processes", "equal to 1"]),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)


def test_an_unfinished_run_may_go_on_with_other_processes() -> None:
    one, four = (
        Training(precision="float32", gradient_checkpointing=False, num_processes=count)
        for count in (1, 4)
    )
    assert one.of_a_run() == four.of_a_run()
    other = one.model_copy(update={"precision": "bfloat16"})
    assert one.of_a_run() != other.of_a_run()
