"""Real vLLM behind policies, beside the trainer's view of the same tokens.

It has a process to itself, for it binds the one it is in to cores.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from fixtures.checkouts import ROOT, succeed
from stages.pure.losses import token_logprobs

SERVE = """
import dataclasses, json, sys
from pathlib import Path
from stages.engines.sampler import Request
from stages.engines.samplers.vllm import VllmSampler
sampled = []
for policy, prompts in json.loads(sys.argv[1]):
    requests = [Request(tokens, int(sys.argv[3]), seed) for seed, tokens in enumerate(prompts)]
    sampled.append(VllmSampler(Path(policy)).sample(requests, 1.0, lambda _: None))
rows = [[dataclasses.asdict(one) for one in of_policy] for of_policy in sampled]
Path(sys.argv[2]).write_text(json.dumps(rows))
"""
Prompts = Sequence[Sequence[int]]


def served(
    policies: Sequence[tuple[Path, Prompts]], num_tokens: int, folder: Path
) -> list[list[dict[str, Any]]]:
    """A completion of each prompt by each policy, one engine after the other."""
    order = json.dumps([(str(policy), prompts) for policy, prompts in policies])
    succeed(
        [sys.executable, "-c", SERVE, order, str(folder / "completions.json"), str(num_tokens)],
        ROOT,
    )
    completions: list[list[dict[str, Any]]] = json.loads((folder / "completions.json").read_text())
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
