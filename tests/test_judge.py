"""Training a judge: what it learns from, what it is examined on; a kill changes no byte."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fixtures.rows import row
from stages import judge
from stages.contracts.format import write_format
from stages.contracts.params.inits.sft import LossWeights
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.engines.judging import Wording, is_exact, load_judge
from stages.engines.new_policy import new_policy
from stages.engines.policy import save_policy
from stages.engines.training.trainer import CHECKPOINT_SECONDS, Trainer
from stages.judge import LabelledAnswer
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.marks import marks_of
from stages.tasks.rows import problem_row
from stages.tasks.task import Problem

ROOT = Path(__file__).parent.parent
SETTINGS = load(ROOT / "tests" / "profiles" / "tiny.yaml")
FORM = load_format(SETTINGS.task)
RENDERER = Renderer(FORM.tokenizer([]))
WORDING = Wording(FORM.cue, *FORM.judge_words)
WEIGHTS = LossWeights(attempt=7.0, verdict=3.0, answer=0.5)
SFT = {
    "epochs": 8,
    "batch_tokens": 512,
    "row_tokens": 64,
    "warmup_frac": 0.05,
    "final_learning_rate_frac": 0.1,
    "loss_weights": {"attempt": 0.0, "verdict": 1.0, "answer": 0.0},
    "optimizer": {
        "learning_rate": 5.0e-3,
        "betas": [0.9, 0.98],
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
    },
}
NUM_PROBLEMS, GROUP_SIZE = 60, 4
OUTPUTS = ("g1", "metrics.json")


def answers(
    num_problems: int, rights: tuple[bool, ...] = (True, False, False)
) -> list[LabelledAnswer]:
    return [
        LabelledAnswer(f"p{n}", "<bos> 3 5 T8 :", "3 + 5 8", right)
        for n in range(num_problems)
        for right in rights
    ]


def test_each_token_weighs_what_it_is() -> None:
    """Of four answers one is right: its word weighs 4/2, a wrong one's 4/6, times `verdict`."""
    shown = [
        LabelledAnswer("p", "<bos> 3 5 T8 :", text, text == "3 + 5 8")
        for text in ("3 + 5 8", "5 - 3 2", "", "5 -")
    ]
    examples = judge.render(shown, WORDING, RENDERER, WEIGHTS)
    said = [RENDERER.decode(example.tokens) for example in examples]
    assert said == [
        "3 5 T8 : # 3 + 5 8 =",
        "3 5 T8 : # 5 - 3 2 <",
        "3 5 T8 : # <",
        "3 5 T8 : # 5 - <",
    ]
    given = [0.0] * 6
    assert examples[0].weights == [*given, 0.5, 0.5, 0.5, 0.5, 3 * 2]
    assert examples[1].weights == pytest.approx([*given, 0, 0, 0, 0, 3 * 2 / 3])
    assert examples[2].weights == pytest.approx([*given, 3 * 2 / 3])
    assert examples[3].weights == pytest.approx([*given, 0, 0, 3 * 2 / 3])


def test_a_tenth_of_the_problems_is_held_out_whole() -> None:
    shown, held_out = judge.split(answers(40))
    assert sorted(shown + held_out) == sorted(answers(40))
    known, unknown = ({answer.problem_id for answer in part} for part in (shown, held_out))
    assert not known & unknown
    assert len(unknown) == 4


def test_the_draw_depends_on_nothing_but_the_problems() -> None:
    _, held_out = judge.split(answers(40))
    again = judge.split(answers(40, rights=(False, True))[::-1])[1]
    assert {a.problem_id for a in again} == {a.problem_id for a in held_out}


def test_of_few_problems_one_is_held_out() -> None:
    shown, held_out = judge.split(answers(2))
    assert (len(shown), len(held_out)) == (3, 3)


@pytest.mark.parametrize(("rights", "num_right"), [((True, True), 4), ((False, False), 0)])
def test_with_one_kind_of_answer_there_is_nothing_to_learn(
    rights: tuple[bool, ...], num_right: int
) -> None:
    with pytest.raises(
        BadInput, match=rf"judge g1: {num_right} of the 4 answers .*judges\.g1\.round"
    ):
        judge.need_both("g1", answers(2, rights))


def rollout(problem: Problem, sample: int) -> dict[str, Any]:
    made = {"completion_tokens": [], "num_thinking_tokens": 0, "finish_reason": "length"}
    prompt_tokens = RENDERER.encode(problem.prompt)
    place = {"problem_id": problem.problem_id, "sample_index": sample}
    return row(ROLLOUTS, **place, **made, prompt_tokens=prompt_tokens)


def score(rollout_id: str, verdict: str, answer: str) -> dict[str, Any]:
    """A score whose reward, the one thing not to learn from, is another judge's and always 0."""
    made = {"rollout_id": rollout_id, "verdict": verdict, "answer": answer}
    return row(SCORES, **made, reward=0.0, judge_score=0.1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A round whose right answers repeat the target and wrong ones do not; a random base policy."""
    raw = yaml.safe_load((ROOT / "tests" / "profiles" / "tiny.yaml").read_text(encoding="utf-8"))
    raw["judges"] = {"g1": {"base": "r0", "round": "i1", "seed": 1, "sft": SFT}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    rng = np.random.default_rng(0)
    problems, rollouts, scores = [], [], []
    for number in range(NUM_PROBLEMS):
        target = int(rng.integers(10, 20))
        problem = Problem(f"p{number:02}", "train", 2, f"<bos> {number} 1 T{target} :", "", {}, 0)
        problems.append(problem_row("countdown", problem))
        for sample in range(GROUP_SIZE):
            rollouts.append(rollout(problem, sample))
            is_right = sample == 0
            answer = f"1 + {number} {target if is_right else 25}"
            verdict = "correct" if is_right else ("incorrect", "unparsable", "timeout")[sample - 1]
            scores.append(score(rollouts[-1]["rollout_id"], verdict, answer))
    for table, rows in ((PROBLEMS, problems), (ROLLOUTS, rollouts), (SCORES, scores)):
        write_table(tmp_path / f"{table.name}.parquet", table, rows)
    write_format(tmp_path / "format.json", marks_of(FORM))
    save_policy(
        new_policy(SETTINGS.inits["r0"].model, RENDERER, FORM.token_values, seed=1),
        RENDERER,
        tmp_path / "r0",
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(folder: Path, out: Path) -> None:
    inputs = [folder / f"{name}.parquet" for name in ("problems", "rollouts", "scores")]
    places = [out / name for name in OUTPUTS]
    problems, *sampled = inputs
    judge.main(
        "g1",
        folder / "r0",
        problems,
        folder / "format.json",
        *sampled,
        *places,
        code=folder / "params.yaml",
        params_file=folder / "params.yaml",
        scratch_root=out / "scratch",
    )


def test_labels_are_the_exact_verdicts_and_its_failures_are_left_out(folder: Path) -> None:
    labelled = judge.read_answers(
        *(folder / f"{name}.parquet" for name in ("problems", "rollouts", "scores"))
    )
    assert [answer.is_right for answer in labelled] == [True, False, False] * NUM_PROBLEMS
    assert labelled[0].text.startswith("1 + 0")
    assert labelled[0].prompt.startswith("<bos> 0 1")


def test_scores_of_another_round_are_refused(folder: Path) -> None:
    write_table(folder / "scores.parquet", SCORES, [score("i2/p00/0", "correct", "")])
    paths = [folder / f"{name}.parquet" for name in ("problems", "rollouts", "scores")]
    with pytest.raises(
        BadInput, match=rf"rollout_id: {NUM_PROBLEMS * GROUP_SIZE + 1} rollout.*first i1/p00/0"
    ):
        judge.read_answers(*paths)


def test_a_judge_learns_what_is_right_of_problems_it_has_not_seen(folder: Path) -> None:
    train(folder, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["num_answers"] == 54 * 3
    assert metrics["num_heldout_answers"] == 6 * 3
    assert metrics["heldout"]["base_rate"] == pytest.approx(1 / 3, abs=1e-6)
    assert metrics["heldout"]["auc"] > 0.95
    assert metrics["heldout"]["brier"] < 0.1
    assert not is_exact(folder / "g1")
    right, wrong = load_judge(folder / "g1")(["<bos> 3 1 T12 :"] * 2, ["1 + 3 12", "1 + 3 25"])
    assert right > 0.8 > 0.2 > wrong


def test_a_killed_training_goes_on_to_the_same_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKPOINT_SECONDS, "-1")
    train(folder, folder / "whole")
    step, taken = Trainer.step, []

    def interrupted(trainer: Trainer, *arguments: Any) -> Any:
        taken.append(trainer.num_steps)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return step(trainer, *arguments)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(folder, folder / "killed")
    assert not (folder / "killed" / "g1").exists()
    train(folder, folder / "killed")
    assert taken[4] == 3  # it went on, and did not start anew
    for name in (
        *OUTPUTS[1:],
        *(f"g1/{path.name}" for path in (folder / "whole" / "g1").iterdir()),
    ):
        assert (folder / "killed" / name).read_bytes() == (folder / "whole" / name).read_bytes(), (
            name
        )
    assert not list((folder / "killed" / "scratch").iterdir())
