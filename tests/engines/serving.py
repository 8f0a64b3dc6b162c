"""Real vLLM behind policies, beside the trainer's view of the same tokens.

It has a process to itself, for it binds the one it is in to cores.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from fixtures.checkouts import ROOT, succeed
from stages.pure.losses import token_logprobs

SERVE = """
import contextlib, dataclasses, json, sys
from pathlib import Path
from stages.engines.kept import kept_engines
from stages.engines.sampler import Request
from stages.engines.samplers.vllm import VllmSampler
sampled = []
with kept_engines() if sys.argv[4] == "kept" else contextlib.nullcontext():
    for policy, prompts in json.loads(sys.argv[1]):
        requests = [Request(tokens, int(sys.argv[3]), seed) for seed, tokens in enumerate(prompts)]
        sampled.append(VllmSampler(Path(policy)).sample(requests, 1.0, lambda _: None))
rows = [[dataclasses.asdict(one) for one in of_policy] for of_policy in sampled]
Path(sys.argv[2]).write_text(json.dumps(rows))
"""
Prompts = Sequence[Sequence[int]]


def served(
    policies: Sequence[tuple[Path, Prompts]],
    num_tokens: int,
    folder: Path,
    engines: Literal["fresh", "kept"] = "fresh",
) -> list[list[dict[str, Any]]]:
    """A completion of each prompt by each policy, one engine after the other; or by one kept."""
    order = json.dumps([(str(policy), prompts) for policy, prompts in policies])
    written = folder / "completions.json"
    command = [sys.executable, "-c", SERVE, order, str(written), str(num_tokens), engines]
    succeed(command, ROOT)
    completions: list[list[dict[str, Any]]] = json.loads(written.read_text())
    return completions


def difference_nats(
    model: PreTrainedModel, prompts: Prompts, completions: Sequence[dict[str, Any]]
) -> float:
    """Between a sampler's log-probabilities and the trainer's, the largest of all tokens."""
    largest = 0.0
    for prompt, completion in zip(prompts, completions, strict=True):
        tokens = torch.tensor([[*prompt, *completion["tokens"]]])
        with torch.no_grad():
            logprobs = token_logprobs(model(input_ids=tokens[:, :-1]).logits, tokens[:, 1:])[
                0, len(prompt) - 1 :
            ]
        largest = max(largest, (logprobs - torch.tensor(completion["logprobs"])).abs().max().item())
    return largest
