"""A folder as the graph leaves it: exams, rounds and metrics small enough to compute by hand."""

import json
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from fixtures.checkouts import ROOT
from fixtures.rows import Row, row
from stages.compare import __main__ as compare
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.grades import GRADES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.evaluate import __main__ as evaluate
from stages.evaluate.exam_sums import read_sums
from stages.evaluate.intervals import Intervals
from stages.report import __main__ as report
from stages.summarize import __main__ as summarize

HOSTILE = '<script>alert("x")</script>'
WORDS = ["<pad>", "<bos>", "<eos>", "#", "=", "<", "one", "two", HOSTILE]
BUDGETS = [0, 8, 16]
TEMPERATURES = [1.0, 0.35]

# Reward of each held-out problem at each budget: its first sample, its second.
REWARDS = {
    "r0": {
        "p0": ([0, 0, 1], [0, 0, 1]),
        "p1": ([0, 1, 1], [0, 0, 1]),
        "p2": ([0, 0, 0],) * 2,
        "p3": ([0, 0, 1],) * 2,
    },
    "i2": {
        "p0": ([0, 1, 1],) * 2,
        "p1": ([1, 1, 1],) * 2,
        "p2": ([0, 1, 1],) * 2,
        "p3": ([0, 0, 0],) * 2,
    },
    "o1": {
        "p0": ([0, 0, 1],) * 2,
        "p1": ([0, 0, 1],) * 2,
        "p2": ([0, 0, None], [0, 0, 0]),
        "p3": ([0, 0, 0],) * 2,
    },
}
VERDICTS = {1: "correct", 0: "incorrect", None: "error"}
ANSWER = "# one <eos>"
DIFFICULTY = {"p0": 3, "p1": 3, "p2": 10, "p3": 10}
RESERVED = {"v0": 3, "v1": 10}


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
            "policies_dir": data / "policies",
            "comparisons": data / "report" / "comparisons.json",
            "summary": data / "report" / "summary.json",
            "page": self.out / "report.html",
            "params_file": self.params,
        }

    def report(self) -> str:
        """Run the stage; its page."""
        report.main(**self.arguments)
        return (self.out / "report.html").read_text()

    def compare(self) -> dict[str, Any]:
        """Run the stage before; its comparisons."""
        comparisons = self.arguments["comparisons"]
        compare.main(self.data / "exams", comparisons, self.params)
        comparisons_by_pair: dict[str, Any] = json.loads(comparisons.read_text())
        return comparisons_by_pair

    def summarize(self, only_measured: bool = False) -> dict[str, Any]:
        """Run the stage between; its summary."""
        summary, points = self.arguments["summary"], self.data / "report" / "points"
        files = [points / f"{name}.json" for name in ("success", "rounds", "steps")]
        given = (self.data / "metrics", self.arguments["comparisons"], summary, *files)
        summarize.main(*given, only_measured=only_measured, params_file=self.params)
        summarized: dict[str, Any] = json.loads(summary.read_text())
        return summarized

    def edit_params(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change params.yaml in place."""
        raw = yaml.safe_load(self.params.read_text())
        edit(raw)
        self.params.write_text(yaml.safe_dump(raw, sort_keys=False))


def round_entry(parent: str, recipe: str, seed: int) -> dict[str, Any]:
    return {"parent": parent, "reference": "r0", "recipe": recipe, "judge": "exact", "seed": seed}


def write_params(path: Path) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["inits"] = {"r0": raw["inits"]["r0"]}
    raw["rounds"] = {
        "i1": round_entry("r0", "information", 1),
        "i2": round_entry("i1", "information", 2),
        "o1": round_entry("r0", "outcome", 1),
    }
    raw["exam"]["budgets_tokens"], raw["exam"]["temperatures"] = BUDGETS, TEMPERATURES
    raw["exams"] = {policy: {"judge": "exact"} for policy in ("r0", "i2", "o1")}
    raw["evaluate"]["num_resamples"] = 200
    raw["report"] = {"num_rollouts": 2, "training_budget_tokens": 8}
    path.write_text(yaml.safe_dump(raw, sort_keys=False))


def tokenizer() -> Renderer:
    made = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<pad>")
    )
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Renderer(made)


def exam_rows(temperature: float, rewards: Mapping[str, Any], is_best: bool) -> list[Row]:
    """Grades of held-out problems as given, and of reserved ones: right where it is best.

    Each answer is that of two attempts, one called wrong and one right.
    """
    reserved = {name: ([int(is_best)] * len(BUDGETS),) for name in RESERVED}
    rows = []
    for problem, samples in {**rewards, **reserved}.items():
        for sample, curve in enumerate(samples):
            place = {
                "problem_id": problem,
                "split": "reserved" if problem in RESERVED else "heldout",
                "difficulty": {**DIFFICULTY, **RESERVED}[problem],
                "temperature": temperature,
            }
            for budget, reward in zip(BUDGETS, curve, strict=True):
                rows.append(
                    row(
                        GRADES,
                        **place,
                        sample_index=sample,
                        budget_tokens=budget,
                        verdict=VERDICTS[reward],
                        answer=f"answer {reward}",
                        num_segments=2,
                        num_hits=1,
                        num_judged_hits=1,
                        num_judged_misses=1,
                        num_false_positives=sample,
                    )
                )
    return rows


def write_exam(
    world: World,
    policy: str,
    rewards: dict[str, Any],
    colder: dict[str, Any] | None = None,
    best: float = 1.0,
) -> None:
    """Grades at temperature 1 as given, colder ones, and their metrics.

    On reserved problems `best` is the better temperature. Colder answers are worth what the others
    are, unless they are given.
    """
    rows = exam_rows(1.0, rewards, best == 1.0)
    rows += exam_rows(0.35, colder or rewards, best == 0.35)
    path = world.data / "exams" / policy / "grades.parquet"
    write_table(path, GRADES, rows)
    settings = load(world.params)
    asked = (
        settings.exam.temperatures,
        settings.report.training_budget_tokens,
        Intervals(settings.evaluate),
    )
    levels = evaluate.by_level(read_sums(path))
    metrics = {level: evaluate.grade(part, *asked) for level, part in levels}
    curriculum = evaluate.next_training(metrics)
    write_json(
        world.data / "metrics/exams" / f"{policy}.json", {**metrics, "curriculum": curriculum}
    )


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def thought(
    text: str, progress: float | None, verdict: str | None, claim: bool | None
) -> dict[str, Any]:
    return {"text": text, "progress": progress, "verdict": verdict, "claim": claim}


# Two rollouts of each of two problems: thoughts, reward, how it finished.
CONTENTS = {
    ("q0", 0): (
        [
            thought(f"{HOSTILE} =", 0.5, "correct", True),
            thought("two <", -0.25, "incorrect", False),
        ],
        1.0,
        "stop",
    ),
    ("q0", 1): (
        [thought("one <", 0.25, "incorrect", True), thought("one <", 0.0, "incorrect", False)],
        0.0,
        "forced",
    ),
    ("q1", 0): ([thought("two =", None, "timeout", True)], None, "stop"),
    ("q1", 1): ([], 1.0, "length"),
}
# What two stages say of such a round in a few numbers, and its two optimizer steps.
SCORED = {
    "reward": 0.5,
    "success": 0.5,
    "success_stderr": 0.05,
    "thinking_tokens": 2.5,
    "one_outcome_frac": 0.5,
    "unparsable_frac": 0.0,
    "unended_frac": 0.0,
    "repeat_frac": 0.25,
}
UPDATED = {
    "entropy_nats": 0.3,
    "kl_nats": 0.01,
    "largest_group_share": 0.1,
    "max_abs_advantage": 2.0,
    "trained_frac": 0.9,
}
STEPS = [
    {"step": step, "loss": -0.5, "kl_nats": 0.01, "entropy_nats": 0.4 - 0.1 * step}
    for step in range(2)
]
# The same as a text task tells it: nothing claimed of an attempt, nothing known of progress.
SILENT = {
    key: ([thought(t["text"], None, None, None) for t in thoughts], reward, finish)
    for key, (thoughts, reward, finish) in CONTENTS.items()
}


def write_round(
    world: World, name: str, parent: str, contents: dict[tuple[str, int], Any], lost_tokens: int = 0
) -> None:
    renderer = tokenizer()
    rows: dict[str, list[Row]] = {"rollouts": [], "scores": [], "segments": [], "gains": []}
    for (problem, sample), (thoughts, reward, finish) in contents.items():
        of_rollout = {"rollout_id": f"{name}/{problem}/{sample}"}
        thinking = [renderer.encode(t["text"]) for t in thoughts]
        tokens = [*chain.from_iterable(thinking), *renderer.encode(ANSWER)]
        cue = len(tokens) - len(renderer.encode(ANSWER))
        rows["rollouts"].append(
            row(
                ROLLOUTS,
                **of_rollout,
                problem_id=problem,
                sample_index=sample,
                policy_id=parent,
                completion_tokens=tokens,
                cue=range(cue, cue + (finish == "forced")),
                num_thinking_tokens=cue,
                finish_reason=finish,
            )
        )
        rows["scores"].append(row(SCORES, **of_rollout, verdict=VERDICTS[reward], answer="one"))
        start = 0
        for index, (t, ids) in enumerate(zip(thoughts, thinking, strict=True)):
            place, end = {**of_rollout, "segment_index": index}, start + len(ids)
            verdicts = {"attempt_verdict": t["verdict"], "self_verdict": t["claim"]}
            span = {"start_token": start, "end_token": end}
            rows["segments"].append(row(SEGMENTS, **place, **span, **verdicts))
            rows["gains"].append(gain(place, t["progress"]))
            start = end
        place, span = {"segment_index": len(thoughts)}, {"start_token": start}
        span["end_token"] = len(tokens)
        rows["segments"].append(row(SEGMENTS, **of_rollout, **place, **span, kind="answer"))
    for table, content in rows.items():
        write_table(world.data / "rounds" / name / f"{table}.parquet", TABLES[table], content)
    num_tokens = sum(len(made["completion_tokens"]) for made in rows["rollouts"])
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
    folder, file = world.data / "metrics", f"{name}.json"
    write_json(folder / "updates" / file, metrics)
    write_json(folder / "summary/rounds" / file, SCORED)
    write_json(folder / "summary/updates" / file, UPDATED)
    write_json(folder / "curves/updates" / file, {"steps": STEPS})


def gain(place: Row, progress: float | None) -> Row:
    """A gain from success .25 on; unknown where progress is."""
    if progress is None:
        return row(GAINS, **place, success_before=None, success_after=None)
    return row(GAINS, **place, success_after=0.25 + progress, stderr=0.1)


def problem(name: str, split: str) -> Row:
    return row(
        PROBLEMS,
        problem_id=name,
        split=split,
        difficulty=DIFFICULTY.get(name, 3),
        prompt=f"{name} {HOSTILE} & co",
        answer=f"<img src=x onerror=alert({name})>",
        metadata="{}",
    )


def make_world(root: Path) -> World:
    world = World(root)
    root.mkdir(parents=True, exist_ok=True)
    write_params(world.params)
    rows = [problem(name, "heldout") for name in DIFFICULTY] + [
        problem(name, "train") for name in ("q0", "q1")
    ]
    write_table(world.data / "problems.parquet", PROBLEMS, rows)
    for policy, rewards in REWARDS.items():
        write_exam(world, policy, rewards)
    world.compare()
    for name, parent in (("i1", "r0"), ("i2", "i1"), ("o1", "r0")):
        write_round(world, name, parent, CONTENTS)
        tokenizer().save(world.data / "policies" / parent)
    write_json(
        world.data / "metrics/sft/r0.json",
        {"num_steps": 40, "final_loss": 1.0, "loss_curve": [4.0, 2.0, 1.0]},
    )
    world.summarize()
    return world
