"""No name or value of params.yaml reaches a shell unchecked, however DVC is told to run a stage."""

import re
from pathlib import Path

import pytest
from dvc.utils.serialize import load_yaml

from fixtures.checkouts import PROFILES, ROOT, check_out, run

STAGES = load_yaml(str(ROOT / "dvc.yaml"))["stages"]
CHECK = "python -m stages.contracts.params.whole"
SOUND = "{parent: r0, reference: r0, recipe: sampled, judge: exact, seed: 9}"
NAMES = ["x; touch PWN; true", "x$(touch PWN)", "x`touch PWN`", "x\\ntouch PWN\\n", "x' 'PWN"]


@pytest.mark.parametrize("stage", [name for name, entry in STAGES.items() if "do" in entry])
def test_params_are_checked_by_a_command_before_the_one_with_names(stage: str) -> None:
    """DVC gives each line of a command to a shell of its own, and stops at the first that fails."""
    first, *others = STAGES[stage]["do"]["cmd"].splitlines()
    assert first == CHECK
    assert others


def test_no_other_command_has_anything_of_params_in_it() -> None:
    others = [entry["cmd"] for entry in STAGES.values() if "do" not in entry]
    assert not re.search(r"\$\{", "\n".join(others))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which whatever `rollout` reads is there, and nothing was run."""
    folder = check_out(tmp_path_factory.mktemp("plants") / "project", "tiny")
    run(["dvc", "config", "--local", "core.site_cache_dir", str(folder / ".site")], folder)
    for name in ("code/rollout.json", "problems.parquet", "format.json", "policies/r0/weights"):
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["--single-item", "--ignore-errors"])
def test_what_is_planted_in_a_name_does_not_run(name: str, how: str, project: Path) -> None:
    text = (PROFILES / "tiny.yaml").read_text()
    planted = text.replace("rounds:\n", f'rounds:\n  "{name}": {SOUND}\n', 1)
    (project / "params.yaml").write_text(planted)
    target = f"rollout@{name}".replace("\\n", "\n")
    done = run(["dvc", "repro", how, target], project)
    assert done.returncode or how == "--ignore-errors"
    assert not list(project.glob("PWN*"))
    assert "problem(s); mend and run again" in done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  s1: {parent: i1,", "  s1: {parent: 'i1; touch PWN',"),
        ("judges: {}", "judges: {g1: {base: 'r0; touch PWN', round: i1}}"),
        ("rounds:\n", f"rounds:\n  '--params-file=x': {SOUND}\n"),
        ("  s1: {judge: exact}", "  s1: {judge: 'exact; touch PWN'}"),
    ],
)
def test_a_plan_refuses_them_and_names_them(old: str, new: str, project: Path) -> None:
    text = (PROFILES / "tiny.yaml").read_text()
    assert old in text
    (project / "params.yaml").write_text(text.replace(old, new, 1))
    done = run(["knowhow", "plan"], project)
    assert done.returncode == 2
    assert "problem(s); mend and run again" in done.stderr
    assert not list(project.glob("PWN*"))
