"""A small random policy of Countdown, and looks at it."""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from fixtures.tasks import countdown_task
from stages.contracts.params.inits.model import ModelShape
from stages.contracts.render import Renderer
from stages.engines.new_policy import new_policy
from stages.tasks.formats import load_format

SHAPE = ModelShape(
    hidden_size=64, intermediate_size=24, num_layers=2, num_heads=2, max_positions=64
)
TASK = countdown_task()
FORM = load_format(TASK)
RENDERER = Renderer(FORM.tokenizer([]))
TOKENS = RENDERER.encode("<bos> 3 5 7 T36 : 7 + 5 12 12 * 3 36 = # 7 + 5 12")


def policy(seed: int = 1) -> PreTrainedModel:
    return new_policy(SHAPE, RENDERER, FORM.token_values, seed)


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([TOKENS])).logits


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
