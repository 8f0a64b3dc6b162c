"""Golden values of every policy loss, in `losses.json`: plain loops, no torch, no `stages`.

The policy is a table: row a holds the logits of what follows token a. Gradients are complex steps
(Squire and Trapp, SIAM Review 40, 1998): Im f(w + ih) / h is f′(w) to rounding, since nothing is
subtracted. What an equation holds constant takes the real part; a bound is chosen by real parts.

Write anew: python -m tests.golden.losses
"""

import cmath
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FILE = Path(__file__).with_suffix(".json")
VOCABULARY, TEMPERATURE, BUDGET_TOKENS = 5, 0.8, 6
CLIP_LOW, CLIP_HIGH = 0.2, 0.28
STEP = 1e-30
CORRECTIONS = {"truncate": {"kind": "truncate", "cap": 1.3}, "mask": {"kind": "mask", "cap": 1.3}}
CASES: dict[str, dict[str, Any]] = {
    **{loss: {"loss": loss} for loss in ("grpo", "dr_grpo", "dapo", "gspo", "cispo")},
    **{
        f"{loss}_offline": {"loss": loss, "objective": "offline"}
        for loss in ("grpo", "dr_grpo", "dapo")
    },
    **{
        f"{loss}_kl": {"loss": loss, "kl_coefficient": 0.3}
        for loss in ("grpo", "dr_grpo", "dapo", "gspo", "cispo")
    },
    **{f"{loss}_entropy": {"loss": loss, "entropy_coefficient": 0.2} for loss in ("grpo", "dapo")},
    **{
        f"{loss}_{kind}": {"loss": loss, "importance_correction": correction}
        for loss in ("grpo", "dr_grpo", "dapo", "gspo", "cispo")
        for kind, correction in CORRECTIONS.items()
    },
    "grpo_all": {
        "loss": "grpo",
        "kl_coefficient": 0.3,
        "entropy_coefficient": 0.2,
        "importance_correction": CORRECTIONS["truncate"],
    },
}


class Token(NamedTuple):
    """A target token: where it stands, and what is known of it."""

    rollout: int
    before: int
    token: int
    sampler: float
    advantage: float
    is_anchored: bool


def draw() -> dict[str, Any]:
    """Four rollouts around a policy that has moved: forced tokens, one token, nothing to learn."""
    rng = np.random.default_rng(5)
    start = rng.normal(size=(VOCABULARY, VOCABULARY)).round(3)
    drawn: dict[str, Any] = {
        "start": start.tolist(),
        "policy": (start + rng.normal(scale=0.25, size=start.shape)).round(3).tolist(),
        "reference": (start + rng.normal(scale=0.5, size=start.shape)).round(3).tolist(),
        "rollouts": [],
    }
    for num_prompt, num_completion, forced in ((2, 6, [3]), (1, 4, []), (3, 1, []), (2, 2, [0, 1])):
        prompt, completion = (
            rng.integers(VOCABULARY, size=n).tolist() for n in (num_prompt, num_completion)
        )
        before = [prompt[-1], *completion[:-1]]
        logprobs = [
            log_softmax(drawn["start"][a])[b].real for a, b in zip(before, completion, strict=True)
        ]
        drawn["rollouts"].append(
            {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "sampler_logprobs": (
                    np.array(logprobs) + rng.normal(scale=0.3, size=num_completion)
                )
                .round(3)
                .tolist(),
                "advantages": rng.normal(size=num_completion).round(3).tolist(),
                "is_target": [index not in forced for index in range(num_completion)],
                "is_anchored": [index != 1 for index in range(num_completion)],
            }
        )
    return drawn


def log_softmax(logits: Sequence[complex]) -> list[complex]:
    """Of the logits divided by the temperature."""
    scaled = [value / TEMPERATURE for value in logits]
    total = cmath.log(sum(cmath.exp(value) for value in scaled))
    return [value - total for value in scaled]


def targets(rollouts: Sequence[Mapping[str, Any]]) -> Iterator[Token]:
    """The target tokens of all rollouts."""
    for index, rollout in enumerate(rollouts):
        tokens = [*rollout["prompt_tokens"], *rollout["completion_tokens"]]
        for at in range(len(rollout["completion_tokens"])):
            if rollout["is_target"][at]:
                place = len(rollout["prompt_tokens"]) + at
                known = (
                    rollout[name][at] for name in ("sampler_logprobs", "advantages", "is_anchored")
                )
                yield Token(index, tokens[place - 1], tokens[place], *known)


def bounded(value: complex, low: float, high: float) -> complex:
    """The nearest number from `low` to `high`."""
    return low if value.real < low else high if value.real > high else value


def correction_of(raw: float, correction: Mapping[str, Any] | None) -> float:
    """A token's importance weight, from its ratio before the first step."""
    if correction is None:
        return 1.0
    if correction["kind"] == "truncate":
        return min(raw, correction["cap"])
    return raw if 1 / correction["cap"] <= raw <= correction["cap"] else 0.0


def weight(loss: str, num_targets: Sequence[int], rollout: int) -> float:
    """What a token of a rollout counts for."""
    if loss in ("grpo", "gspo"):
        return 1 / num_targets[rollout] / len(num_targets)
    if loss == "dr_grpo":
        return 1 / (len(num_targets) * BUDGET_TOKENS)
    return 1 / sum(num_targets)


def objective_of(
    case: Mapping[str, Any], gain: float, logprob: complex, ratio: complex
) -> tuple[complex, bool]:
    """What is maximised at a token, and whether it is clipped."""
    inside = bounded(ratio, 1 - CLIP_LOW, 1 + CLIP_HIGH)
    if case.get("objective") == "offline":
        return gain * logprob, False
    if case["loss"] == "cispo":
        return inside.real * gain * logprob, inside.real != ratio.real
    is_clipped = (inside * gain).real < (ratio * gain).real
    return (inside if is_clipped else ratio) * gain, is_clipped


def ratios_of(loss: str, tokens: Sequence[Token], log_ratios: Sequence[complex]) -> list[complex]:
    """Each token's ratio, in `gspo` its sequence's with the gradient of the token's own."""
    ratios = [cmath.exp(value) for value in log_ratios]
    if loss != "gspo":
        return ratios
    for index, t in enumerate(tokens):
        of_rollout = [
            value.real
            for other, value in zip(tokens, log_ratios, strict=True)
            if other.rollout == t.rollout
        ]
        ratios[index] *= math.exp(sum(of_rollout) / len(of_rollout)) / ratios[index].real
    return ratios


def loss_and_watched(
    policy: Sequence[Sequence[complex]], case: Mapping[str, Any], drawn: Mapping[str, Any]
) -> tuple[complex, dict[str, float]]:
    """The loss of the four rollouts as one minibatch, and what is watched beside it."""
    correction, tokens = case.get("importance_correction"), list(targets(drawn["rollouts"]))
    after, start, reference = (
        [log_softmax(row) for row in t] for t in (policy, drawn["start"], drawn["reference"])
    )
    logprobs = [after[t.before][t.token] for t in tokens]
    raw = [math.exp(start[t.before][t.token].real - t.sampler) for t in tokens]
    behaviour = [start[t.before][t.token].real if correction else t.sampler for t in tokens]
    ratios = ratios_of(
        case["loss"], tokens, [p - b for p, b in zip(logprobs, behaviour, strict=True)]
    )
    gaps = [
        reference[t.before][t.token].real - p if t.is_anchored else 0j
        for t, p in zip(tokens, logprobs, strict=True)
    ]
    drawn_from = [cmath.exp(p - b) for p, b in zip(logprobs, behaviour, strict=True)]
    anchors = [
        ratio * (cmath.exp(gap) - 1 - gap) for ratio, gap in zip(drawn_from, gaps, strict=True)
    ]
    spreads = [-sum(cmath.exp(value) * value for value in after[t.before]) for t in tokens]
    gains = [correction_of(w, correction) * t.advantage for w, t in zip(raw, tokens, strict=True)]
    objectives, are_clipped = zip(
        *map(objective_of, [case] * len(tokens), gains, logprobs, ratios), strict=True
    )
    num_targets = [
        sum(t.rollout == index for t in tokens) for index in range(len(drawn["rollouts"]))
    ]
    loss = -case.get("entropy_coefficient", 0) * sum(spreads) / len(tokens)
    for t, objective, anchor in zip(tokens, objectives, anchors, strict=True):
        loss += weight(case["loss"], num_targets, t.rollout) * (
            case.get("kl_coefficient", 0) * anchor - objective
        )
    drifts = [p.real - t.sampler for p, t in zip(logprobs, tokens, strict=True)]
    watched = {
        "clip_frac": sum(are_clipped) / len(tokens),
        "mean_ratio": sum(ratio.real for ratio in ratios) / len(tokens),
        "kl_nats": sum(math.exp(drift) - 1 - drift for drift in drifts) / len(tokens),
        "entropy_nats": sum(spread.real for spread in spreads) / len(tokens),
        "max_logprob_difference_nats": max(map(abs, drifts)),
        "mean_logprob_difference_nats": sum(map(abs, drifts)) / len(tokens),
    }
    if "kl_coefficient" in case:
        watched["reference_kl_nats"] = sum(a.real for a in anchors) / sum(
            t.is_anchored for t in tokens
        )
    return loss, watched | (importance_watched(raw, correction) if correction else {})


def importance_watched(raw: Sequence[float], correction: Mapping[str, Any]) -> dict[str, float]:
    """Of the weights before the cap."""
    lower = 1 / correction["cap"] if correction["kind"] == "mask" else 0.0
    return {
        "importance_mean": sum(raw) / len(raw),
        "importance_ess_frac": sum(raw) ** 2 / sum(w * w for w in raw) / len(raw),
        "importance_clipped_frac": sum(not lower <= w <= correction["cap"] for w in raw) / len(raw),
    }


def gradient(case: Mapping[str, Any], drawn: Mapping[str, Any]) -> list[list[float]]:
    """Of the loss over the policy's table."""
    derivatives = np.zeros((VOCABULARY, VOCABULARY))
    for place in np.ndindex(*derivatives.shape):
        moved = np.array(drawn["policy"], dtype=complex)
        moved[place] += 1j * STEP
        derivatives[place] = loss_and_watched(moved.tolist(), case, drawn)[0].imag / STEP
    return derivatives.tolist()


def golden() -> dict[str, Any]:
    """Inputs, and for each case its settings, value, gradient and what is watched."""
    drawn, cases = draw(), {}
    for name, case in CASES.items():
        value, watched = loss_and_watched(drawn["policy"], case, drawn)
        content = {
            "value": complex(value).real,
            "gradient": gradient(case, drawn),
            "watched": watched,
        }
        cases[name] = {"settings": case, **content}
    constants = {"temperature": TEMPERATURE, "budget_tokens": BUDGET_TOKENS}
    return {
        "inputs": {**constants, "clip_low": CLIP_LOW, "clip_high": CLIP_HIGH, **drawn},
        "cases": cases,
    }


if __name__ == "__main__":
    content = golden()
    lines = [f' "{name}": {json.dumps(case)}' for name, case in content["cases"].items()]
    text = (
        f'{{"inputs": {json.dumps(content["inputs"])},\n"cases": {{\n'
        + ",\n".join(lines)
        + "\n}}\n"
    )
    FILE.write_text(text, encoding="utf-8")
