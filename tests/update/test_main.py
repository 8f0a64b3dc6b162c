"""Real updates of a tiny policy, from tables on disk to the next policy.

A whole update runs under every objective, goes on after a kill to the same bytes, and refuses what
it cannot use.
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
from safetensors.torch import load_file

from fixtures.checkouts import ROOT
from fixtures.rows import row
from stages.contracts.origin import Origin
from stages.contracts.params.inits.model import ModelShape
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.contract import Table, part_name
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.advantages import ADVANTAGES
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.ledger import LEDGER
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.engines.adapters import ADAPTER_FILE
from stages.engines.new_policy import new_policy
from stages.engines.policy import load_policy, save_policy
from stages.engines.training.trainer import CHECKPOINT, CHECKPOINT_SECONDS, Trainer
from stages.running.errors import EXIT_MACHINE, BadInput
from stages.running.publish import read_json, write_json
from stages.tasks.formats import load_format
from stages.update.__main__ import main
from tests.update.by_hand import OBJECTIVES, PROFILE

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
        (self.folder / "listing.json").write_text("{}", encoding="utf-8")
        files = {
            name: f"{name}.parquet"
            for name in ("rollouts", "scores", "segments", "gains", "ledger", "advantages")
        }
        files |= {name: f"{name}.json" for name in ("validation", "metrics", "steps", "summary")}
        files |= {
            "policy": "policy",
            "code": "listing.json",
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
            path, table, [{**made, **columns} for made in read_table(path, table).to_pylist()]
        )


def round_rows(renderer: Renderer) -> dict[str, list[dict[str, Any]]]:
    """Four problems of three rollouts with one to three attempts; random rewards and gains."""
    rng = np.random.default_rng(0)
    rollouts, scores, segments, gains = [], [], [], []
    attempt, cue = renderer.encode(f"{ATTEMPT} {MISS}"), len(renderer.encode(CUE))
    answer = [*renderer.encode(f"{CUE} {ANSWER}"), renderer.eos_token]
    for index in range(12):
        place = {"problem_id": f"p{index // 3}", "sample_index": index % 3}
        num_attempts = 1 + index % 3
        thinking = attempt * num_attempts
        completion, end = [*thinking, *answer], len(thinking)
        verdict = "correct" if rng.random() < 0.5 else "incorrect"
        rollout = row(
            ROLLOUTS,
            **place,
            prompt_tokens=renderer.encode("<bos> 3 5 7 T36 :"),
            completion_tokens=completion,
            cue=range(end, end + cue) if index % 4 == 0 else range(0),
            sampler_logprobs=rng.normal(-5.35, 0.2, len(completion)).tolist(),
            num_thinking_tokens=end,
            seed=index,
        )
        rollouts.append(rollout)
        of_rollout = {"rollout_id": rollout["rollout_id"]}
        scores.append(row(SCORES, **of_rollout, verdict=verdict, answer=ANSWER))
        for j in range(num_attempts + 1):
            of_segment = {**of_rollout, "segment_index": j}
            verdict = "correct" if rng.random() < 0.5 else "incorrect"
            span = {"start_token": len(attempt) * j, "end_token": len(attempt) * (j + 1)}
            if j == num_attempts:
                span["end_token"] = len(completion)
                segments.append(row(SEGMENTS, **of_segment, **span, kind="answer"))
                continue
            segments.append(row(SEGMENTS, **of_segment, **span, attempt_verdict=verdict))
            progress, nats = rng.normal(0, 0.2), rng.normal(0, 1)
            success = {"success_before": 0.25, "success_after": 0.25 + progress}
            gains.append(row(GAINS, **of_segment, **success, info_gain_nats=nats))
    return {"rollouts": rollouts, "scores": scores, "segments": segments, "gains": gains}


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


CASES: dict[str, dict[str, Any]] = {
    "outcome": {"objective": OBJECTIVES["outcome"]},
    "penalized": {
        "objective": OBJECTIVES["outcome"],
        "length_penalty": 0.5,
        "filter_groups": "one_outcome",
    },
    "information": {
        "objective": {
            **OBJECTIVES["information"],
            "gain": "info_gain_nats",
            "credit_scale": "group",
        }
    },
    "control": {
        "objective": OBJECTIVES["information"],
        "control": "shuffled_rounds",
        "entropy_coefficient": 0.01,
    },
    "success": {"objective": OBJECTIVES["outcome"], "reward": "success"},
    "anytime": {"objective": OBJECTIVES["anytime"], "loss": "cispo"},
    "myopic": {"objective": OBJECTIVES["myopic"], "repeat_penalty": 0.1},
    "process": {"objective": OBJECTIVES["process"], "loss": "gspo"},
    "myopic_process": {"objective": OBJECTIVES["myopic_process"]},
    "correction_start": {"objective": OBJECTIVES["correction_start"], "kl_coefficient": 0.5},
    "correction": {"objective": {**OBJECTIVES["correction"], "alpha": 10.0}, "loss": "dr_grpo"},
    "offline": {"objective": OBJECTIVES["offline"]},
}


@pytest.mark.parametrize("name", CASES)
def test_an_update_runs_under_every_objective(name: str, world: World) -> None:
    metrics = world.run(**CASES[name])
    assert sum(metrics["tokens"].values()) == sum(
        len(tokens)
        for tokens in read_table(world.folder / "rollouts.parquet", ROLLOUTS)["completion_tokens"]
    )
    assert metrics["tokens"]["trained"] > 0
    assert metrics["num_steps"] == 4
    assert metrics["mean_grad_norm"] > 0
    assert metrics["verdicts"]["false_positive_frac"] == 0
    assert metrics["verdicts"]["false_negative_frac"] == 1
    has_credit = name not in ("outcome", "penalized", "success", "correction_start", "offline")
    assert (metrics["mean_credit_frac"] > 0) == has_credit
    assert metrics["max_abs_advantage"] > 0
    assert 0.25 <= metrics["largest_group_share"] <= 1
    before, after = (load_policy(world.folder / part).state_dict() for part in ("policy", "next"))
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_the_first_attempt_is_held_near_the_reference(world: World) -> None:
    start = {"objective": OBJECTIVES["correction_start"], "epochs": 12}
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
    """Terms fixed before the first step must be those of the parent after the kill, too."""
    terms = {"kl_coefficient": 0.1, "importance_correction": {"kind": "mask", "cap": 1.5}}
    at = world.folder / "advantages.parquet" / part_name(0, 1)
    whole = world.run(**terms), world.weights, at.read_bytes()
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
        again = world.run(**terms), world.weights, at.read_bytes()
    assert len(steps_taken) == 1
    assert again == whole


def test_an_adapter_is_trained_killed_and_trained_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next round starts where this one ended.

    Neither writes the base, moments, or another name than peft's.
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


@pytest.mark.parametrize("name", ["process", "correction_start", "correction"])
def test_an_objective_that_grades_attempts_needs_some(name: str, world: World) -> None:
    world.rewrite(SEGMENTS, attempt_verdict=None, self_verdict=None)
    with pytest.raises(
        BadInput, match=r"recipe information: objective \w+ grades attempts, and none of 36 segment"
    ):
        world.run(**CASES[name])
    assert not (world.folder / "next").exists()


def test_segments_without_verdicts_are_credited_for_information(world: World) -> None:
    world.rewrite(SEGMENTS, attempt_verdict=None, self_verdict=None)
    metrics = world.run(objective=OBJECTIVES["information"])
    assert metrics["mean_credit_frac"] > 0
    assert metrics["verdicts"] == {"false_positive_frac": None, "false_negative_frac": None}


def test_a_round_with_nothing_to_learn_from_is_refused(world: World) -> None:
    world.rewrite(SCORES, reward=1.0, verdict="correct")
    with pytest.raises(
        BadInput, match=r"no rollout of 12 has anything to learn from .*'filtered_group': 12"
    ):
        world.run(filter_groups="one_outcome")


@pytest.mark.parametrize("name", ["max_abs_advantage", "largest_group_share"])
def test_an_update_of_one_token_or_one_problem_is_refused(name: str, world: World) -> None:
    limits = {"max_abs_advantage": 1e3, "largest_group_share": 1.0}
    figure = world.run(limits=limits)[name]
    said = rf"{name} is .*, above recipes.information.update.limits.{name} .*: problem p\d would"
    with pytest.raises(BadInput, match=said):
        world.run(limits={**limits, name: 0.9 * figure})


NO_LIMITS = {"mean_nats": 1e9, "max_nats": 1e9, "min_ess_frac": 1e-9}


def by_a_policy(
    world: World, policy: str = "policy", temperature: float = 1.0, precision: str = "float32"
) -> None:
    """Put a policy's log-probabilities in the table of rollouts."""
    model = load_policy(world.folder / policy).to(getattr(torch, precision))
    path, rows = world.folder / "rollouts.parquet", []
    for made in read_table(world.folder / "rollouts.parquet", ROLLOUTS).to_pylist():
        tokens = torch.tensor([*made["prompt_tokens"], *made["completion_tokens"]])
        with torch.no_grad():
            logits = model(input_ids=tokens[None, :-1]).logits.float()[0] / temperature
        found = logits.log_softmax(-1).gather(-1, tokens[1:, None])[:, 0].tolist()
        found = found[-len(made["completion_tokens"]) :]
        is_own = [origin == Origin.SAMPLED for origin in made["token_origin"]]
        logprobs = [p if own else 0.0 for p, own in zip(found, is_own, strict=True)]
        rows.append({**made, "sampler_logprobs": logprobs})
    write_table(path, ROLLOUTS, rows)


def test_rollouts_of_the_policy_are_taken_at_a_learning_rate_of_nothing(world: World) -> None:
    """The self-test: nothing is learnt, and what the sampler said is what the trainer says."""
    temperature = load(PROFILE).recipes["information"].rollout.temperature
    by_a_policy(world, temperature=temperature)
    limits = {"mean_nats": 1e-6, "max_nats": 1e-5, "min_ess_frac": 0.999999}
    still = {"learning_rate": 1e-30, "weight_decay": 0.0}
    optimizer = {**load(PROFILE).recipes["information"].update.optimizer.model_dump(), **still}
    optimizer["betas"] = [*optimizer["betas"]]
    found = world.run(mismatch_limits=limits, optimizer=optimizer)
    assert found["mismatch"]["mean_nats"] < 1e-6
    assert found["mean_kl_nats"] < 1e-9
    by_a_policy(world, temperature=temperature, precision="bfloat16")
    rounded = {"mean_nats": 0.05, "max_nats": 0.5, "min_ess_frac": 0.9}
    assert 1e-5 < world.run(mismatch_limits=rounded)["mismatch"]["mean_nats"] < 0.05
    with pytest.raises(BadInput, match="mean_nats"):
        world.run(mismatch_limits=limits)


def test_another_policys_log_probabilities_and_exchanged_groups_are_refused(world: World) -> None:
    """By the limits of the default, within which the policy's own are."""
    recipe = yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]["information"]
    limits = recipe["update"]["mismatch_limits"]
    temperature = load(PROFILE).recipes["information"].rollout.temperature
    path = world.folder / "rollouts.parquet"
    renderer = Renderer.of_policy(world.folder / "policy")
    questions = {f"p{index}": renderer.encode(f"<bos> {index + 1} 5 7 T36 :") for index in range(4)}
    rows = read_table(path, ROLLOUTS).to_pylist()
    asked = [{**made, "prompt_tokens": questions[made["problem_id"]]} for made in rows]
    write_table(path, ROLLOUTS, asked)
    by_a_policy(world, temperature=temperature)
    world.run(mismatch_limits=limits)
    sound = read_table(path, ROLLOUTS).to_pylist()
    other = {"p0": "p1", "p1": "p0"}
    exchanged = [
        {**made, "prompt_tokens": questions[other.get(made["problem_id"], made["problem_id"])]}
        for made in sound
    ]
    write_table(path, ROLLOUTS, exchanged)
    with pytest.raises(BadInput, match=r"of rollout i1/p[01]/"):
        world.run(mismatch_limits=limits)
    write_table(path, ROLLOUTS, sound)
    by_a_policy(world, policy="reference", temperature=temperature)
    with pytest.raises(BadInput, match=r"mismatch_limits\.mean_nats"):
        world.run(mismatch_limits=limits)


@pytest.mark.parametrize(
    ("name", "tighter"), [("mean_nats", 0.9), ("max_nats", 0.9), ("min_ess_frac", 1.0)]
)
def test_log_probabilities_of_another_policy_are_refused(
    name: str, tighter: float, world: World
) -> None:
    """Those in the table are drawn at random: they are nobody's."""
    found = world.run(mismatch_limits=NO_LIMITS)["mismatch"]
    assert found["max_nats"] > found["mean_nats"] > 0.01
    assert found["ess_frac"] < 1
    limit = tighter * found.get(name, 1.0)
    said = (
        rf"the policy gives the tokens of \d+ rollouts other log-probabilities .*"
        rf"recipes.information.update.mismatch_limits.{name} .* completion token \d+ of rollout "
        r"i1/p\d/\d: -\S+ nats there, -\S+ by the policy"
    )
    with pytest.raises(BadInput, match=said):
        world.run(mismatch_limits={**NO_LIMITS, name: limit})


def test_the_table_of_advantages_is_what_was_trained(world: World) -> None:
    clipping = {"epochs": 3, "clip_low": 1e-6, "clip_high": 1e-6}
    metrics = world.run(**clipping)
    rows = read_table(world.folder / "advantages.parquet", ADVANTAGES).to_pandas()
    ledger = read_table(world.folder / "ledger.parquet", LEDGER).to_pandas()
    segments = read_table(world.folder / "segments.parquet", SEGMENTS).to_pandas()
    whole = rows.groupby(["rollout_id", "segment_index"])
    spans = whole.agg({"start_token": "min", "end_token": "max"}).reset_index()
    assert spans.equals(segments[[*spans.columns]].astype(spans.dtypes))
    by_rollout = rows.groupby("rollout_id")
    trained = by_rollout["num_trained_tokens"].sum()
    assert trained.tolist() == ledger["num_trained_tokens"].tolist()
    pulls = (rows["advantage"] * rows["num_trained_tokens"]).groupby(rows["rollout_id"]).sum()
    assert (pulls / trained).fillna(0).tolist() == pytest.approx(
        ledger["mean_advantage"].tolist(), abs=1e-6
    )
    parts = rows["outcome_advantage"] + rows["credit_advantage"]
    assert rows["advantage"].tolist() == pytest.approx(parts.tolist(), abs=1e-6)
    assert rows["is_stop"].sum() == (ledger["num_cue_tokens"] == 0).sum()
    is_trained = rows["num_trained_tokens"] > 0
    assert rows["clipped_frac"].notna().equals(is_trained)
    num_clipped = (rows["clipped_frac"] * rows["num_trained_tokens"]).sum()
    steps = json.loads((world.folder / "steps.json").read_text())["steps"][-2:]
    assert 0 < num_clipped < metrics["tokens"]["trained"]
    in_steps = sum(step["clip_frac"] for step in steps) / len(steps)
    assert num_clipped / metrics["tokens"]["trained"] == pytest.approx(in_steps, rel=0.3)


def test_nothing_trains_on_what_was_not_validated(world: World) -> None:
    write_json(world.folder / "validation.json", {"success": False})
    with pytest.raises(BadInput, match="validate@i1"):
        world.run()
