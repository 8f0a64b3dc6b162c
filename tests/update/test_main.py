"""One update: which token gets which advantage, what becomes of each, and real updates of a tiny
policy.

What holds:
 1. advantages follow the recipe's objective, segment by segment 2. every token is trained, forced
 or left out for a reason, and the sums match 3. a whole update runs under every objective, goes on
 after a kill to the same bytes, and refuses what it cannot use
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file

from stages.contracts.params.inits.model import ModelShape
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.params.recipes.update import Update
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.contract import Table
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.engines.adapters import ADAPTER_FILE
from stages.engines.policy import load_policy, new_policy, save_policy
from stages.engines.training.example import Example
from stages.engines.training.trainer import CHECKPOINT, CHECKPOINT_SECONDS, Trainer
from stages.pure.accounting import Status
from stages.pure.objectives.tokens import TokenAdvantages
from stages.running.errors import EXIT_MACHINE, BadInput
from stages.running.publish import read_json, write_json
from stages.tasks.formats import load_format
from stages.update.__main__ import main
from stages.update.advantage import token_advantages
from stages.update.examples import assemble
from stages.update.metrics import composition, summary
from stages.update.round_tables import known_segments
from stages.update.training import minibatches

PROFILE = Path(__file__).parents[1] / "profiles" / "tiny.yaml"
RECIPE = load(PROFILE).recipes["information"]
NAN = float("nan")


def recipe(**changes: Any) -> Recipe:
    """The tiny recipe with changes to its update, checked as if they stood in params.yaml."""
    changed = Update.model_validate({**RECIPE.update.model_dump(), **changes})
    return RECIPE.model_copy(update={"update": changed})


# 1. and 2. Two problems, five rollouts: one cut off, one whose verifier failed.

SAMPLED = {
    "rollout_id": ["a0", "a1", "a2", "b0", "b1"],
    "problem_id": ["a", "a", "a", "b", "b"],
    "prompt_tokens": [[1, 2]] * 5,
    "completion_tokens": [[5] * 6, [6] * 5, [7] * 4, [8] * 3, [9] * 3],
    "sampler_logprobs": [[-1.0] * 6, [-1.0] * 5, [-1.0] * 4, [-1.0] * 3, [-1.0] * 3],
    "num_thinking_tokens": [4, 3, 4, 2, 2],
    "token_origin": [[0] * 6, [0, 0, 0, 1, 0], [0] * 4, [0] * 3, [0] * 3],
    "finish_reason": ["stop", "forced", "length", "stop", "stop"],
}
REWARDS = np.array([1.0, 0.0, NAN, 1.0, 1.0])
SEGMENT_ROWS = [  # rollout_id, segment_index, kind, start_token, end_token, attempt_verdict, self_verdict, progress
    ("a0", 0, "attempt", 0, 2, "incorrect", True, 0.25),
    ("a0", 1, "attempt", 2, 4, "correct", True, 0.5),
    ("a0", 2, "answer", 4, 6, None, None, None),
    ("a1", 0, "attempt", 0, 3, "correct", False, -0.75),
    ("a1", 1, "answer", 3, 5, None, None, None),
    ("a2", 0, "other", 0, 4, None, None, 0.0),
    ("b0", 0, "attempt", 0, 2, "timeout", True, 0.5),
    ("b0", 1, "answer", 2, 3, None, None, None),
    ("b1", 0, "attempt", 0, 2, "unparsable", False, 0.25),
    ("b1", 1, "answer", 2, 3, None, None, None),
]
NAMES = (
    *("rollout_id", "segment_index", "kind", "start_token", "end_token"),
    *("attempt_verdict", "self_verdict", "progress"),
)
CUT = {name: [row[i] for row in SEGMENT_ROWS] for i, name in enumerate(NAMES)}
GAINED = {
    name: [row[NAMES.index(name)] for row in SEGMENT_ROWS if row[2] != "answer"] for name in NAMES
}
KNOWN = known_segments(SAMPLED, CUT, GAINED, "progress")
PLAIN = {"alpha": 1.0, "normalize_by_std": False, "credit_baseline": "none"}


def token_parts(rewards: np.ndarray = REWARDS, **changes: Any) -> TokenAdvantages:
    settings = recipe(**PLAIN, **changes)
    return token_advantages(
        SAMPLED, rewards, KNOWN, settings.update, settings.rollout.budget_tokens
    )


def advantages(objective: str, **changes: Any) -> list[list[float]]:
    parts = token_parts(objective=objective, **changes)
    return [(a + b).tolist() for a, b in zip(parts.outcome, parts.credit, strict=True)]


def assembled(
    rewards: np.ndarray = REWARDS, **changes: Any
) -> tuple[list[Example], list[dict[str, Any]]]:
    settings = recipe(**PLAIN, **changes).update
    return assemble(SAMPLED, rewards, token_parts(rewards, **changes), settings)


def test_verdicts_become_grades() -> None:
    expected = [0, 1, NAN, 1, NAN, NAN, NAN, NAN, 0, NAN]
    assert KNOWN.attempt_grade == pytest.approx(expected, nan_ok=True)
    assert KNOWN.verdict_grade == pytest.approx(
        [0, 1, NAN, 0, NAN, NAN, NAN, NAN, 1, NAN], nan_ok=True
    )
    assert KNOWN.is_attempt.tolist() == [
        True,
        True,
        False,
        True,
        False,
        False,
        True,
        False,
        True,
        False,
    ]
    assert KNOWN.gain[[0, 1, 3, 5]].tolist() == [0.25, 0.5, -0.75, 0.0]
    assert np.isnan(KNOWN.gain[[2, 4, 7, 9]]).all()


def test_outcome_gives_every_token_of_a_rollout_the_same() -> None:
    found = advantages("outcome")
    assert found[:2] == [[0.5] * 6, [-0.5] * 5]
    assert np.isnan(found[2]).all()
    assert found[3:] == [[0.0] * 3, [0.0] * 3]


def test_information_adds_to_each_segment_its_own_progress() -> None:
    found = advantages("information")
    assert found[0] == [0.75, 0.75, 1.0, 1.0, 0.5, 0.5]
    assert found[1] == [-1.25] * 3 + [-0.5] * 2
    assert found[3:] == [[0.5, 0.5, 0.0], [0.25, 0.25, 0.0]]


def test_information_to_go_adds_what_is_to_come() -> None:
    assert advantages("information", credit="to_go")[0] == [1.25, 1.25, 1.0, 1.0, 0.5, 0.5]
    discounted = advantages("information", credit="discounted", credit_discount=0.5)
    assert discounted[0] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


def test_regret_discounts_progress_by_the_tokens_before_it() -> None:
    found = advantages("regret", credit="to_go", credit_discount=0.5)
    first, second = 0.25 / 4, 0.5 / 16
    assert found[0] == [0.5 + first + second] * 2 + [0.5 + second] * 2 + [0.5] * 2


def test_process_adds_grades_to_come() -> None:
    found = advantages("process", credit="to_go")
    assert (
        found[0] == [0.5 + 2] * 2 + [0.5 + 2] * 2 + [0.5] * 2
    )  # a miss called right; a hit called right
    assert found[1] == [-0.5 + 1] * 3 + [-0.5] * 2  # a hit called wrong
    assert found[3:] == [[0.0] * 3, [1.0, 1.0, 0.0]]  # no grade; a miss called wrong


def test_self_correction_pays_for_the_step_from_first_attempt_to_answer() -> None:
    found = advantages("self_correction", correction_stage=2)
    assert found[0] == [0.5] * 2 + [1.5] * 4
    assert found[1] == [-0.5] * 3 + [-1.5] * 2
    assert found[3:] == [[0.0] * 3, [0.0, 0.0, 1.0]]  # an unknown first verdict: no bonus
    assert all(
        anchored.any()
        for anchored in token_parts(objective="self_correction", correction_stage=2).is_anchored
    )


def test_self_correction_begins_by_holding_the_first_attempt() -> None:
    stage = {"objective": "self_correction", "correction_stage": 1, "kl_coefficient": 0.1}
    found = advantages(**stage)
    assert found[0] == [0.0] * 2 + [0.5] * 4
    assert found[1] == [0.0] * 3 + [-0.5] * 2
    anchored = token_parts(**stage).is_anchored
    assert anchored[0].tolist() == [True] * 2 + [False] * 4
    assert anchored[1].tolist() == [True] * 3 + [False] * 2
    assert anchored[2].tolist() == [True] * 4  # without an attempt all of it is the first


def test_offline_weighs_the_correct_rollouts_of_most_progress() -> None:
    half = advantages("offline", keep_frac=0.5)
    assert half[0] == [1.0] * 6
    assert half[1] == [0.0] * 5
    assert half[3:] == [[1.0] * 3, [0.0] * 3]
    assert advantages("offline", keep_frac=1.0)[3:] == [[1.0] * 3, [1.0] * 3]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"objective": "regret", "credit": "discounted", "credit_discount": 0.9},
            "discounts tokens",
        ),
        ({"objective": "self_correction", "correction_stage": 1}, "needs kl_coefficient"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        recipe(**changes)


def test_a_length_penalty_comes_before_the_groups_mean() -> None:
    """Of budget 27: rewards 1 - 4/27 and 0 - 3/27; of equal answers of equal length none is better."""
    found = advantages("outcome", length_penalty=1.0)
    assert found[0] == pytest.approx([(1 - 4 / 27 + 3 / 27) / 2] * 6, abs=1e-12)
    assert found[3:] == [[0.0] * 3, [0.0] * 3]


def test_the_groups_std_divides_credit_where_asked() -> None:
    plain = token_parts(objective="information").credit
    divided = token_parts(objective="information", normalize_credit_by_std=True).credit
    spread = np.std([0.25, 0.5, -0.75, 0.0]) + RECIPE.update.std_epsilon
    assert divided[0] == pytest.approx(plain[0] / spread, abs=1e-12)


def test_a_group_with_one_outcome_is_left_out_by_outcome_and_used_by_information() -> None:
    for objective, expected in (
        ("outcome", Status.FILTERED_ZERO_ADVANTAGE),
        ("information", Status.TRAINED),
    ):
        _, rows = assembled(objective=objective)
        assert [row["status"] for row in rows[3:]] == [expected] * 2
    _, rows = assembled(objective="information", filter_groups="one_outcome")
    assert [row["status"] for row in rows] == [Status.TRAINED, Status.TRAINED, Status.ERRORED] + [
        Status.FILTERED_GROUP
    ] * 2


@pytest.mark.parametrize("term", ["kl_coefficient", "entropy_coefficient"])
def test_a_rollout_without_advantage_is_kept_where_the_loss_has_another_term(term: str) -> None:
    _, rows = assembled(objective="outcome", **{term: 0.1})
    assert [row["status"] for row in rows[3:]] == [Status.TRAINED] * 2


@pytest.mark.parametrize("filter_groups", [None, "one_outcome"])
@pytest.mark.parametrize("mask_truncated", [True, False])
@pytest.mark.parametrize("objective", ["outcome", "information", "process"])
def test_every_token_is_accounted_for(
    objective: str, mask_truncated: bool, filter_groups: str | None
) -> None:
    rewards = np.array([1.0, 0.0, 0.0, 1.0, NAN])
    changes = {
        "objective": objective,
        "mask_truncated": mask_truncated,
        "filter_groups": filter_groups,
    }
    examples, rows = assembled(rewards, **changes)
    for row, tokens in zip(rows, SAMPLED["completion_tokens"], strict=True):
        counts = ("trained", "cue", "environment", "untrained")
        assert sum(row[f"num_{count}_tokens"] for count in counts) == len(tokens)
        assert (row["num_trained_tokens"] > 0) == (row["status"] == Status.TRAINED)
    assert rows[1]["num_cue_tokens"] == 1
    assert rows[2]["status"] == (Status.TRUNCATED if mask_truncated else Status.TRAINED)
    assert (rows[3]["status"] == Status.FILTERED_GROUP) == (filter_groups is not None)
    assert rows[4]["status"] == Status.ERRORED
    differences = ("max_logprob_difference_nats", "mean_logprob_difference_nats")
    record = {"loss": 0.0, "grad_norm": 0.0, "clip_frac": 0.0, "kl_nats": 0.0, "entropy_nats": 0.0}
    metrics = summary(rows, [{**record, **dict.fromkeys(differences, 0.0)}])
    assert sum(metrics["tokens"].values()) == sum(map(len, SAMPLED["completion_tokens"]))
    assert metrics["tokens"]["trained"] == sum(int(example.is_target.sum()) for example in examples)


def test_the_ids_trained_are_the_ids_sampled() -> None:
    examples, rows = assembled(objective="information")
    trained = [index for index, row in enumerate(rows) if row["status"] == Status.TRAINED]
    assert [example.completion_tokens for example in examples] == [
        SAMPLED["completion_tokens"][i] for i in trained
    ]
    assert examples[1].is_target.tolist() == [True, True, True, False, True]
    assert examples[1].is_anchored.tolist() == [True, True, True, False, True]


def test_what_was_learnt_from_by_hand() -> None:
    _, rows = assembled(objective="information")
    found = composition(CUT, KNOWN, token_parts(objective="information"), rows)
    first = [1 / 3] * 2 + [0.5] * 2 + [0.0] * 2
    second = [0.6] * 3 + [0.0]  # its forced token is not trained
    third = [1.0, 1.0, 0.0] * 2
    assert found["mean_credit_frac"] == pytest.approx(np.mean([*first, *second, *third]), abs=1e-12)
    assert found["verdicts"] == {"false_positive_frac": 0.5, "false_negative_frac": 0.5}


def test_every_example_is_seen_once_an_epoch() -> None:
    settings = recipe(epochs=3, minibatches_per_epoch=4).update
    steps = minibatches(10, settings, seed=5)
    assert len(steps) == 12
    for epoch in range(3):
        assert sorted(row for step in steps[4 * epoch : 4 * epoch + 4] for row in step) == list(
            range(10)
        )
    assert minibatches(10, settings, seed=5) == steps
    assert minibatches(10, settings, seed=6) != steps
    assert (
        len(minibatches(2, settings, seed=5)) == 6
    )  # fewer examples than minibatches: no empty step


# 3. Whole updates, from tables on disk to the next policy.

ATTEMPT, MISS, CUE, ANSWER = "3 + 5 8", "<<", "#", "7 + 5 12"


@dataclass(frozen=True)
class World:
    """A round on disk, ready to be updated on."""

    folder: Path

    def run(self, **changes: Any) -> dict[str, Any]:
        """Update under the tiny recipe with changes; the metrics."""
        main(**self.arguments(**changes))
        return json.loads((self.folder / "metrics.json").read_text())

    def arguments(self, num_processes: int = 1, **changes: Any) -> dict[str, Any]:
        """What an update is called with, under such a params.yaml."""
        everything = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
        everything["recipes"]["information"]["update"].update(
            {"epochs": 2, "minibatches_per_epoch": 2, "row_tokens": None, **changes}
        )
        everything["compute"]["training"]["num_processes"] = num_processes
        (self.folder / "params.yaml").write_text(yaml.safe_dump(everything), encoding="utf-8")
        files = {
            name: f"{name}.parquet"
            for name in ("rollouts", "scores", "segments", "gains", "ledger")
        }
        files |= {name: f"{name}.json" for name in ("validation", "metrics", "steps")}
        files |= {
            "policy": "policy",
            "code": "params.yaml",
            "reference": "reference",
            "next_policy": "next",
            "scratch_root": "scratch",
        }
        files |= {"params_file": "params.yaml"}
        return {"round_id": "i1", **{name: self.folder / file for name, file in files.items()}}

    def start(self, **changes: Any) -> subprocess.Popen[str]:
        """The same as a command of its own."""
        words = [
            f"--{name.replace('_', '-')}={value}"
            for name, value in self.arguments(**changes).items()
        ]
        environment = {**os.environ, "PYTHONPATH": str(PROFILE.parents[2]), "KNOWHOW_DEVICE": "cpu"}
        return subprocess.Popen(
            [sys.executable, "-m", "stages.update", *words],
            **{"cwd": self.folder, "env": environment, "stderr": subprocess.PIPE, "text": True},
        )

    def next_checkpoint(self, of: subprocess.Popen[str]) -> list[psutil.Process]:
        """Wait until a step more has been saved; the ranks at work."""
        begin = time.time()
        while not any(
            p.stat().st_mtime > begin for p in (self.folder / "scratch").glob(f"*/{CHECKPOINT}")
        ):
            assert of.poll() is None, of.communicate()
            assert time.time() - begin < 400
            time.sleep(0.01)
        return psutil.Process(of.pid).children()

    @property
    def weights(self) -> bytes:
        return (self.folder / "next" / "model.safetensors").read_bytes()

    def rewrite(self, table: Table, **columns: Any) -> None:
        """Give every row of a table other values."""
        path = self.folder / f"{table.name}.parquet"
        write_table(
            path, table, [{**row, **columns} for row in read_table(path, table).to_pylist()]
        )


def round_rows(renderer: Renderer) -> dict[str, list[dict[str, Any]]]:
    """Four problems of three rollouts with one to three attempts each; rewards and gains drawn at
    random.
    """
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict[str, Any]]] = {
        "rollouts": [],
        "scores": [],
        "segments": [],
        "gains": [],
    }
    attempt, cue = renderer.encode(f"{ATTEMPT} {MISS}"), len(renderer.encode(CUE))
    answer = [*renderer.encode(f"{CUE} {ANSWER}"), renderer.eos_token]
    for index in range(12):
        rollout_id, num_attempts = f"i1/p{index // 3}/{index % 3}", 1 + index % 3
        thinking = attempt * num_attempts
        completion, end = [*thinking, *answer], len(thinking)
        is_forced, reward = index % 4 == 0, float(rng.random() < 0.5)
        rollout = {
            "rollout_id": rollout_id,
            "problem_id": f"p{index // 3}",
            "sample_index": index % 3,
        }
        rollout |= {
            "policy_id": "r0",
            "prompt_tokens": renderer.encode("<bos> 3 5 7 T36 :"),
            "seed": index,
        }
        rollout |= {
            "completion_tokens": completion,
            "sampler_logprobs": rng.normal(-5.35, 0.2, len(completion)).tolist(),
        }
        rollout |= {
            "num_thinking_tokens": end,
            "token_origin": [
                int(is_forced and end <= place < end + cue) for place in range(len(completion))
            ],
        }
        rollout |= {"finish_reason": "forced" if is_forced else "stop", "temperature": 1.0}
        rows["rollouts"].append(rollout)
        score = {
            "rollout_id": rollout_id,
            "verdict": "correct" if reward else "incorrect",
            "answer": ANSWER,
        }
        rows["scores"].append({**score, "reward": reward, "judge_score": None})
        for j in range(num_attempts + 1):
            is_answer, verdict = j == num_attempts, "correct" if rng.random() < 0.5 else "incorrect"
            start, stop = len(attempt) * j, len(completion) if is_answer else len(attempt) * (j + 1)
            segment = {
                "rollout_id": rollout_id,
                "segment_index": j,
                "kind": "answer" if is_answer else "attempt",
            }
            segment |= {"start_token": start, "end_token": stop}
            segment |= {
                "attempt_verdict": None if is_answer else verdict,
                "self_verdict": None if is_answer else False,
            }
            rows["segments"].append(segment)
            if not is_answer:
                gain = dict.fromkeys(GAINS.schema.names) | {"progress": rng.normal(0, 0.2)}
                gain |= {
                    "rollout_id": rollout_id,
                    "segment_index": j,
                    "estimator": "set_likelihood",
                }
                gain |= {"num_judged_before": 1, "num_judged_after": 1, "is_interpolated": False}
                rows["gains"].append({**gain, "info_gain_nats": rng.normal(0, 1)})
    return rows


@pytest.fixture(autouse=True)
def saved_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKPOINT_SECONDS, "-1")


@pytest.fixture
def world(tmp_path: Path) -> World:
    form = load_format(load(PROFILE).task)
    renderer = Renderer(form.tokenizer([]))
    shape = ModelShape(
        hidden_size=32, intermediate_size=24, num_layers=1, num_heads=1, max_positions=64
    )
    for name, seed in (("policy", 1), ("reference", 2)):
        save_policy(new_policy(shape, renderer, form.token_values, seed), renderer, tmp_path / name)
    for name, rows in round_rows(renderer).items():
        write_table(tmp_path / f"{name}.parquet", TABLES[name], rows)
    write_json(tmp_path / "validation.json", {"success": True})
    return World(tmp_path)


OBJECTIVES: dict[str, dict[str, Any]] = {
    "outcome": {"objective": "outcome"},
    "penalized": {"objective": "outcome", "length_penalty": 0.5, "filter_groups": "one_outcome"},
    "information": {
        "objective": "information",
        "gain": "info_gain_nats",
        "normalize_credit_by_std": True,
    },
    "to_go": {"objective": "information", "credit": "to_go", "entropy_coefficient": 0.01},
    "regret": {"objective": "regret", "credit": "to_go", "credit_discount": 0.98, "loss": "cispo"},
    "process": {"objective": "process", "credit": "to_go", "loss": "gspo"},
    "correction_1": {"objective": "self_correction", "correction_stage": 1, "kl_coefficient": 0.5},
    "correction_2": {
        "objective": "self_correction",
        "correction_stage": 2,
        "alpha": 10.0,
        "loss": "dr_grpo",
    },
    "offline": {"objective": "offline", "keep_frac": 0.5},
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_update_runs_under_every_objective(name: str, world: World) -> None:
    metrics = world.run(**OBJECTIVES[name])
    assert sum(metrics["tokens"].values()) == sum(
        len(tokens)
        for tokens in read_table(world.folder / "rollouts.parquet", ROLLOUTS)["completion_tokens"]
    )
    assert metrics["tokens"]["trained"] > 0
    assert metrics["num_steps"] == 4
    assert metrics["mean_grad_norm"] > 0
    assert metrics["verdicts"]["false_positive_frac"] == 0
    assert metrics["verdicts"]["false_negative_frac"] == 1
    has_credit = name not in ("outcome", "penalized", "correction_1", "offline")
    assert (metrics["mean_credit_frac"] > 0) == has_credit
    before, after = (load_policy(world.folder / part).state_dict() for part in ("policy", "next"))
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_the_first_attempt_is_held_near_the_reference(world: World) -> None:
    start = {"objective": "self_correction", "correction_stage": 1, "epochs": 12}
    far, near = (
        world.run(**start, kl_coefficient=weight)["mean_reference_kl_nats"]
        for weight in (1e-6, 10.0)
    )
    assert near < far


def test_what_the_correction_does_is_reported(world: World) -> None:
    metrics = world.run(importance_correction={"kind": "truncate", "cap": 1.2})
    assert 0.5 < metrics["mean_importance"] < 2
    assert 0 < metrics["mean_importance_ess_frac"] < 1
    assert 0 < metrics["mean_importance_clipped_frac"] < 1
    assert "mean_reference_kl_nats" not in metrics


def test_a_killed_update_goes_on_to_the_same_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With terms that are fixed before the first step: they must be those of the parent after the
    kill, too.
    """
    terms = {"kl_coefficient": 0.1, "importance_correction": {"kind": "mask", "cap": 1.5}}
    whole = world.run(**terms), world.weights
    step: Callable[..., dict[str, float]] = Trainer.step
    with monkeypatch.context() as patch:
        patch.setattr(
            Trainer, "step", lambda self, *rest: step(self, *rest) if self.num_steps < 3 else 1 / 0
        )
        with pytest.raises(ZeroDivisionError):
            world.run(**terms)
    steps_taken = []
    with monkeypatch.context() as patch:
        patch.setattr(
            Trainer, "step", lambda self, *rest: steps_taken.append(0) or step(self, *rest)
        )
        again = world.run(**terms), world.weights
    assert len(steps_taken) == 1
    assert again == whole


def test_an_adapter_is_trained_killed_and_trained_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next round starts where this one ended; neither writes the base, moments, or another name
    than peft's.
    """
    lora = {"lora": {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}}
    base = (world.folder / "policy" / "model.safetensors").read_bytes()
    world.run(**lora)
    whole = (world.folder / "next" / ADAPTER_FILE).read_bytes()
    step: Callable[..., dict[str, float]] = Trainer.step
    with monkeypatch.context() as patch:
        patch.setattr(
            Trainer, "step", lambda self, *rest: step(self, *rest) if self.num_steps < 3 else 1 / 0
        )
        with pytest.raises(ZeroDivisionError):
            world.run(**lora)
    world.run(**lora)
    assert (world.folder / "next" / ADAPTER_FILE).read_bytes() == whole
    (world.folder / "policy").rename(world.folder / "first")
    (world.folder / "next").rename(world.folder / "policy")
    with pytest.raises(
        BadInput, match=r"recipes.information.update.lora: None, but the policy is an adapter"
    ):
        world.run()
    world.run(**lora)
    after = load_file(world.folder / "next" / ADAPTER_FILE)
    assert load_file(world.folder / "policy" / ADAPTER_FILE).keys() == after.keys()
    assert all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in after)
    assert (world.folder / "next" / "base" / "model.safetensors").read_bytes() == base


def test_two_processes_are_killed_and_go_on_to_what_one_comes_to(world: World) -> None:
    """First the stage is killed, then one of its processes: the others end with it each time."""
    terms = {"kl_coefficient": 0.1, "epochs": 6}
    stage = world.start(num_processes=2, **terms)
    at_work = world.next_checkpoint(stage)
    assert len(at_work) == 2
    stage.kill()
    _, left = psutil.wait_procs(at_work, timeout=30)
    assert not left
    stage = world.start(num_processes=2, **terms)
    at_work = world.next_checkpoint(stage)
    at_work[1].kill()
    _, complaint = stage.communicate(timeout=60)
    assert stage.returncode == EXIT_MACHINE
    assert "error: update: process 1 of 2 was killed by signal 9" in complaint
    assert not any(process.is_running() for process in at_work)
    assert not (world.folder / "next").exists()
    stage = world.start(num_processes=2, **terms)
    _, complaint = stage.communicate(timeout=400)
    assert stage.returncode == 0, complaint
    together, metrics = (
        load_file(world.folder / "next" / "model.safetensors"),
        read_json(world.folder / "metrics.json"),
    )
    config = (world.folder / "next" / "config.json").read_bytes()
    assert not list((world.folder / "scratch").iterdir())
    alone = world.run(**terms)
    assert (world.folder / "next" / "config.json").read_bytes() == config
    assert metrics["num_steps"] == alone["num_steps"] == 12
    assert metrics["tokens"] == alone["tokens"]
    for name, weights in load_file(world.folder / "next" / "model.safetensors").items():
        moved = (weights - load_policy(world.folder / "policy").state_dict()[name]).abs().max()
        assert (weights - together[name]).abs().max() < 0.01 * moved, name


def test_the_reference_is_read_only_where_the_loss_needs_it(world: World) -> None:
    (world.folder / "reference" / "model.safetensors").unlink()
    world.run()
    with pytest.raises(BadInput, match="reference"):
        world.run(kl_coefficient=0.1)


@pytest.mark.parametrize("name", ["process", "correction_1", "correction_2"])
def test_an_objective_that_grades_attempts_needs_some(name: str, world: World) -> None:
    world.rewrite(SEGMENTS, attempt_verdict=None, self_verdict=None)
    with pytest.raises(
        BadInput, match=r"recipe information: objective \w+ grades attempts, and none of 36 segment"
    ):
        world.run(**OBJECTIVES[name])
    assert not (world.folder / "next").exists()


def test_segments_without_verdicts_are_credited_for_information(world: World) -> None:
    world.rewrite(SEGMENTS, attempt_verdict=None, self_verdict=None)
    metrics = world.run(objective="information")
    assert metrics["mean_credit_frac"] > 0
    assert metrics["verdicts"] == {"false_positive_frac": None, "false_negative_frac": None}


def test_a_round_with_nothing_to_learn_from_is_refused(world: World) -> None:
    world.rewrite(SCORES, reward=1.0, verdict="correct")
    with pytest.raises(
        BadInput, match=r"no rollout of 12 has anything to learn from .*'filtered_group': 12"
    ):
        world.run(filter_groups="one_outcome")


def test_nothing_trains_on_what_was_not_validated(world: World) -> None:
    write_json(world.folder / "validation.json", {"success": False})
    with pytest.raises(BadInput, match="validate@i1"):
        world.run()
