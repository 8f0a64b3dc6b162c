"""Update the policy on a validated round.

Reads   policy, rollouts, scores, segments, gains, the round's validation; the reference policy,
        where the recipe holds the new one near it; params.yaml `compute.training`, `rounds.<round>`
        and its recipe's `update`, `rollout.temperature` and `rollout.budget_tokens`.
Writes  the next policy; ledger, one row per rollout: what became of its tokens; metrics of the
        update, and of each step, to plot.
Method  An advantage per token by the recipe's objective (`stages.pure.objectives`, from outcome and
        the credit of segments, `stages.pure.credit`), then the recipe's loss over minibatches
        (`stages.engines.policy_loss`). Trained ids are the sampled ids; tokens put there by a
        cue or an environment are context, never targets. Checkpoints make a killed run go on, to the same bytes.

Example: python -m stages.update --round-id i1 --policy data/policies/r0 \
         --reference data/policies/r0 --rollouts data/rounds/i1/rollouts.parquet \
         --scores data/rounds/i1/scores.parquet --segments data/rounds/i1/segments.parquet \
         --gains data/rounds/i1/gains.parquet --validation data/rounds/i1/validation.json \
         --next-policy data/policies/i1 --ledger data/rounds/i1/ledger.parquet \
         --metrics data/metrics/updates/i1.json --steps data/metrics/curves/updates/i1.json \
         --code data/code/update.json
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stages.contracts.origin import Origin
from stages.contracts.params.base import Count, Positive
from stages.contracts.params.compute import Training
from stages.contracts.params.reading import read_section
from stages.contracts.params.recipes.update import Update
from stages.contracts.params.round import Round
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.ledger import LEDGER
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.verdict import Verdict
from stages.engines import ranks
from stages.engines.adapters import adapt
from stages.engines.computing import Precision, set_up
from stages.engines.policy import load_policy, save_policy
from stages.engines.policy_loss import Example, PolicyLoss
from stages.engines.trainer import Trainer, use_threads
from stages.pure import credit, objectives
from stages.pure.accounting import Status, credit_share, statuses, verdict_rates
from stages.pure.objectives import Parts, Segments, TokenParts
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput, command
from stages.running.facts import RunFacts
from stages.running.progress import Progress
from stages.running.publish import atomic, read_json, scratch, write_json

Columns = dict[str, list[Any]]


class Sampling(NamedTuple):
    """How the round was sampled, as far as its loss must know."""

    temperature: float
    budget_tokens: int


AVERAGED = (
    *("clip_frac", "kl_nats", "grad_norm", "reference_kl_nats"),
    *("importance_mean", "importance_ess_frac", "importance_clipped_frac"),
)


def main(
    round_id: str,
    policy: Path,
    reference: Path,
    rollouts: Path,
    scores: Path,
    segments: Path,
    gains: Path,
    validation: Path,
    next_policy: Path,
    ledger: Path,
    metrics: Path,
    steps: Path,
    code: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Make the next policy from one round."""
    entry: Round = read_section(params_file, f"rounds.{round_id}", Round)
    recipe = f"recipes.{entry.recipe}"
    settings: Update = read_section(params_file, f"{recipe}.update", Update)
    sampling = Sampling(
        read_section(params_file, f"{recipe}.rollout.temperature", Positive),
        read_section(params_file, f"{recipe}.rollout.budget_tokens", Count),
    )
    training: Training = read_section(params_file, "compute.training", Training)
    facts = RunFacts("update")
    if read_json(validation).get("success") is not True:
        raise BadInput(
            f"{validation} does not say success; run `dvc repro validate@{round_id}` and mend what it names"
        )
    sampled = read_table(rollouts, ROLLOUTS).to_pydict()
    rewards = floats(read_table(scores, SCORES, ["rollout_id", "reward"]).to_pydict()["reward"])
    cut = read_table(segments, SEGMENTS).to_pydict()
    gained = read_table(gains, GAINS, ["rollout_id", "segment_index", settings.gain]).to_pydict()
    known = known_segments(sampled, cut, gained, settings.gain)
    need_attempts(known, entry.recipe, settings.objective)
    parts = token_parts(sampled, rewards, known, settings, sampling.budget_tokens)
    examples, rows = assemble(sampled, rewards, parts, settings)
    if not examples:
        raise BadInput(
            f"{rollouts}: no rollout of {len(rows)} has anything to learn from (statuses {count_statuses(rows)}); "
            "raise num_problems or group_size, or choose easier problems"
        )
    use_threads()

    anchors = [reference] if settings.kl_coefficient else []
    unfinished_key = [entry.model_dump(), settings.model_dump(), sampling, training.of_a_run()]
    inputs = [code, policy, *anchors, rollouts, scores, segments, gains]
    with (
        ranks.processes("update", training.num_processes),
        scratch(scratch_root, f"update-{round_id}", unfinished_key, inputs) as unfinished,
    ):
        model = load_policy(policy)
        adapt(model, settings.lora, entry.seed, f"{recipe}.update.lora")
        set_up(model, training)
        trainer = Trainer(model, settings.optimizer)
        loss = load_loss(settings, sampling, training.precision, *anchors)
        with facts.phase("training"):
            train(trainer, loss, examples, settings, entry.seed, unfinished)
        ranks.gather(model)
        write_json(
            metrics, {**summary(rows, trainer.history), **composition(cut, known, parts, rows)}
        )
        write_json(steps, [{"step": step, **record} for step, record in enumerate(trainer.history)])
        write_table(ledger, LEDGER, rows)
        with atomic(next_policy) as beside:
            save_policy(model, Renderer.of_policy(policy), beside, policy)
    facts.count(num_tokens=sum(example.num_tokens for example in examples) * settings.epochs)
    facts.write(next_policy)


def floats(values: Sequence[float | None]) -> np.ndarray:
    """A column as float64, NaN for null."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def groups_of(sampled: Columns) -> np.ndarray:
    """Each rollout's group, by number: the rollouts of one problem."""
    return np.unique(sampled["problem_id"], return_inverse=True)[1]


def known_segments(sampled: Columns, cut: Columns, gained: Columns, gain: str) -> Segments:
    """The segments as arrays, each with its gain and the grades that its verdicts give."""
    row_of = {rollout_id: row for row, rollout_id in enumerate(sampled["rollout_id"])}
    rollout = np.array([row_of[rollout_id] for rollout_id in cut["rollout_id"]], dtype=int)
    gains = dict(
        zip(
            zip(gained["rollout_id"], gained["segment_index"], strict=True),
            gained[gain],
            strict=True,
        )
    )
    grades = floats(
        [None if verdict is None else Verdict(verdict).reward for verdict in cut["attempt_verdict"]]
    )
    claims = floats(cut["self_verdict"])
    return Segments(
        rollout=rollout,
        group=groups_of(sampled)[rollout],
        start_tokens=np.array(cut["start_token"], dtype=int),
        end_tokens=np.array(cut["end_token"], dtype=int),
        gain=floats(
            [gains.get(key) for key in zip(cut["rollout_id"], cut["segment_index"], strict=True)]
        ),
        is_attempt=np.array(
            [verdict is not None for verdict in cut["attempt_verdict"]], dtype=bool
        ),
        attempt_grade=grades,
        verdict_grade=np.where(np.isnan(claims) | np.isnan(grades), np.nan, claims == grades),
    )


def need_attempts(segments: Segments, recipe_name: str, objective: str) -> None:
    """Refuse an objective that grades attempts where nothing is known of any.

    Raises:
        BadInput: no segment has an attempt verdict.
    """
    if objective in ("process", "self_correction") and not segments.is_attempt.any():
        raise BadInput(
            f"recipe {recipe_name}: objective {objective} grades attempts, and none of {len(segments.rollout)} "
            "segment(s) has an attempt verdict; cut segments by marker on a task that marks its attempts, or choose "
            "another objective"
        )


def segment_parts(
    sampled: Columns, rewards: np.ndarray, segments: Segments, settings: Update, budget_tokens: int
) -> Parts:
    """Each segment's advantage by the recipe's objective."""
    groups, thinking = groups_of(sampled), np.array(sampled["num_thinking_tokens"])
    scale = partial(
        credit.group_scaled,
        baseline=settings.credit_baseline,
        normalize_by_std=settings.normalize_credit_by_std,
        std_epsilon=settings.std_epsilon,
    )
    penalty = settings.length_penalty
    paid = (
        credit.length_penalized(rewards, thinking, budget_tokens, penalty) if penalty else rewards
    )
    outcome = credit.group_normalized(paid, groups, settings.normalize_by_std, settings.std_epsilon)
    discount = _given(
        {"myopic": 0.0, "to_go": 1.0, "discounted": settings.credit_discount}[settings.credit]
    )
    match settings.objective:
        case "outcome":
            return objectives.outcome_only(outcome, segments, settings.alpha)
        case "information":
            return objectives.information(outcome, segments, settings.alpha, discount, scale)
        case "regret":
            per_token = _given(settings.credit_discount)
            return objectives.regret(outcome, segments, settings.alpha, per_token, discount, scale)
        case "process":
            return objectives.process(outcome, segments, settings.alpha, discount, scale)
        case "self_correction":
            if settings.correction_stage == 1:
                return objectives.correction_start(outcome, segments)
            return objectives.correction(outcome, rewards, groups, segments, settings.alpha, scale)
        case "offline":
            progress = objectives.progress_per_token(segments, thinking)
            is_kept = objectives.imitated(rewards, groups, progress, _given(settings.keep_frac))
            return objectives.imitation(is_kept, rewards, segments)


def token_parts(
    sampled: Columns, rewards: np.ndarray, segments: Segments, settings: Update, budget_tokens: int
) -> TokenParts:
    """What the objective gives to segments, laid on their tokens."""
    parts = segment_parts(sampled, rewards, segments, settings, budget_tokens)
    is_anchored = np.ones(len(segments.rollout), dtype=bool)
    if settings.correction_stage == 1:
        is_anchored = objectives.within_first_attempt(segments.is_attempt, segments.rollout)
    is_sampled = [np.array(origin) == Origin.SAMPLED for origin in sampled["token_origin"]]
    return objectives.on_tokens(parts, is_anchored, segments, is_sampled)


def assemble(
    sampled: Columns, rewards: np.ndarray, parts: TokenParts, settings: Update
) -> tuple[list[Example], list[dict[str, Any]]]:
    """The rollouts to train on, and the ledger of all of them."""
    advantages = [
        outcome + earned for outcome, earned in zip(parts.outcome, parts.credit, strict=True)
    ]
    is_filtered = credit.is_one_outcome(rewards, groups_of(sampled)) & (
        settings.filter_groups == "one_outcome"
    )
    is_zero = np.array([not values.any() for values in advantages])
    found = statuses(
        np.isnan(rewards),
        (np.array(sampled["finish_reason"]) == "length") & settings.mask_truncated,
        is_filtered,
        is_zero & (settings.kl_coefficient is None) & (settings.entropy_coefficient is None),
    )
    examples, rows = [], []
    for row, (status, is_target) in enumerate(zip(found, parts.is_target, strict=True)):
        num_sampled = int(is_target.sum())
        is_trained = status is Status.TRAINED
        if is_trained:
            prompt, tokens = sampled["prompt_tokens"][row], sampled["completion_tokens"][row]
            logprobs = np.array(sampled["sampler_logprobs"][row])
            examples.append(
                Example(
                    prompt, tokens, logprobs, advantages[row], is_target, parts.is_anchored[row]
                )
            )
        rows.append(
            {
                "rollout_id": sampled["rollout_id"][row],
                "problem_id": sampled["problem_id"][row],
                "status": status,
                "num_trained_tokens": num_sampled if is_trained else 0,
                "num_cue_tokens": sampled["token_origin"][row].count(Origin.CUE),
                "num_environment_tokens": sampled["token_origin"][row].count(Origin.ENVIRONMENT),
                "num_untrained_tokens": 0 if is_trained else num_sampled,
                "mean_advantage": float(advantages[row][is_target].mean()) if is_trained else 0.0,
            }
        )
    return examples, rows


def count_statuses(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Rollouts by status."""
    return {str(status): sum(row["status"] == status for row in rows) for status in Status}


def load_loss(
    settings: Update, sampling: Sampling, precision: Precision, reference: Path | None = None
) -> PolicyLoss:
    """The recipe's loss, and the policy that it holds the new one near."""
    held = None
    if reference is not None:
        held = load_policy(reference)
        ranks.share(held)
    return PolicyLoss(settings, sampling.temperature, sampling.budget_tokens, precision, held)


def train(
    trainer: Trainer,
    loss: PolicyLoss,
    examples: Sequence[Example],
    settings: Update,
    seed: int,
    unfinished: Path,
) -> None:
    """Take all optimizer steps that are left, keeping a checkpoint in `unfinished`."""
    prepared = loss.prepare(
        trainer.model, examples
    )  # of the parent policy: a checkpoint is further on
    steps = minibatches(len(examples), settings, seed)
    trainer.resume(unfinished)
    done = sum(map(len, steps[: trainer.num_steps]))
    with Progress("update", sum(map(len, steps)), unit="rollout", done=done) as progress:
        for rows in steps[trainer.num_steps :]:
            watched: dict[str, float] = {}
            batch = [prepared[row] for row in rows]
            record = trainer.step(loss.minibatch(trainer.model, batch, watched, progress.tokens))
            record.update(watched)
            trainer.save_at_times(unfinished)
            progress.add(len(rows))


def minibatches(num_examples: int, settings: Update, seed: int) -> list[list[int]]:
    """Example indices of each step: every example once an epoch, in an order drawn from the round's
    seed.
    """
    steps = []
    for epoch in range(settings.epochs):
        order = np.random.default_rng(derive_seed("minibatches", seed, epoch)).permutation(
            num_examples
        )
        steps += [
            part.tolist()
            for part in np.array_split(order, settings.minibatches_per_epoch)
            if len(part)
        ]
    return steps


def summary(rows: Sequence[dict[str, Any]], history: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Token counts by what became of them, and the course of the update; some is only watched under
    some recipes.
    """
    by_status = {
        status: sum(row["num_untrained_tokens"] for row in rows if row["status"] == status)
        for status in Status
    }
    by_status[Status.TRAINED] = sum(row["num_trained_tokens"] for row in rows)
    num_forced = sum(row["num_cue_tokens"] + row["num_environment_tokens"] for row in rows)
    first, last = history[0], history[-1]
    averages = {
        name: float(np.mean([record[name] for record in history]))
        for name in AVERAGED
        if name in first
    }
    return {
        "tokens": {**by_status, "forced": num_forced},
        "num_steps": len(history),
        "entropy_nats": {"first": first["entropy_nats"], "last": last["entropy_nats"]},
        "max_logprob_difference_nats": first["max_logprob_difference_nats"],
        "mean_logprob_difference_nats": first["mean_logprob_difference_nats"],
        **{f"mean_{name.removesuffix('_mean')}": value for name, value in averages.items()},
    }


def composition(
    cut: Columns, segments: Segments, parts: TokenParts, rows: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What was learnt from: credit's share of the trained tokens' advantages; how true the policy's
    verdicts are.
    """
    trained = [row for row, entry in enumerate(rows) if entry["status"] == Status.TRAINED]
    outcome, earned = (
        [part[row][parts.is_target[row]] for row in trained]
        for part in (parts.outcome, parts.credit)
    )
    return {
        "mean_credit_frac": credit_share(outcome, earned),
        "verdicts": verdict_rates(floats(cut["self_verdict"]), segments.attempt_grade)._asdict(),
    }


def _given(number: float | None) -> float:
    """A number that params.yaml cannot leave out where it is asked for."""
    assert number is not None
    return number


if __name__ == "__main__":
    command(main)
