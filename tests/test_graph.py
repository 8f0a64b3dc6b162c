"""dvc.yaml against the code: each stage has its listing, an edit re-runs what CONTRIBUTING says."""

import ast
import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from dvc.repo import Repo

from fixtures.checkouts import ROOT, run
from stages import code

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: entry.get("do", entry) for name, entry in GRAPH.items()}
STEPS = [name for name in STAGES if name != "code"]
LISTINGS = Path("data/code")
APPENDED, COMMENT = "EDITED = 1", "# edited"
SECTIONS = "stages/contracts/params"
SHARED_MODELS = ("base", "checksum", "rules", "whole")
TRAINING = r"inits|judges|recipes|inits\.<name>\.sft|judges\.<name>|recipes\.<name>\.update"
MODELS = {
    "task": r"task",
    "compute/compute": r"compute\..*",
    "compute/training": r"compute\.training",
    "compute/inference": r"compute\.inference",
    "optimizer": TRAINING,
    "lora": TRAINING,
    "inits/init": r"inits",
    "inits/demonstrations": r"inits|inits\.<name>\.demonstrations",
    "inits/model": r"inits|inits\.<name>\.model",
    "inits/sft": TRAINING,
    "judge": r"judges|judges\.<name>",
    "recipes/recipe": r"recipes",
    "recipes/rollout": r"recipes|recipes\.<name>\.rollout.*",
    "recipes/segments": r"recipes|recipes\.<name>\.segments",
    "recipes/probe": r"recipes|recipes\.<name>\.probe",
    "recipes/update": r"recipes|recipes\.<name>\.update",
    "recipes/objective": r"recipes|recipes\.<name>\.update",
    "round": r"rounds|rounds\.<name>.*",
    "exam": r"exams?|exam\.temperatures",
    "evaluate": r"evaluate",
    "report": r"report.*",
}
"""The keys of dvc.yaml that are read by the models in files whose names begin so."""
OTHER_MODELS = {
    ("prepare", "inits/demonstrations"),  # a source of problems is one of demonstrations too
    ("validate", "inits/demonstrations"),
    ("probe", "optimizer"),  # a critic's, which no section names
    ("report", "compute/compute"),  # by the type of all params
    ("report", "compute/training"),
    ("report", "compute/inference"),
}
"""Models that a step lists beside those of the sections it reads."""


class Edit(NamedTuple):
    """A row of CONTRIBUTING's table."""

    title: str
    names: list[str]
    change: str
    stages: set[str]

    @property
    def is_of_code(self) -> bool:
        return self.names[0].startswith("stages/")


def edits() -> Iterator[Edit]:
    """Rows `| what is edited | `file: old -> new` | `stage`, `stage` |`.

    A file may be several, `folder/{one,other}.py`, and the stages `every step but` those named.
    """
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for title, edit, stages in re.findall(
        r"^\| (.+?) \| `(.+?)` \| (.+?) \|$", text, flags=re.MULTILINE
    ):
        files, change = edit.replace("\\n", "\n").split(": ", 1)
        named = set(re.findall(r"`([a-z]+)`", stages))
        of_steps = {*STEPS} - named if stages.startswith("every step") else named
        yield Edit(title, alternatives(files), change, of_steps)


def alternatives(pattern: str) -> list[str]:
    """`a{b,c}d` as `abd` and `acd`; with a star, the files that there are."""
    before, brace, rest = pattern.partition("{")
    inner, _, after = rest.partition("}")
    names = [f"{before}{name}{after}" for name in inner.split(",")] if brace else [pattern]
    if "*" not in pattern:
        return names
    files = [file for name in names for file in sorted(ROOT.glob(name)) if file.stat().st_size]
    return [str(file.relative_to(ROOT)) for file in files]


digest_once = cache(code.code_digest)
"""Of equal bytes: to cut code into tokens takes longest, and an edit changes one file."""


def listed(tree: Path, folder: Path) -> dict[str, dict[str, str]]:
    """The listings of a tree's code, as written to a folder."""
    for cached in (code.nodes, code.digest, code.imported_files, code.data_of):
        cached.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "ROOT", tree)
        patch.setattr(code, "code_digest", digest_once)
        code.main(folder, tree / "params.yaml")
    return {file.stem: json.loads(file.read_text()) for file in folder.iterdir()}


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    return listed(ROOT, tmp_path_factory.mktemp("listings"))


@pytest.mark.parametrize("stage", STEPS)
def test_a_stage_depends_on_the_listing_of_its_step_and_on_no_other_code(stage: str) -> None:
    step = re.findall(r"-m stages\.(\w+)", STAGES[stage]["cmd"])[-1]
    of_code = [
        dep
        for dep in STAGES[stage]["deps"]
        if dep.startswith("stages") or dep.startswith(f"{LISTINGS}")
    ]
    assert of_code == [f"{LISTINGS}/{step}.json"]


def words_of(stage: str) -> dict[str, str]:
    """The arguments of a stage's command, by name."""
    words = re.findall(r"--([a-z-]+) (\S+)", STAGES[stage]["cmd"])
    return {name.replace("-", "_"): value for name, value in words}


def paths_of(stage: str, *kinds: str) -> set[str]:
    """The paths that dvc.yaml names of a stage, such as its deps."""
    named = [entry for kind in kinds for entry in STAGES[stage].get(kind, [])]
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in named}


def declared(step: Path) -> tuple[set[str], set[str]]:
    """The arguments that a step declares as written, and all of its paths."""
    tree = ast.parse(step.read_text())
    [call] = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "command"
    ]
    [writes] = [ast.literal_eval(word.value) for word in call.keywords if word.arg == "writes"]
    [main] = [node for node in tree.body if getattr(node, "name", "") == "main"]
    assert isinstance(main, ast.FunctionDef)
    paths = {
        argument.arg
        for argument in main.args.args
        if argument.annotation and "Path" in ast.unparse(argument.annotation)
    }
    return set(writes), paths


@pytest.mark.parametrize("stage", [*STAGES])
def test_a_step_holds_every_dependency_and_declares_every_output(stage: str) -> None:
    """Whatever dvc.yaml records of a stage is either held, or written by it."""
    module = re.findall(r"-m stages\.(\w+)", STAGES[stage]["cmd"])[-1]
    step = next(
        path
        for path in (ROOT / f"stages/{module}.py", ROOT / f"stages/{module}/__main__.py")
        if path.is_file()
    )
    writes, paths = declared(step)
    words = words_of(stage)
    written = {words[name] for name in writes}
    outs = paths_of(stage, "outs", "metrics", "plots")
    assert all(any(out == path or out.startswith(f"{path}/") for path in written) for out in outs)
    assert not written & paths_of(stage, "deps")
    held = {words[name] for name in {*paths, "code"} - writes if name in words}
    loose = paths_of(stage, "deps") - {"params.yaml", "stages"}
    unheld = {
        dep for dep in loose if not any(dep == path or dep.startswith(f"{path}/") for path in held)
    }
    assert not unheld
    assert words.get("code", "") == ("" if stage == "code" else f"{LISTINGS}/{module}.json")


def test_every_step_is_listed_and_all_code_is_looked_at(
    listings: dict[str, dict[str, str]],
) -> None:
    assert {next(iter(out)) for out in STAGES["code"]["outs"]} == {
        f"{LISTINGS}/{name}.json" for name in listings
    }
    assert listings.keys() == {*STEPS}
    assert STAGES["code"]["deps"] == ["params.yaml", "stages"]


@pytest.mark.parametrize("stage", STEPS)
def test_a_step_lists_the_models_of_the_sections_it_reads_and_of_no_others(
    stage: str, listings: dict[str, dict[str, str]]
) -> None:
    keys = [re.sub(r"\$\{.*?\}", "<name>", key) for key in STAGES[stage].get("params", [])]
    for path in listings[stage]:
        name = path.removeprefix(f"{SECTIONS}/").removesuffix(".py")
        if path.startswith(SECTIONS) and name not in SHARED_MODELS:
            [pattern] = [
                of_keys for of_files, of_keys in MODELS.items() if name.startswith(of_files)
            ]
            is_read = any(re.fullmatch(pattern, key) for key in keys)
            assert is_read or (stage, name) in OTHER_MODELS, f"{stage} lists {path}, reads {keys}"


@pytest.mark.parametrize("stage", STEPS)
def test_a_listing_has_what_the_step_imports_with_its_digests(
    stage: str, listings: dict[str, dict[str, str]]
) -> None:
    [step] = [file for file in code.steps() if code.step_name(file) == stage]
    files = {str(path.relative_to(ROOT)) for path in code.closure(step)}
    assert str(step.relative_to(ROOT)) in files
    assert files <= listings[stage].keys()
    for path, digest in listings[stage].items():
        assert path.startswith("stages/")
        assert digest == code.digest(ROOT / path)


def test_what_is_no_python_is_in_the_listing_of_who_names_it(
    listings: dict[str, dict[str, str]],
) -> None:
    files = [
        path
        for path in (ROOT / "stages").rglob("*")
        if path.is_file() and path.suffix != ".py" and path.parent.name != code.BYTECODE
    ]
    names = [str(path.relative_to(ROOT)) for path in files]
    stages_by_name = {
        name: [stage for stage, has in listings.items() if name in has] for name in names
    }
    assert stages_by_name.pop("stages/report/report.html.j2") == ["report"]
    assert stages_by_name
    assert all(stages == ["validate"] for stages in stages_by_name.values()), (
        stages_by_name
    )  # the suites


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_a_command_is_a_dependency_or_an_output(stage: str) -> None:
    entry = STAGES[stage]
    written = [out for kind in ("outs", "metrics", "plots") for out in entry.get(kind, [])]
    declared = [
        *entry["deps"],
        *(next(iter(out)) if isinstance(out, dict) else out for out in written),
    ]
    paths = [
        word
        for word in entry["cmd"].split()
        if word.startswith("data/") and not word.startswith("data/docs")
    ]
    assert all(any(d == path or d.startswith(f"{path}/") for d in declared) for path in paths), (
        paths,
        declared,
    )


def test_update_depends_on_the_gate() -> None:
    assert any(dep.endswith("/validation.json") for dep in STAGES["update"]["deps"])


def test_the_table_of_edits_has_each_file_of_what_all_steps_share() -> None:
    rows = [name for edit in edits() if edit.change == APPENDED for name in edit.names]
    folders = ("stages/contracts", "stages/running")
    shared = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    files = [ROOT / "stages/__init__.py", *(file for file in shared if file.stat().st_size)]
    assert sorted({str(file.relative_to(ROOT)) for file in files} - {*rows}) == []
    assert len(rows) == len({*rows})


def test_alternatives_of_a_row() -> None:
    assert alternatives("a/b.py") == ["a/b.py"]
    assert alternatives("a/{b,c/d}.py") == ["a/b.py", "a/c/d.py"]
    assert alternatives("stages/running/e*.py") == ["stages/running/errors.py"]


@pytest.fixture(scope="module")
def edited(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edits") / "clone"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


@pytest.mark.parametrize("edit", list(edits()), ids=lambda edit: edit.title)
def test_an_edit_changes_the_stages_that_contributing_names(
    edit: Edit, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(edited)
    with changed_file(edited, edit.names[0], edit.change), Repo() as repo:
        changed = repo.status()
    assert ("code" in changed) == (edit.is_of_code or edit.names[0] == "params.yaml")
    stages = {stage.split("@")[0] for stage in changed} - {"code"}
    assert stages == edit.stages & {stage.split("@")[0] for stage in ran(edited)}, sorted(changed)


@pytest.mark.parametrize(
    ("name", "change", "stages"),
    [
        (name, edit.change, edit.stages)
        for edit in edits()
        for name in edit.names
        if edit.is_of_code
    ],
)
def test_an_edit_of_code_changes_the_listings_that_contributing_names(
    name: str, change: str, stages: set[str], listings: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    """Every file of a row, and of stages also the one that the tiny profile has not (judge)."""
    file = tmp_path / Path(name).name
    file.write_text(as_edited(name, (ROOT / name).read_text(), change))
    is_changed = code.digest(file) != code.digest(ROOT / name)
    assert is_changed != (change == COMMENT or '"""' in change)
    assert {step for step, has in listings.items() if name in has and is_changed} == stages


def ran(tree: Path) -> list[str]:
    """The stages that the tree's profile has."""
    return list(yaml.safe_load((tree / "dvc.lock").read_text())["stages"])


def as_edited(name: str, text: str, change: str) -> str:
    """A file's text after a change: `old -> new`, or what is appended."""
    old, new = change.split(" -> ") if " -> " in change else ("", change)
    assert old in text, f"{name} has no {old!r}"
    return text.replace(old, new, 1) if old else f"{text}{new}\n"


@contextmanager
def changed_file(tree: Path, name: str, change: str, has_listings: bool = True) -> Iterator[None]:
    """A file of a tree as edited while the block runs; of code the listings are made anew."""
    file = tree / name
    before = file.read_text()
    file.write_text(as_edited(name, before, change))
    kept = {listing: listing.read_bytes() for listing in (tree / LISTINGS).iterdir()}
    try:
        if has_listings and name.startswith("stages/"):
            listed(tree, tree / LISTINGS)
        yield
    finally:
        file.write_text(before)
        for listing, content in kept.items():
            listing.write_bytes(content)


def test_a_plan_knows_beforehand_which_listings_an_edit_of_code_changes(edited: Path) -> None:
    with changed_file(edited, "stages/pure/information.py", APPENDED, has_listings=False):
        stale = stale_stages(edited)
    assert stale.pop("code") == ["stages modified"]
    assert {name for name, reasons in stale.items() if "after code" in reasons} == {
        "infogain@i1",
        "infogain@s1",
    }
    assert not {"prepare", "sft@r0", "rollout@i1", "score@i1", "probe@i1"} & stale.keys()


def test_a_plan_knows_that_an_edit_of_a_comment_runs_nothing_but_the_listing(edited: Path) -> None:
    with changed_file(edited, "stages/running/errors.py", COMMENT, has_listings=False):
        assert stale_stages(edited) == {"code": ["stages modified"]}


def test_a_plan_knows_that_an_edit_of_params_changes_no_listing(edited: Path) -> None:
    with changed_file(edited, "params.yaml", "confidence: 0.95 -> confidence: 0.9"):
        stale = stale_stages(edited)
    assert stale.pop("code") == ["params.yaml modified"]
    assert {name.split("@")[0] for name in stale} == {"evaluate", "compare", "summarize", "report"}
    assert not [name for name, reasons in stale.items() if "after code" in reasons]


def test_a_plan_of_code_that_cannot_be_read_has_all_stages(edited: Path) -> None:
    with changed_file(edited, "stages/score.py", "def :", has_listings=False):
        assert all(
            "after code" in reasons
            for name, reasons in stale_stages(edited).items()
            if name != "code"
        )


def stale_stages(tree: Path) -> dict[str, list[str]]:
    """What a plan would run, and why."""
    done = run([sys.executable, "-m", "flows.cli", "plan", "--json"], tree)
    assert done.returncode == 0, done.stderr
    return {node["name"]: node["reasons"] for node in json.loads(done.stdout) if node["reasons"]}
