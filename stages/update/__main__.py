"""Update the policy on a validated round.

Reads   policy, rollouts, scores, segments, gains, the round's validation; the reference policy,
        where the recipe holds the new one near it; params.yaml `compute.training`, `rounds.<round>`
        and its recipe's `update`, `rollout.temperature` and `rollout.budget_tokens`.
Writes  the next policy; ledger, one row per rollout: what became of its tokens; advantages, one
        row per segment: what its tokens were trained with; metrics of the update, and of each step;
        summary, the few of them that are read first.
Method  An advantage per token by the recipe's objective (`stages.update.advantage` names the
        formula of each, in `stages.pure.objectives`), then the recipe's loss over minibatches
        (`stages.engines.training.policy_loss`). Trained ids are the sampled ids; what a cue or
        an environment put there is context, never a target. Checkpoints make a killed run go on, to
        the same bytes.

Example: python -m stages.update --round-id i1 --policy data/policies/r0 \
         --reference data/policies/r0 --rollouts data/rounds/i1/rollouts.parquet \
         --scores data/rounds/i1/scores.parquet --segments data/rounds/i1/segments.parquet \
         --gains data/rounds/i1/gains.parquet --validation data/rounds/i1/validation.json \
         --next-policy data/policies/i1 --ledger data/rounds/i1/ledger.parquet \
         --advantages data/rounds/i1/advantages.parquet \
         --metrics data/metrics/updates/i1.json --steps data/metrics/curves/updates/i1.json \
         --summary data/metrics/summary/updates/i1.json --code data/code/update.json
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedModel

from stages.contracts.params.base import Count, Positive, read_section
from stages.contracts.params.compute.training import Training
from stages.contracts.params.recipes.update import Limits, Update
from stages.contracts.params.round import Round
from stages.contracts.render import Renderer
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.ledger import LEDGER
from stages.engines.adapters import adapt
from stages.engines.computing import use_threads
from stages.engines.policy import load_policy, save_policy
from stages.engines.training import ranks
from stages.engines.training.example import Example
from stages.engines.training.trainer import Trainer, set_up
from stages.pure.objectives.tokens import TokenAdvantages
from stages.running.errors import BadInput, command
from stages.running.publish import RunFacts, atomic, read_json, write_json
from stages.running.scratch import scratch
from stages.update.advantage import token_advantages
from stages.update.advantage_rows import write_advantages
from stages.update.examples import assemble, count_statuses
from stages.update.metrics import Extremes, composition, course, extremes_of, headline, told
from stages.update.mismatch import need_match
from stages.update.round_tables import RoundTables, need_attempts, read_round
from stages.update.training import Sampling, load_loss, train


class Settings(NamedTuple):
    """What params.yaml says of a round's update."""

    round: Round
    update: Update
    sampling: Sampling
    training: Training

    def of_a_run(self) -> list[Any]:
        """What must stay as it is for an unfinished update to go on."""
        own = [self.round.model_dump(), self.update.model_dump()]
        return [*own, self.sampling, self.training.of_a_run()]


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
    advantages: Path,
    metrics: Path,
    steps: Path,
    summary: Path,
    code: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Make the next policy from one round."""
    settings, facts = read_settings(params_file, round_id), RunFacts("update")
    entry, update = settings.round, settings.update
    need_success(validation, round_id)
    tables = read_round(rollouts, scores, segments, gains, update)
    need_attempts(tables.segments, entry.recipe, update.objective)
    given, examples, rows, learnt = to_learn(tables, settings, rollouts)
    use_threads()

    anchors = [reference] if update.kl_coefficient else []
    inputs = [code, policy, *anchors, rollouts, scores, segments, gains]
    with (
        ranks.processes("update", settings.training.num_processes),
        scratch(scratch_root, f"update-{round_id}", settings.of_a_run(), inputs) as unfinished,
    ):
        trainer = Trainer(to_train(policy, settings), update.optimizer)
        loss = load_loss(update, settings.sampling, settings.training.precision, *anchors)
        apart = need_match(loss, trainer.model, examples, rows, entry, update.mismatch_limits)
        with facts.phase("training"):
            is_clipped = train(trainer, loss, examples, update, entry.seed, unfinished)
        ranks.gather_on_first(trainer.model)
        measured = {**course(rows, trainer.history), **learnt, **told(apart)}
        write_json(metrics, measured)
        write_json(summary, headline(measured))
        write_steps(steps, trainer.history)
        write_table(ledger, LEDGER, rows)
        write_advantages(advantages, tables, given, rows, is_clipped)
        with atomic(next_policy) as beside:
            save_policy(trainer.model, Renderer.of_policy(policy), beside, policy)
    facts.count(num_tokens=sum(example.num_tokens for example in examples) * update.epochs)
    facts.write(next_policy)


def to_train(policy: Path, settings: Settings) -> PreTrainedModel:
    """The parent policy, with an adapter where the recipe trains one, set up for training."""
    entry, model = settings.round, load_policy(policy)
    adapt(model, settings.update.lora, entry.seed, f"recipes.{entry.recipe}.update.lora")
    set_up(model, settings.training)
    return model


def write_steps(steps: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write what was measured of each optimizer step, numbered from 0."""
    numbered = [{"step": step, **record} for step, record in enumerate(history)]
    write_json(steps, {"steps": numbered})


def to_learn(
    tables: RoundTables, settings: Settings, rollouts: Path
) -> tuple[TokenAdvantages, list[Example], list[dict[str, Any]], dict[str, Any]]:
    """What each token is given, what is trained on, the ledger, what of it the metrics tell.

    Raises:
        BadInput: it is nothing, or beyond the recipe's limits.
    """
    entry, update = settings.round, settings.update
    advantages = token_advantages(tables, update, settings.sampling.budget_tokens, entry.seed)
    examples, rows = assemble(tables, advantages, update)
    need_examples(len(examples), rows, rollouts)
    extremes = extremes_of(tables, advantages, rows)
    need_moderation(extremes, update.limits, f"recipes.{entry.recipe}.update")
    return advantages, examples, rows, composition(tables, advantages, rows, extremes)


def read_settings(params_file: Path, round_id: str) -> Settings:
    """The sections that an update reads.

    Raises:
        BadInput: names every offending key in them.
    """
    entry: Round = read_section(params_file, f"rounds.{round_id}", Round)
    recipe = f"recipes.{entry.recipe}"
    return Settings(
        entry,
        read_section(params_file, f"{recipe}.update", Update),
        Sampling(
            read_section(params_file, f"{recipe}.rollout.temperature", Positive),
            read_section(params_file, f"{recipe}.rollout.budget_tokens", Count),
        ),
        read_section(params_file, "compute.training", Training),
    )


def need_success(validation: Path, round_id: str) -> None:
    """Refuse a round that did not pass its gate.

    Raises:
        BadInput: it did not.
    """
    if read_json(validation).get("success") is not True:
        raise BadInput(
            f"{validation} does not say success; run `dvc repro validate@{round_id}` and mend what "
            "it names"
        )


def need_examples(num_examples: int, rows: Sequence[dict[str, Any]], rollouts: Path) -> None:
    """Refuse a round that teaches nothing.

    Raises:
        BadInput: no rollout is left to train on.
    """
    if not num_examples:
        raise BadInput(
            f"{rollouts}: no rollout of {len(rows)} has anything to learn from (statuses "
            f"{count_statuses(rows)}); raise num_problems or group_size, or choose easier problems"
        )


def need_moderation(extremes: Extremes, limits: Limits | None, key: str) -> None:
    """Refuse an update that one problem, or one token, would make.

    Raises:
        BadInput: a figure is beyond its limit.
    """
    if limits is None:
        return
    allowed = limits.model_dump()
    for name, figure, problem in (
        ("max_abs_advantage", extremes.max_abs_advantage, extremes.problem_of_max),
        ("largest_group_share", extremes.largest_group_share, extremes.problem_of_largest),
    ):
        if figure > allowed[name]:
            raise BadInput(
                f"{name} is {figure:.4g}, above {key}.limits.{name} {allowed[name]:.4g}: problem "
                f"{problem} would be most of what is learnt; look at its rollouts and gains, then "
                f"change {key}.objective, sample more problems, or raise the limit"
            )


if __name__ == "__main__":
    command(main, writes=("next_policy", "ledger", "advantages", "metrics", "steps", "summary"))
