"""The page and the comparisons: right numbers, equal bytes, hostile text kept as text, and a real browser at peace."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from stages import report
from stages.contracts import params, tables
from stages.contracts.errors import BadInput
from stages.contracts.render import Renderer
from stages.contracts.report.chains import branch, chains, looks
from stages.contracts.report.excerpts import choose
from stages.contracts.report.page import points, tint
from tests.conftest import ROOT

HOSTILE = '<script>alert("x")</script>'
WORDS = ["<pad>", "<bos>", "<eos>", "#", "=", "<", "one", "two", HOSTILE]
BUDGETS = [0, 8, 16]
SECTIONS = ["headline", "budget", "differences", "information", "training", "rollouts", "lineage"]

# Reward of each held-out problem at each budget: its first sample, its second.
REWARDS = {
    "r0": {"p0": ([0, 0, 1], [0, 0, 1]), "p1": ([0, 1, 1], [0, 0, 1]), "p2": ([0, 0, 0],) * 2, "p3": ([0, 0, 1],) * 2},
    "i2": {"p0": ([0, 1, 1],) * 2, "p1": ([1, 1, 1],) * 2, "p2": ([0, 1, 1],) * 2, "p3": ([0, 0, 0],) * 2},
    "o1": {"p0": ([0, 0, 1],) * 2, "p1": ([0, 0, 1],) * 2, "p2": ([0, 0, None], [0, 0, 0]), "p3": ([0, 0, 0],) * 2},
}
DIFFICULTY = {"p0": 3, "p1": 3, "p2": 10, "p3": 10}


class World:
    """A folder with everything the report reads, and where it writes."""

    def __init__(self, root: Path) -> None:
        self.data, self.out, self.params = root / "data", root / "out", root / "params.yaml"

    @property
    def arguments(self) -> dict[str, Path]:
        """The stage's arguments."""
        data = self.data
        return {
            "problems": data / "problems.parquet",
            "metrics_dir": data / "metrics",
            "rounds_dir": data / "rounds",
            "exams_dir": data / "exams",
            "policies_dir": data / "policies",
            "page": self.out / "report.html",
            "comparisons": self.out / "comparisons.json",
            "params_file": self.params,
        }

    def report(self) -> tuple[str, dict[str, Any]]:
        """Run the stage; its page and comparisons."""
        report.main(**self.arguments)
        return (self.out / "report.html").read_text(), json.loads((self.out / "comparisons.json").read_text())

    def edit_params(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change params.yaml in place."""
        raw = yaml.safe_load(self.params.read_text())
        edit(raw)
        self.params.write_text(yaml.safe_dump(raw, sort_keys=False))


def write_params(path: Path) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["inits"] = {"r0": raw["inits"]["r0"]}
    raw["rounds"] = {
        "i1": {"parent": "r0", "recipe": "information", "seed": 1},
        "i2": {"parent": "i1", "recipe": "information", "seed": 2},
        "o1": {"parent": "r0", "recipe": "outcome", "seed": 1},
    }
    raw["exam"]["budgets_tokens"], raw["exams"] = BUDGETS, ["r0", "i2", "o1"]
    raw["evaluate"]["num_resamples"] = 200
    raw["report"] = {"num_rollouts": 2, "training_budget_tokens": 8}
    path.write_text(yaml.safe_dump(raw, sort_keys=False))


def tokenizer() -> Renderer:
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Renderer(made)


def write_exam(world: World, policy: str) -> None:
    rows = [
        {
            "problem_id": problem,
            "difficulty": DIFFICULTY[problem],
            "sample_index": sample,
            "budget_tokens": budget,
            "used_tokens": budget,
            "is_forced": True,
            "verdict": {1: "correct", 0: "incorrect", None: "error"}[reward],
            "reward": reward,
            "num_segments": 0,
            "num_repeats": 0,
            "num_hits": 0,
            "num_false_verdicts": 0,
        }
        for problem, samples in REWARDS[policy].items()
        for sample, curve in enumerate(samples)
        for budget, reward in zip(BUDGETS, curve, strict=True)
    ]
    tables.write(world.data / "exams" / policy / "grades.parquet", tables.GRADES, rows)
    by_budget = {f"budget_{budget}": 1.0 * budget for budget in BUDGETS}
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6}
    level = {
        "success": dict.fromkeys(by_budget, interval),
        "normalized_regret": interval,
        "used_tokens": by_budget,
        "forced_frac": dict.fromkeys(by_budget, 0.25),
        "repeat_frac": 0.1,
        "hit_frac": 0.2,
        "false_verdict_frac": 0.0,
        "num_problems": 4,
        "num_unverified": 0,
    }
    write_json(
        world.data / "metrics/exams" / f"{policy}.json", dict.fromkeys(["all", "difficulty_3", "difficulty_10"], level)
    )


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def thought(text: str, progress: float | None, verdict: str | None, claim: bool | None) -> dict[str, Any]:
    return {"text": text, "progress": progress, "verdict": verdict, "claim": claim}


# Two rollouts of each of two problems: thoughts, reward, how it finished.
ROLLOUTS = {
    ("q0", 0): (
        [thought(f"{HOSTILE} =", 0.5, "correct", True), thought("two <", -0.25, "incorrect", False)],
        1.0,
        "stop",
    ),
    ("q0", 1): ([thought("one <", 0.25, "incorrect", True), thought("one <", 0.0, "incorrect", False)], 0.0, "forced"),
    ("q1", 0): ([thought("two =", None, "timeout", True)], None, "stop"),
    ("q1", 1): ([], 1.0, "length"),
}
# The same as a text task tells it: nothing claimed of an attempt, nothing known of progress.
SILENT = {
    key: ([thought(t["text"], None, None, None) for t in thoughts], reward, finish)
    for key, (thoughts, reward, finish) in ROLLOUTS.items()
}


def write_round(
    world: World, name: str, parent: str, contents: dict[tuple[str, int], Any], lost_tokens: int = 0
) -> None:
    renderer = tokenizer()
    rows: dict[str, list[dict[str, Any]]] = {"rollouts": [], "scores": [], "segments": [], "gains": []}
    for (problem, sample), (thoughts, reward, finish) in contents.items():
        rollout_id = f"{name}/{problem}/{sample}"
        thinking = [renderer.encode(t["text"]) for t in thoughts]
        answer = renderer.encode("# one <eos>")
        tokens = [token for part in [*thinking, answer] for token in part]
        cue = len(tokens) - len(answer)
        rows["rollouts"].append(
            {
                "rollout_id": rollout_id,
                "problem_id": problem,
                "sample_index": sample,
                "policy_id": parent,
                "prompt_tokens": [1],
                "completion_tokens": tokens,
                "sampler_logprobs": [0.0] * len(tokens),
                "num_thinking_tokens": cue,
                "forced_start": cue,
                "forced_end": cue + (finish == "forced"),
                "finish_reason": finish,
                "seed": 0,
                "temperature": 1.0,
            }
        )
        verdict = {1.0: "correct", 0.0: "incorrect", None: "error"}[reward]
        rows["scores"].append({"rollout_id": rollout_id, "verdict": verdict, "reward": reward, "answer": "one"})
        start = 0
        for index, (t, part) in enumerate(zip(thoughts, thinking, strict=True)):
            known = t["progress"] is not None
            rows["segments"].append(
                segment(rollout_id, index, "attempt", start, start + len(part), t["verdict"], t["claim"])
            )
            rows["gains"].append(
                {
                    "rollout_id": rollout_id,
                    "segment_index": index,
                    "num_judged_before": 4,
                    "num_judged_after": 4,
                    "success_before": 0.25 if known else None,
                    "success_after": 0.25 + t["progress"] if known else None,
                    "progress": t["progress"],
                    "info_gain_nats": None,
                    "stderr": 0.1 if known else None,
                    "estimator": "forced_answer",
                }
            )
            start += len(part)
        rows["segments"].append(segment(rollout_id, len(thoughts), "answer", start, len(tokens), None, None))
    for table, content in rows.items():
        tables.write(world.data / "rounds" / name / f"{table}.parquet", tables.TABLES[table], content)
    num_tokens = sum(len(row["completion_tokens"]) for row in rows["rollouts"])
    accounted = {
        "trained": num_tokens - 1 - lost_tokens,
        "filtered_zero_advantage": 0,
        "truncated": 0,
        "errored": 0,
        "forced": 1,
    }
    metrics = {
        "tokens": accounted,
        "entropy_nats": {"first": 0.4, "last": 0.3},
        "max_logprob_difference_nats": 1e-5,
        "mean_kl_nats": 0.01,
    }
    write_json(world.data / "metrics/updates" / f"{name}.json", metrics)


def segment(
    rollout_id: str, index: int, kind: str, start: int, end: int, verdict: str | None, claim: bool | None
) -> dict[str, Any]:
    return {
        "rollout_id": rollout_id,
        "segment_index": index,
        "kind": kind,
        "start_token": start,
        "end_token": end,
        "attempt_verdict": verdict,
        "self_verdict": claim,
    }


def problem(name: str, split: str) -> dict[str, Any]:
    return {
        "problem_id": name,
        "task": "countdown",
        "split": split,
        "difficulty": DIFFICULTY.get(name, 3),
        "prompt": f"{name} {HOSTILE} & co",
        "answer": f"<img src=x onerror=alert({name})>",
        "metadata": "{}",
        "seed": 0,
    }


def make_world(root: Path) -> World:
    world = World(root)
    root.mkdir(parents=True, exist_ok=True)
    write_params(world.params)
    rows = [problem(name, "heldout") for name in DIFFICULTY] + [problem(name, "train") for name in ("q0", "q1")]
    tables.write(world.data / "problems.parquet", tables.PROBLEMS, rows)
    for policy in REWARDS:
        write_exam(world, policy)
    for name, parent in (("i1", "r0"), ("i2", "i1"), ("o1", "r0")):
        write_round(world, name, parent, ROLLOUTS)
        tokenizer().save(world.data / "policies" / parent)
    write_json(world.data / "metrics/sft/r0.json", {"num_steps": 40, "final_loss": 1.0, "loss_curve": [4.0, 2.0, 1.0]})
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str, dict[str, Any]]:
    """One run of the report, for tests that only look."""
    world = make_world(tmp_path_factory.mktemp("written"))
    return (world, *world.report())


class Elements(HTMLParser):
    """What a page is made of: its elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keep the element."""
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


def test_comparisons_are_those_computed_by_hand(written: tuple[World, str, dict[str, Any]]) -> None:
    compared = written[2]
    assert set(compared) == {"i2_minus_r0", "o1_minus_r0", "o1_minus_i2"}
    found = compared["i2_minus_r0"]
    assert set(found) == {"all", "difficulty_3", "difficulty_10"}
    assert set(found["all"]) == {"budget_0", "budget_8", "budget_16", "normalized_regret"}
    # At 8 tokens: p0 1 - 0, p1 1 - 1/2, p2 1 - 0, p3 0 - 0.
    assert found["all"]["budget_8"]["mean"] == 0.625
    assert found["difficulty_3"]["budget_8"]["mean"] == 0.75
    assert found["difficulty_10"]["budget_8"]["mean"] == 0.5
    # Of two problems that differ by 0 and 1, resamples have means 0, 1/2 and 1.
    assert found["difficulty_3"]["budget_0"] == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert found["difficulty_3"]["budget_16"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    # Areas of r0: 1/4, 1/2, 0, 1/4; of i2: 3/4, 1, 3/4, 0.
    assert found["all"]["normalized_regret"]["mean"] == -0.375


def test_a_failed_verifier_is_left_out_of_a_comparison(written: tuple[World, str, dict[str, Any]]) -> None:
    # p2's other sample is judged 0, so o1 − r0 at 16 tokens is p0 0, p1 0, p2 0, p3 −1.
    assert written[2]["o1_minus_r0"]["all"]["budget_16"]["mean"] == -0.25


def test_a_difference_that_rounds_to_zero_has_no_sign(world: World) -> None:
    before, after = (pd.DataFrame({8: [value]}, index=["p0"]) for value in (1e-6, 0.0))
    settings = params.load(world.params).evaluate
    found = report.differences(before, after, pd.Series({"p0": 3}), settings)
    assert str(found["all"]["budget_8"]["mean"]) == "0.0"


def test_measures_are_those_computed_by_hand(world: World) -> None:
    found = report.measure(report.read_round(world.data / "rounds/i1"))
    progress = np.array([0.5, -0.25, 0.25, 0.0])
    assert found == {
        "reward": pytest.approx(2 / 3),
        "thinking_tokens": pytest.approx((4 + 4 + 2 + 0) / 4),
        "one_outcome_frac": 0.5,
        "forced_frac": 0.25,
        "unended_frac": 0.25,
        "repeat_frac": pytest.approx(1 / 5),
        "false_verdict_frac": pytest.approx(1 / 5),
        "noise_frac": pytest.approx(0.01 / progress.var(ddof=1), rel=1e-6),
    }


def test_points_weigh_problems_alike_and_count_rollouts(world: World) -> None:
    settings = params.load(world.params).evaluate
    course = report.read_course(world.data / "rounds/i1", world.data / "metrics/updates/i1.json", settings)
    assert [(p.segment_index, p.mean, p.num_rollouts) for p in course.success] == [
        (0, 0.25, 2),
        (1, 0.625, 2),
        (2, 0.125, 2),
    ]
    assert [(p.segment_index, p.mean, p.num_rollouts) for p in course.progress] == [(0, 0.375, 2), (1, -0.125, 2)]


def test_rollouts_of_largest_spread_are_chosen_one_a_problem(world: World) -> None:
    gains = report.read_round(world.data / "rounds/i1").gains
    problem_of = {f"i1/{name}/{sample}": name for name, sample in ROLLOUTS}
    assert choose(gains, problem_of, 6) == ["i1/q0/0"]
    assert choose(gains, dict.fromkeys(problem_of, "") | {"i1/q0/1": "other"}, 6) == ["i1/q0/0", "i1/q0/1"]
    assert choose(gains, dict.fromkeys(problem_of, "") | {"i1/q0/1": "other"}, 1) == ["i1/q0/0"]


def test_the_last_information_round_is_shown(world: World) -> None:
    assert report.shown_round(params.load(world.params)) == "i2"
    world.edit_params(lambda raw: [entry.update(recipe="outcome") for entry in raw["rounds"].values()])
    assert report.shown_round(params.load(world.params)) == "o1"


def test_chains_and_branches_follow_the_tree(world: World) -> None:
    world.edit_params(lambda raw: raw["rounds"].update(b1={"parent": "i1", "recipe": "outcome", "seed": 3}))
    settings = params.load(world.params)
    assert chains(settings) == [["i1", "i2"], ["o1"], ["i1", "b1"]]
    root = branch(settings, "r0")
    assert root.policies == ["r0"]
    assert [(b.policies, len(b.branches)) for b in root.branches] == [(["i1"], 2), (["o1"], 0)]
    styles = looks(settings)
    assert len(set(styles.values())) == len(styles) == 5
    assert styles["i1"].marker == styles["i2"].marker != styles["b1"].marker


def test_bytes_do_not_depend_on_the_process_or_the_place(tmp_path: Path) -> None:
    pages = []
    for place, hash_seed in (("here", "1"), ("there", "2")):
        world = make_world(tmp_path / place)
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in world.arguments.items()]
        command = [sys.executable, "-m", "stages.report", *flags]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        pages.append([(world.out / name).read_bytes() for name in ("report.html", "comparisons.json")])
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0][0]
    assert not re.search(rb"\b20\d\d-\d\d-\d\d\b", pages[0][0])


def test_text_of_models_and_problems_stays_text(written: tuple[World, str, dict[str, Any]]) -> None:
    found = Elements(written[1])
    assert HOSTILE in found.text
    assert "<img src=x onerror=alert(q0)>" in found.text
    assert not {tag for tag, _ in found.elements} & {"script", "img"}
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]


def test_nothing_is_loaded(written: tuple[World, str, dict[str, Any]]) -> None:
    found = Elements(written[1])
    assert not {tag for tag, _ in found.elements} & {"link", "iframe", "object", "embed", "audio", "video", "image"}
    for tag, attributes in found.elements:
        assert not set(attributes) & {"src", "srcset", "background", "action"}, tag
        targets = [attributes[name] for name in ("href", "xlink:href") if name in attributes]
        assert all(target.startswith("#") for target in targets), targets
    assert "@import" not in written[1]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", written[1]))


def test_every_link_within_the_page_resolves_and_no_id_comes_twice(written: tuple[World, str, dict[str, Any]]) -> None:
    attributes = [attributes for _, attributes in Elements(written[1]).elements]
    ids = [a["id"] for a in attributes if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a[name][1:] for a in attributes for name in ("href", "xlink:href") if name in a}
    assert targets | set(re.findall(r"url\(#([^)]*)\)", written[1])) <= set(ids)


def test_sections_come_in_order_each_with_how_to_read_it(written: tuple[World, str, dict[str, Any]]) -> None:
    assert re.findall(r'<section id="(\w+)">', written[1]) == SECTIONS
    assert len(re.findall(r'</h2>\s*<p class="how">', written[1])) == len(SECTIONS)


def test_tokens_that_do_not_add_up_are_shown(world: World) -> None:
    assert "NOT equal" not in world.report()[0]
    write_round(world, "i2", "i1", ROLLOUTS, lost_tokens=1)
    assert world.report()[0].count("NOT equal") == 1


def test_a_single_initial_policy_is_enough(world: World) -> None:
    world.edit_params(lambda raw: raw.update(rounds={}, exams=["r0"]))
    shutil.rmtree(world.data / "rounds")
    page, compared = world.report()
    assert compared == {}
    assert re.findall(r'<section id="(\w+)">', page) == SECTIONS
    assert "nothing to compare" in page
    assert "No round has been trained" in page


def test_two_initial_policies_without_rounds_are_compared(world: World) -> None:
    def edit(raw: dict[str, Any]) -> None:
        raw.update(
            rounds={}, exams=["r0", "i2"], inits={"r0": raw["inits"]["r0"], "i2": copy.deepcopy(raw["inits"]["r0"])}
        )

    world.edit_params(edit)
    shutil.copy(world.data / "metrics/sft/r0.json", world.data / "metrics/sft/i2.json")
    assert set(world.report()[1]) == {"i2_minus_r0"}


def test_a_text_task_without_claims_or_known_progress_is_shown(world: World) -> None:
    for name, parent in (("i1", "r0"), ("i2", "i1"), ("o1", "r0")):
        write_round(world, name, parent, SILENT)
    page, _ = world.report()
    assert "No progress is known" in page
    assert "No round has rollouts with known progress" in page
    assert "False self-verdicts" not in page
    assert "Noise in progress" not in page
    assert "Groups with one outcome" in page


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("exams/i2/grades.parquet", "table grades"),
        ("metrics/exams/i2.json", "i2.json is missing"),
        ("metrics/updates/o1.json", "o1.json is missing"),
        ("metrics/sft/r0.json", "r0.json is missing"),
        ("rounds/i1/gains.parquet", "table gains"),
        ("policies/i1/tokenizer.json", "tokenizer.json is missing"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(missing: str, named: str, world: World) -> None:
    (world.data / missing).unlink()
    with pytest.raises(BadInput, match=named):
        world.report()
    assert not world.out.exists()


def test_metrics_without_a_number_are_refused(world: World) -> None:
    write_json(world.data / "metrics/updates/i1.json", {"tokens": {}})
    with pytest.raises(BadInput, match=r"i1.json has no entropy_nats.first"):
        world.report()


def test_a_training_budget_that_was_not_examined_is_refused(world: World) -> None:
    world.edit_params(lambda raw: raw["report"].update(training_budget_tokens=9))
    with pytest.raises(BadInput, match=r"no budget 9; choose from \[0, 8, 16\]"):
        world.report()


def test_metrics_of_other_budgets_are_refused(world: World) -> None:
    world.edit_params(lambda raw: raw["exam"].update(budgets_tokens=[0, 8]))
    with pytest.raises(BadInput, match="budgets"):
        world.report()


def test_exams_on_different_problems_are_not_paired(world: World) -> None:
    path = world.data / "exams/i2/grades.parquet"
    rows = tables.read(path, tables.GRADES).to_pylist()
    tables.write(path, tables.GRADES, [row for row in rows if row["problem_id"] != "p1"])
    with pytest.raises(BadInput, match="exams r0 and i2 asked different problems"):
        world.report()


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0312, "+3.1"), (-0.5, "\N{MINUS SIGN}50.0"), (0.0001, "0.0"), (-0.0001, "0.0"), (None, "–")],
)
def test_points_are_signed_and_zero_is_not(fraction: float | None, text: str) -> None:
    assert points(fraction) == text


def test_tint_grows_with_progress_and_tells_its_sign() -> None:
    def opacity(progress: float) -> float:
        return float(tint(progress).split(",")[-1].rstrip(")"))

    assert opacity(0) == 0
    assert 0 < opacity(0.1) < opacity(0.5) < opacity(1)
    assert opacity(-0.5) == opacity(0.5)
    assert tint(-0.5) != tint(0.5)


class Browser:
    """A headless Chromium that cannot reach any network, and what it logs."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder

    def open(self, page: Path, *flags: str) -> tuple[str, list[str], list[str]]:
        """The page's DOM, its console messages, and the URLs it asked the network for."""
        log = self.folder / "net.json"
        quiet = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        quiet += " disable-component-update disable-sync hide-scrollbars enable-logging=stderr v=0"
        quiet += f" proxy-server=127.0.0.1:9 user-data-dir={self.folder / 'profile'} log-net-log={log}"
        command = [self.program, *(f"--{flag}" for flag in quiet.split()), *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        console = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
        events = json.loads(log.read_text())["events"]
        asked = [event["params"] for event in events if "url" in event.get("params", {})]
        # The browser's own requests have no origin; a page's have one, if only "null".
        by_page = [a["url"] for a in asked if a.get("initiator", "not an origin") != "not an origin"]
        return done.stdout, console, [url for url in by_page if not url.startswith("file:")]


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None and "CI" in os.environ:
        pytest.fail("no Chromium; install the Debian package chromium")
    if program is None:
        pytest.skip("no Chromium to open the page with; install the Debian package chromium")
    return Browser(program, tmp_path)


def test_the_browser_notices_errors_and_requests(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "loud.html"
    page.write_text('<!DOCTYPE html><title>loud</title><img src="http://example.com/a.png"><script>nothing()</script>')
    _, console, asked = browser.open(page, "--dump-dom")
    assert any("nothing is not defined" in line for line in console)
    assert "http://example.com/a.png" in asked


def test_a_browser_shows_the_page_without_error_or_request(
    browser: Browser, written: tuple[World, str, dict[str, Any]], tmp_path: Path
) -> None:
    world = written[0]
    dom, console, asked = browser.open(world.arguments["page"], "--dump-dom")
    assert [name for name in SECTIONS if f'<section id="{name}">' in dom] == SECTIONS
    assert dom.count("<svg") >= 15
    assert "<script" not in dom
    assert console == []
    assert asked == []


@pytest.mark.parametrize("width", [1280, 500])
def test_figures_and_segments_are_drawn_within_the_width(
    width: int, browser: Browser, written: tuple[World, str, dict[str, Any]], tmp_path: Path
) -> None:
    world, shot = written[0], tmp_path / "shot.png"
    browser.open(world.arguments["page"], f"--screenshot={shot}", f"--window-size={width},9000")
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert pixels.shape[1] == width
    assert pixels.std() > 10
    for look in looks(params.load(world.params)).values():
        color = [int(look.color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (abs(pixels - color).max(axis=2) <= 2).sum() > 50, look
    margin = pixels[:, -8:].reshape(-1, 3)
    assert (margin == margin[0]).all(), "something sticks out of the page"
