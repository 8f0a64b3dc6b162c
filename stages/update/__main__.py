"""Update the policy on a validated round.

Reads   policy, rollouts, scores, segments, gains, the round's validation; the reference policy,
        where the recipe holds the new one near it; params.yaml `compute.training`, `rounds.<round>`
        and its recipe's `update`, `rollout.temperature` and `rollout.budget_tokens`.
Writes  the next policy; ledger, one row per rollout: what became of its tokens; metrics of the
        update, and of each step, to plot.
Method  An advantage per token by the recipe's objective (`stages.pure.objectives`, from outcome and
        the credit of segments, `stages.pure.credit`), then the recipe's loss over minibatches
        (`stages.engines.training.policy_loss`). Trained ids are the sampled ids; what a cue or an
        environment put there is context, never a target. Checkpoints make a killed run go on, to the same bytes.

Example: python -m stages.update --round-id i1 --policy data/policies/r0 \
         --reference data/policies/r0 --rollouts data/rounds/i1/rollouts.parquet \
         --scores data/rounds/i1/scores.parquet --segments data/rounds/i1/segments.parquet \
         --gains data/rounds/i1/gains.parquet --validation data/rounds/i1/validation.json \
         --next-policy data/policies/i1 --ledger data/rounds/i1/ledger.parquet \
         --metrics data/metrics/updates/i1.json --steps data/metrics/curves/updates/i1.json \
         --code data/code/update.json
"""

from pathlib import Path

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
from stages.engines.adapters import adapt
from stages.engines.computing import set_up
from stages.engines.policy import load_policy, save_policy
from stages.engines.training import ranks
from stages.engines.training.trainer import Trainer, use_threads
from stages.running.errors import BadInput, command
from stages.running.facts import RunFacts
from stages.running.publish import atomic, read_json, scratch, write_json
from stages.update.advantage import token_advantages
from stages.update.examples import assemble, count_statuses
from stages.update.metrics import composition, summary
from stages.update.round_tables import floats, known_segments, need_attempts
from stages.update.training import Sampling, load_loss, train


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
    parts = token_advantages(sampled, rewards, known, settings, sampling.budget_tokens)
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
        ranks.gather_on_first(model)
        write_json(
            metrics, {**summary(rows, trainer.history), **composition(cut, known, parts, rows)}
        )
        write_json(steps, [{"step": step, **record} for step, record in enumerate(trainer.history)])
        write_table(ledger, LEDGER, rows)
        with atomic(next_policy) as beside:
            save_policy(model, Renderer.of_policy(policy), beside, policy)
    facts.count(num_tokens=sum(example.num_tokens for example in examples) * settings.epochs)
    facts.write(next_policy)


if __name__ == "__main__":
    command(main)
