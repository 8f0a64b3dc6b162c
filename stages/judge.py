"""Train a generative judge: a policy fine-tuned to say whether an answer is right.

Reads   base policy, problems, the format of their text, a round's rollouts and scores; params.yaml
        `judges.<judge>`, `compute.training`.
Writes  a judge folder: the fine-tuned policy, and judge.json with the words it judges by; metrics
        of its judgement on answers to problems it has not seen.
Method  GenRM (arXiv 2408.15240, sections 3.1 and 3.2): next-token loss on the word for right or
        wrong behind prompt, cue and answer, weighed so that right and wrong answers count alike,
        and beside it on the right answers themselves. The exact verifier has said which those are.
        The thinking is not shown: an answer is judged, not how it was found. A tenth of the
        problems is held out.
Limits  `loss_weights.attempt` weighs nothing here: there are no attempts. Answers whose verifier
        failed are left out. Where all held-out answers are right, or all wrong, balanced accuracy
        and AUC are null. A policy may learn to write what wins a judge over: scores keep verdict
        and judge_score side by side, to be compared every round.

Example: python -m stages.judge --judge-id g1 --base data/policies/r0 \
         --problems data/problems.parquet --text-format data/format.json \
         --rollouts data/rounds/i1/rollouts.parquet --scores data/rounds/i1/scores.parquet \
         --judge data/judges/g1 --metrics data/metrics/judges/g1.json
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.contracts.format import read_format
from stages.contracts.params.base import read_section
from stages.contracts.params.compute.training import Training
from stages.contracts.params.inits.sft import LossWeights
from stages.contracts.params.judge import Judge
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.verdict import Verdict
from stages.engines.adapters import adapt
from stages.engines.computing import use_threads
from stages.engines.judging import Wording, load_judge, save_wording
from stages.engines.policy import load_policy, save_policy
from stages.engines.training import imitation, ranks
from stages.engines.training.imitation import WeightedText
from stages.engines.training.trainer import Trainer, set_up
from stages.pure.judgement import balanced_weights, quality
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput, command
from stages.running.publish import RunFacts, atomic, write_json
from stages.running.scratch import scratch
from stages.tasks.rows import read_problems

PROBLEMS_PER_HELDOUT = 10


class LabelledAnswer(NamedTuple):
    """An answer of the round, and whether it is right."""

    problem_id: str
    prompt: str
    text: str
    is_right: bool


def main(
    judge_id: str,
    base: Path,
    problems: Path,
    text_format: Path,
    rollouts: Path,
    scores: Path,
    judge: Path,
    metrics: Path,
    code: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Train one judge."""
    settings: Judge = read_section(params_file, f"judges.{judge_id}", Judge)
    training: Training = read_section(params_file, "compute.training", Training)
    facts = RunFacts("judge")
    form = read_format(text_format)
    renderer, wording = Renderer.of_policy(base), Wording(form.cue, *form.judge_words)
    shown, held_out = split(read_answers(problems, rollouts, scores))
    need_both(judge_id, shown)
    examples = render(shown, wording, renderer, settings.sft.loss_weights)
    use_threads()

    inputs = [code, base, problems, rollouts, scores]
    unfinished_key = [settings.model_dump(), training.of_a_run()]
    with (
        ranks.processes("judge", training.num_processes),
        scratch(scratch_root, f"judge-{judge_id}", unfinished_key, inputs) as unfinished,
    ):
        model = load_policy(base)
        adapt(model, settings.sft.lora, settings.seed, f"judges.{judge_id}.sft.lora")
        set_up(model, training)
        trainer = Trainer(model, settings.sft.optimizer)
        with facts.phase("training"):
            how = settings.sft, training.precision, settings.seed
            imitation.train("judge", trainer, examples, *how, unfinished)
        ranks.gather_on_first(model)
        with atomic(judge) as beside:
            save_policy(model, renderer, beside, base)
            save_wording(wording, beside)
        with facts.phase("judging"):
            heldout_quality = examine(judge, held_out)
    counts = {"num_answers": len(shown), "num_heldout_answers": len(held_out)}
    write_json(
        metrics, {**imitation.summary(trainer.history), **counts, "heldout": heldout_quality}
    )
    facts.count(num_tokens=sum(len(e.tokens) for e in examples) * settings.sft.epochs)
    facts.write(judge)


def read_answers(problems: Path, rollouts: Path, scores: Path) -> list[LabelledAnswer]:
    """The round's answers that the exact verifier has judged.

    Raises:
        BadInput: scores and rollouts are not of the same round.
    """
    sampled = read_table(rollouts, ROLLOUTS, ["rollout_id", "problem_id"]).to_pydict()
    scored = read_table(scores, SCORES, ["rollout_id", "verdict", "answer"]).to_pydict()
    foreign = sorted(set(sampled["rollout_id"]) ^ set(scored["rollout_id"]))
    if foreign:
        raise BadInput(
            f"table scores, column rollout_id: {len(foreign)} rollout(s) stand in one of "
            f"{rollouts} and {scores} only; first {foreign[0]}; run `dvc repro` to score again"
        )
    prompts = {problem.problem_id: problem.prompt for problem in read_problems(problems)}
    problem_of = dict(zip(sampled["rollout_id"], sampled["problem_id"], strict=True))
    rewards = [Verdict(verdict).reward for verdict in scored["verdict"]]
    return [
        LabelledAnswer(problem_of[rollout_id], prompts[problem_of[rollout_id]], text, reward == 1)
        for rollout_id, reward, text in zip(
            scored["rollout_id"], rewards, scored["answer"], strict=True
        )
        if reward is not None
    ]


def split(answers: Sequence[LabelledAnswer]) -> tuple[list[LabelledAnswer], list[LabelledAnswer]]:
    """Answers to learn from, and those to be examined on.

    The latter are those to a tenth of the problems, at least one, drawn by hash.
    """
    drawn = sorted(
        {answer.problem_id for answer in answers}, key=lambda name: derive_seed("judge", name)
    )
    held_out = set(drawn[: max(1, len(drawn) // PROBLEMS_PER_HELDOUT)])
    return [a for a in answers if a.problem_id not in held_out], [
        a for a in answers if a.problem_id in held_out
    ]


def need_both(judge_id: str, answers: Sequence[LabelledAnswer]) -> None:
    """Refuse to train where there is nothing to tell apart.

    Raises:
        BadInput: no right answer among them, or no wrong one.
    """
    num_right = sum(answer.is_right for answer in answers)
    if num_right in (0, len(answers)):
        raise BadInput(
            f"judge {judge_id}: {num_right} of the {len(answers)} answers it may learn from are "
            "right, and it needs right and wrong ones; name another round in params.yaml "
            f"judges.{judge_id}.round"
        )


def render(
    answers: Sequence[LabelledAnswer], wording: Wording, renderer: Renderer, weights: LossWeights
) -> list[WeightedText]:
    """Tokens and loss weights of each judged answer.

    Its word weighs by class and `verdict`, a right answer by `answer`.
    """
    right_word, wrong_word = wording.word_tokens(renderer)
    balance = balanced_weights(np.array([answer.is_right for answer in answers]))
    examples = []
    for answer, share in zip(answers, balance.tolist(), strict=True):
        question = wording.question_tokens(renderer, answer.prompt, answer.text)
        word = right_word if answer.is_right else wrong_word
        answer_weight = weights.answer if answer.is_right else 0.0
        num_given = len(wording.question_tokens(renderer, answer.prompt, ""))
        answer_weights = [answer_weight] * (len(question) - num_given)
        word_weights = [share * weights.verdict] * len(word)
        examples.append(
            WeightedText([*question, *word], [*[0.0] * num_given, *answer_weights, *word_weights])
        )
    return examples


def examine(judge: Path, answers: Sequence[LabelledAnswer]) -> dict[str, float | None]:
    """How well a judge's scores tell these answers apart."""
    judge_scores = load_judge(judge)(
        [answer.prompt for answer in answers], [answer.text for answer in answers]
    )
    rated = quality(
        np.array(judge_scores), np.array([answer.is_right for answer in answers], dtype=bool)
    )
    return {
        name: None if math.isnan(value) else round(value, 6)
        for name, value in rated._asdict().items()
    }


if __name__ == "__main__":
    command(main, writes=("judge", "metrics"))
