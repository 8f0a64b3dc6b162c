"""An adapter: what is refused."""

from pathlib import Path
from typing import Any

from tests.contracts.params.mistakes import (
    Edit,
    Mistake,
    Raw,
    assert_refused,
    chat_task,
    each_mistake,
)

LORA = {"rank": 8, "alpha": 16, "target_modules": ["q_proj"]}


def lora(**changes: Any) -> Edit:
    """An adapter of a checkpoint."""

    def edit(content: Raw) -> None:
        chat_task(content)
        content["inits"]["r0"]["sft"]["lora"] = {**LORA, **changes}

    return edit


MISTAKES: list[Mistake] = [
    ("rank_that_vllm_does_not_serve", [lora(rank=513)], ["sft.lora.rank", "equal to 512"]),
    ("no_module", [lora(target_modules=[])], ["sft.lora.target_modules", "at least 1"]),
    ("no_scale", [lora(alpha=0)], ["sft.lora.alpha", "equal to 1"]),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)
