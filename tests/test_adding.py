"""What CONTRIBUTING says of adding things, done in a copy of a finished checkout and run there."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fixtures.checkouts import succeed

ROUND = "i1"


class Copy:
    """A finished checkout of its own, to be changed."""

    def __init__(self, finished: Path, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(finished, folder, symlinks=True)
        succeed(["git", "add", "--all"], folder)
        succeed(["git", "commit", "--quiet", "--allow-empty", "--message", "finished"], folder)

    def write(self, name: str, text: str) -> None:
        """A new file."""
        path = self.folder / name
        assert not path.exists()
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Another text in the place of one that stands once."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def params(self, edit: Callable[[dict], None]) -> None:
        """An edit of params.yaml, which must still be valid."""
        path = self.folder / "params.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        edit(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        succeed(["python", "-m", "stages.contracts.params.whole"], self.folder)

    def touched(self) -> dict[str, int]:
        """Lines added to each file of code."""
        succeed(["git", "add", "--intent-to-add", "--all"], self.folder)
        stat = succeed(["git", "diff", "--numstat", "--", "*.py"], self.folder).splitlines()
        return {name: int(added) for added, _, name in (line.split("\t") for line in stat)}

    def run(self, *stages: str) -> list[str]:
        """Bring stages up to date by DVC; those that ran."""
        said = succeed(["dvc", "repro", *stages], self.folder)
        return [
            line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")
        ]

    def table(self, name: str) -> pd.DataFrame:
        """A table of the round."""
        return pd.read_parquet(self.folder / "data/rounds" / ROUND / f"{name}.parquet")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Copy:
    return Copy(finished, tmp_path / "copy")


def test_an_objective_is_a_class_a_formula_and_a_line(copy: Copy) -> None:
    """It weighs the outcome's advantage; nothing but the update runs again."""
    copy.replace(
        "stages/contracts/params/recipes/objective.py",
        "Objective = Annotated[\n    Outcome",
        '''class Weighed(ObjectiveTraits):
    """A = weight · A_out."""

    name: Literal["weighed"]
    weight: NotNegative


Objective = Annotated[
    Weighed | Outcome''',
    )
    copy.write(
        "stages/pure/objectives/weighed.py",
        '''"""Objective `weighed`: the outcome, weighed."""

from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.outcome import outcome


def weighed(arrays: RoundArrays, weight: float) -> Advantage:
    """A = weight · A_out on every segment."""
    plain = outcome(arrays)
    return plain._replace(outcome=weight * plain.outcome)
''',
    )
    table = "stages/update/advantage.py"
    copy.replace(
        table,
        "from stages.pure.objectives.tokens import",
        "from stages.pure.objectives.weighed import weighed\n"
        "from stages.pure.objectives.tokens import",
    )
    copy.replace(table, "    Regret,\n)", "    Regret,\n    Weighed,\n)")
    copy.replace(table, "    Outcome: outcome,\n", "    Outcome: outcome,\n    Weighed: weighed,\n")

    def chosen(params: dict) -> None:
        recipe = params["rounds"][ROUND]["recipe"]
        settings = params["recipes"][recipe]["update"]
        settings |= {"objective": {"name": "weighed", "weight": 0.5}, "filter_groups": None}

    copy.params(chosen)
    assert {*copy.touched()} == {
        "stages/contracts/params/recipes/objective.py",
        "stages/pure/objectives/weighed.py",
        table,
    }
    assert copy.touched()[table] == 3  # two imports and the line
    assert copy.run(f"update@{ROUND}") == ["code", f"update@{ROUND}"]

    rewards = copy.table("rollouts").merge(copy.table("scores"), on="rollout_id")
    groups = rewards.groupby("problem_id")["reward"]
    spread = groups.transform("std", ddof=0) + 1e-4
    rewards["expected"] = 0.5 * (rewards["reward"] - groups.transform("mean")) / spread
    found = copy.table("ledger").merge(rewards, on="rollout_id")
    trained = found[found["status"] == "trained"]
    assert len(trained) > 10
    assert np.allclose(trained["mean_advantage"], trained["expected"], atol=1e-6)
    assert (found.loc[found["status"] != "trained", "expected"] == 0).all()


def test_an_estimator_is_a_class_a_function_and_a_line(copy: Copy) -> None:
    """It values a boundary by the thinking before it, and passes the gate."""
    copy.replace(
        "stages/contracts/params/recipes/probe.py",
        "Probe = Annotated[\n    SetLikelihood",
        '''class Elapsed(ProbeTraits):
    """Thinking tokens before the boundary, over `full_tokens`."""

    estimator: Literal["elapsed"]
    success_from: ClassVar[Literal["value"]] = "value"
    full_tokens: Count


Probe = Annotated[
    Elapsed | SetLikelihood''',
    )
    copy.write(
        "stages/probe/elapsed.py",
        '''"""The estimator `elapsed`: success by the thinking done."""

from stages.contracts.params.recipes.probe import Elapsed
from stages.probe.inputs import ProbeInputs, Row, probe_row


def probe_by_elapsed(inputs: ProbeInputs, settings: Elapsed) -> list[Row]:
    """The share of `full_tokens` that each boundary has behind it."""
    rows = []
    for rollout in inputs.rollouts:
        for index, boundary in enumerate(rollout.boundaries):
            value = boundary / settings.full_tokens
            rows.append(probe_row(rollout, index, settings, value=value))
    return rows
''',
    )
    table = "stages/probe/__main__.py"
    copy.replace(
        table,
        "from stages.probe.inputs import",
        "from stages.probe.elapsed import probe_by_elapsed\nfrom stages.probe.inputs import",
    )
    copy.replace(
        table, "    Critic,\n    ForcedAnswer", "    Critic,\n    Elapsed,\n    ForcedAnswer"
    )
    copy.replace(
        table,
        "    Critic: probe_by_critic,\n",
        "    Critic: probe_by_critic,\n    Elapsed: probe_by_elapsed,\n",
    )

    def chosen(params: dict) -> None:
        recipe = params["rounds"][ROUND]["recipe"]
        params["recipes"][recipe]["probe"] = {"estimator": "elapsed", "full_tokens": 64}

    copy.params(chosen)
    assert {*copy.touched()} == {
        "stages/contracts/params/recipes/probe.py",
        "stages/probe/elapsed.py",
        table,
    }
    assert copy.touched()[table] == 3
    steps = ["code", *(f"{step}@{ROUND}" for step in ("probe", "infogain", "validate"))]
    assert copy.run(f"validate@{ROUND}") == steps

    segments = copy.table("segments")
    found = copy.table("gains").merge(segments, on=["rollout_id", "segment_index"])
    assert len(found) > 50
    lengths = (found["end_token"] - found["start_token"]) / 64
    assert np.allclose(found["progress"], lengths, atol=1e-6)
    assert (found["stderr"] == 0).all()
    assert found["info_gain_nats"].isna().all()


def test_another_verifier_of_a_task_is_a_file(copy: Copy) -> None:
    """It calls right what ends in an even number; attempts it knows none."""
    verifier = '''"""An answer is right that ends in an even number."""


class Even:
    def verify(self, metadata, answer):
        words = answer.split()
        if not words or not words[-1].isdigit():
            return None
        return int(words[-1]) % 2 == 0
'''
    copy.write("verifiers_of_mine/even.py", verifier)
    assert {*copy.touched()} == {"verifiers_of_mine/even.py"}
    sha256 = hashlib.sha256(verifier.encode()).hexdigest()

    def chosen(params: dict) -> None:
        source = {"source": "verifiers_of_mine.even:Even", "sha256": sha256}
        params["task"]["verifier"] = source

    copy.params(chosen)
    before = copy.table("scores")
    assert copy.run("--single-item", f"score@{ROUND}") == [f"score@{ROUND}"]
    scores = copy.table("scores")
    last = scores["answer"].str.split().str[-1]
    is_number = last.fillna("").str.fullmatch(r"\d+")
    is_even = is_number & (last.where(is_number, "1").astype(int) % 2 == 0)
    expected = np.where(is_even, "correct", np.where(is_number, "incorrect", "unparsable"))
    assert (scores["verdict"] == expected).all()
    assert (scores["verdict"] != before["verdict"]).sum() > 10
    assert copy.table("segments")["attempt_verdict"].isna().all()
