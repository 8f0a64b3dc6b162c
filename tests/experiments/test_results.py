"""A comparison of known numbers: `information` in two rounds is as far as `outcome` in four."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from experiments import figures, results
from experiments.exams import Curves
from experiments.gather import Arm
from experiments.page import page
from experiments.saturation import sigmoid
from stages.running.errors import BadInput
from tests.experiments.chains import PARAMS, make_folder

PAIR = "information_minus_outcome"


class Run:
    """One run of the command on a folder of chains."""

    def __init__(self, profile: Path, folder: Path) -> None:
        self.profile, self.folder, self.out = profile, folder, folder.parent / "out"

    def results(self) -> dict[str, Any]:
        """What it writes."""
        results.main(self.profile, self.folder, self.out / "toy.json", self.out, (), PARAMS)
        content: dict[str, Any] = json.loads((self.out / "toy.json").read_text())
        return content


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(*make_folder(tmp_path_factory.mktemp("finished")))
    run.results()
    return run


@pytest.fixture(scope="module")
def compared(finished: Run) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((finished.out / "toy.json").read_text())
    return content


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    shutil.copytree(finished.folder, tmp_path / "chains")
    return Run(finished.profile, tmp_path / "chains")


def sure(value: float) -> dict[str, float]:
    """Of runs and problems that all agree."""
    return {"mean": value, "low": value, "high": value}


def test_it_says_what_it_is_of(compared: Mapping[str, Any], finished: Run) -> None:
    assert compared["command"].startswith(
        f"python -m experiments.results --profile {finished.profile} --folder"
    )
    assert compared["commit"] == "0123abcd"
    assert compared["baseline"] == "outcome"
    assert compared["chains"]["outcome"] == ["outcome-init1-seed5", "outcome-init2-seed5"]
    assert (compared["num_runs"], compared["missing"], compared["num_unverified_problems"]) == (
        2,
        [],
        0,
    )
    assert compared["num_problems"] == {"all": 4, "difficulty_3": 2, "difficulty_10": 2}
    assert compared["exam_rounds"] == [0, 2, 4]
    assert compared["trained_difficulties"] == [3]


def test_costs_count_probes_only_where_the_objective_learns_from_them(
    compared: Mapping[str, Any],
) -> None:
    """A round samples 100 tokens, probes 250 and trains 50, which count three times."""
    costs = {arm: entry["costs"] for arm, entry in compared["arms"].items()}
    assert costs["outcome"]["rollout_tokens"]["by_round"] == [[100.0] * 4] * 2
    assert costs["outcome"]["probe_tokens"] == costs["information"]["probe_tokens"]
    assert costs["outcome"]["compute_tokens"]["cumulative"] == [[250.0, 500, 750, 1000]] * 2
    assert costs["information"]["compute_tokens"]["cumulative"] == [[500.0, 1000, 1500, 2000]] * 2
    assert costs["outcome"]["seconds"]["by_round"] == [[12.0] * 4] * 2  # six steps of two seconds


def test_the_end_by_hand(compared: Mapping[str, Any]) -> None:
    """Success at 0, 8 and 16 tokens: 0, 1/2, 1 of `outcome`, 0, 1, 1 of `information`."""
    for level in compared["num_problems"]:
        end = {arm: entry["final"][level] for arm, entry in compared["arms"].items()}
        assert end["outcome"] == {
            "budget_0": sure(0),
            "budget_8": sure(0.5),
            "budget_16": sure(1),
            "normalized_regret": sure(0.5),
            "thinking_adds": sure(0.5),
            "gain_at_16": sure(0.5),
        }
        assert end["information"]["normalized_regret"] == sure(0.25)
        by_run = {arm: entry["by_run"][level] for arm, entry in compared["arms"].items()}
        at_eight = {arm: np.array(runs)[:, -1, :, 1].tolist() for arm, runs in by_run.items()}
        assert at_eight == {"outcome": [[0.5, 0.5]] * 2, "information": [[1.0, 1.0]] * 2}
        less = compared["differences"][PAIR]["final"][level]
        assert (less["budget_8"], less["normalized_regret"]) == (sure(0.5), sure(-0.25))


def test_at_equal_cost(compared: Mapping[str, Any]) -> None:
    """For equal sampled tokens, four rounds each; for equal compute, two rounds against four."""
    matched = compared["differences"][PAIR]["matched"]
    assert (matched["rollout_tokens"]["cost"], matched["compute_tokens"]["cost"]) == (400, 1000)
    assert matched["rollout_tokens"]["all"]["budget_8"] == sure(0.5)
    assert matched["compute_tokens"]["all"]["budget_8"] == sure(0)


def test_half_the_tokens_are_a_ratio_of_one_half(compared: Mapping[str, Any]) -> None:
    reach = compared["differences"][PAIR]["reach"]
    for level in compared["num_problems"]:
        assert reach["rollout_tokens"][level] == {
            "level": 0.5,
            "ratio": sure(0.5),
            "inverse": sure(2.0),
            "never_frac": 0,
            "undefined_frac": 0,
        }
        assert reach["compute_tokens"][level]["ratio"] == sure(1.0)


def test_learning_and_drift(compared: Mapping[str, Any]) -> None:
    course = compared["arms"]["information"]["learning"]["all"]
    assert [at["success"]["mean"] for at in course] == [0, 0.5, 1]
    assert [at["rollout_tokens"] for at in course] == [0, 200, 400]
    watched = compared["arms"]["information"]["rounds"]
    assert watched["last_entropy_nats"] == [0.5, 0.4, 0.3, 0.2]
    assert watched["false_positive_frac"] == [None, 0.25, 0.25, 0.25]
    assert watched["thinking_tokens"] == [2.5] * 4  # rollouts of 4, 4, 2 and 0 tokens
    exams = compared["arms"]["information"]["exams"]
    assert exams["thinking_tokens"] == [16.0] * 3
    assert exams["false_positive_frac"] == [0.5] * 3


def test_drift_by_hand(compared: Mapping[str, Any]) -> None:
    """Of two answers to a problem one calls its miss a hit; none repeats, all are forced at 16."""
    for level in compared["num_problems"]:
        assert compared["arms"]["information"]["drift"][level] == {
            "repeat_frac": sure(0),
            "false_positive_frac": sure(0.5),
            "false_negative_frac": sure(0),
            "forced_frac": sure(1),
            "thinking_tokens": sure(16),
            "last_entropy_nats": sure(0.2),
        }
        assert compared["differences"][PAIR]["drift"][level]["false_positive_frac"] == sure(0)


def test_a_lead_by_other_lights(compared: Mapping[str, Any]) -> None:
    """All runs and problems agree on half a success, at both temperatures."""
    pair = compared["differences"][PAIR]
    assert (compared["temperatures"], compared["num_comparisons"]) == ([1.0, 0.35], 3)
    for level in compared["num_problems"]:
        assert compared["num_reserved_problems"][level] > 0
        assert compared["init"][level]["budget_8"] == sure(0)
        assert compared["arms"]["information"]["temperatures"][level] == [1.0] * 3
        assert compared["arms"]["information"]["over_init"][level]["budget_8"] == sure(1)
        assert pair["corrected"][level] == sure(0.5)
        assert pair["by_temperature"][level] == {"1.0": sure(0.5), "0.35": sure(0.5)}
        assert pair["by_init"][level] == {"mean": 0.5, "num_inits": 2, "t": None, "p": None}


def test_what_an_arm_is_shown_is_said(compared: Mapping[str, Any]) -> None:
    shown = {arm: entry["supervision"] for arm, entry in compared["arms"].items()}
    assert shown == {
        "outcome": "verdicts on its answers",
        "information": "the list of right answers",
    }


def test_the_page_has_the_numbers(finished: Run) -> None:
    text = (finished.out / "toy.md").read_text()
    assert (
        "2 runs an arm (outcome-init1-seed5, outcome-init2-seed5 and their like), 4 rounds each"
        in text
    )
    assert "| information | 0.50 [0.50, 0.50]       | 2.00 [2.00, 2.00]" in text
    assert "| information | +0.0 [0.0, 0.0] | +50.0 [50.0, 50.0] |" in text
    assert "toy-learning.svg" in text


def test_a_chain_of_enough_exams_has_a_ceiling(finished: Run, compared: Mapping[str, Any]) -> None:
    experiment = results.gather(finished.profile, finished.folder, PARAMS)
    longer = experiment._replace(exam_rounds=np.array([0, 4, 8, 16, 24]))
    of_exam = sigmoid(longer.exam_rounds.astype(float), 0.2, 0.6, 6.0, 1.0)
    success = np.broadcast_to(of_exam[None, :, None, None], (2, 5, 3, 3))
    found = results.saturated(longer, Curves(success, np.zeros(5, int)))
    assert found == {
        "ceiling": sure(pytest.approx(0.6, abs=1e-3)),
        "half_rounds": sure(pytest.approx(6.0, abs=0.1)),
        "unseen_frac": 0.0,
    }
    assert {*compared["arms"]["outcome"]["saturation"].values()} == {None}
    arms = {name: {**arm, "saturation": {}} for name, arm in compared["arms"].items()}
    for arm in arms.values():
        arm["saturation"] = dict.fromkeys(compared["num_problems"], found)
    assert "| outcome     | 60.0 [60.0, 60.0] | 6.0" in page({**compared, "arms": arms}, "toy")


def test_runs_that_spend_differently_are_read_at_their_own_costs() -> None:
    costs = {"rollout_tokens": np.array([[1.0, 2, 4], [3, 3, 3]])}
    arm = Arm(np.zeros((2, 2, 1, 1, 1)), costs, {}, {}, {}, "")
    assert arm.spent("rollout_tokens", np.array([0, 2])).tolist() == [[0, 3], [0, 6]]


def test_seeds_that_are_not_finished_under_every_arm_are_left_out(
    copied: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied.folder / "done/information-init1-seed5-evaluate").unlink()
    results = copied.results()
    assert results["missing"] == ["information-init1-seed5"]
    assert results["chains"] == {
        "outcome": ["outcome-init2-seed5"],
        "information": ["information-init2-seed5"],
    }
    said = capsys.readouterr().err
    assert "1 chain(s) missing: information-init1-seed5" in said
    assert "comparing 2 arms on 1 run(s) each" in said
    (copied.folder / "done/outcome-init2-seed5-evaluate").unlink()
    with pytest.raises(
        BadInput, match=r"under no seeds .* \(2 of 4 .* first information-init1-seed5"
    ):
        copied.results()


def test_of_an_experiment_half_done_some_arms_are_compared(copied: Run, tmp_path: Path) -> None:
    wider = yaml.safe_load(copied.profile.read_text())
    wider["arms"]["later"] = {}
    copied.profile = tmp_path / "toy.yaml"
    copied.profile.write_text(yaml.safe_dump(wider, sort_keys=False))
    with pytest.raises(BadInput, match="under no seeds are all arms finished"):
        copied.results()
    some = ("outcome", "information")
    results.main(copied.profile, copied.folder, copied.out / "o.json", copied.out, some, PARAMS)
    written = json.loads((copied.out / "o.json").read_text())
    assert (written["num_runs"], {*written["arms"]}) == (2, {*some})
    assert "--arms outcome information" in written["command"]
    for wrong, message in ((("outcome", "none"), "no arm none; choose"), (some[:1], "two arms")):
        with pytest.raises(BadInput, match=message):
            results.main(
                copied.profile, copied.folder, copied.out / "o.json", copied.out, wrong, PARAMS
            )


def test_a_chain_that_ran_with_something_else_is_refused(copied: Run) -> None:
    path = copied.folder / "information-init2-seed5/params.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["recipes"]["information"]["update"]["objective"]["alpha"] = 0.25
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    with pytest.raises(BadInput, match=r"information-init2-seed5/params\.yaml is not what"):
        copied.results()


def test_facts_that_a_restored_step_has_not_are_asked_for(copied: Run) -> None:
    (copied.folder / "outcome-init1-seed5/data/rounds/c3/probes.run.json").unlink()
    with pytest.raises(
        BadInput, match=r"c3/probes.run.json is missing: .* `dvc repro --force --single-item`"
    ):
        copied.results()


def test_figures_are_whole_and_the_same_again(finished: Run, copied: Run) -> None:
    before = {path.name: path.read_bytes() for path in finished.out.glob("*.svg")}
    names = ("learning", "success", "temperature", "differences")
    assert set(before) == {f"toy-{name}.svg" for name in names}
    copied.results()
    assert {path.name: path.read_bytes() for path in copied.out.glob("*.svg")} == before
    for content in before.values():
        text = content.decode()
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "information" in text
        assert "date" not in text
        assert "#010101" not in text  # the report's stand-ins for its own colours


def test_an_interval_that_does_not_exist_leaves_a_gap() -> None:
    series = figures.Series(
        "arm", figures.looks(["arm"])["arm"], [0, 1], [sure(0.5), dict.fromkeys(sure(0), None)]
    )
    svg = figures.render("gap", [[figures.Plot("title", "x", "y", [series])]])
    assert "nan" not in svg.lower()
