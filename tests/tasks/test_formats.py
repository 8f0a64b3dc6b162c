"""Words as tokens: each has one, its number where it stands for one; the marks are the task's."""

import pytest

from fixtures.tasks import countdown_task, mathematics_task
from stages.contracts.params.task import ModularTask, ModularTier, TaskParams
from stages.contracts.render import Renderer
from stages.tasks.formats import CountdownFormat, ModularFormat, load_format
from stages.tasks.text_format import TextFormat

MODULAR = ModularTask(
    name="modular",
    seed=1,
    modulus=23,
    heldout_bucket=0,
    tiers=[ModularTier(num_factors=2, num_train=1, num_heldout=1, num_reserved=0)],
)
WORDS = {
    "countdown": ("<bos> 3 5 7 T36 : 7 + 5 12 12 * 3 36 = # 1 | >> <eos>", 99),
    "modular": ("<bos> 3 * 5 mod 23 : 11 != 15 = # 15 <eos>", 23),
}


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (countdown_task(), CountdownFormat),
        (MODULAR, ModularFormat),
        (mathematics_task(), TextFormat),
    ],
)
def test_each_task_has_its_format(task: TaskParams, kind: type) -> None:
    form = load_format(task)
    assert isinstance(form, kind)
    assert form.cue.startswith(form.thinking_end)
    assert set(form.self_verdicts) <= set(form.segment_ends)


@pytest.mark.parametrize("task", [countdown_task(), MODULAR], ids=lambda task: task.name)
def test_every_word_is_one_token_and_every_number_has_its_value(task: TaskParams) -> None:
    form = load_format(task)
    renderer = Renderer(form.tokenizer([]))
    text, largest = WORDS[task.name]
    assert renderer.words(renderer.encode(text)) == text.split()
    assert form.token_values[str(largest)] == largest
    assert str(largest + 1) not in form.token_values
    [unknown] = renderer.encode("<unk>")
    assert renderer.encode(str(largest + 1)) == [unknown]
