"""The documentation against the code."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
import yaml

from fixtures.checkouts import ROOT
from stages.contracts.params.base import variants
from stages.contracts.params.inits.demonstrations import Demonstrations
from stages.contracts.params.recipes.objective import Objective
from stages.contracts.params.recipes.probe import Probe
from stages.contracts.params.recipes.segments import Segments
from stages.contracts.params.recipes.update import Loss
from stages.contracts.params.task import TaskParams

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The program that writes tables of the docs."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_page_is_what_the_schemas_say(generate: ModuleType) -> None:
    assert generate.PAGE.read_text() == generate.page(), "run `make docs`"


def test_params_page_and_schema_are_what_the_models_say(generate: ModuleType) -> None:
    assert generate.PARAMS_PAGE.read_text() == generate.params_page(), "run `make docs`"
    assert generate.SCHEMA.read_text() == generate.schema_text(), "run `make docs`"


def test_params_page_has_every_key_of_every_section(generate: ModuleType) -> None:
    page, schema = generate.params_page(), generate.schema()
    sections = [schema, *schema["$defs"].values()]
    keys = {key for section in sections for key in section.get("properties", {})}
    assert {"give_up_fracs", "filter_groups", "max_stderr"} <= keys
    assert not [key for key in sorted(keys) if f"| `{key}` |" not in page]


@pytest.mark.parametrize(
    "file",
    [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))],
    ids=lambda p: p.stem,
)
def test_an_editor_takes_the_files_of_the_repository_and_marks_a_mistake(
    file: Path, generate: ModuleType
) -> None:
    # of the packages that vLLM brings: the base install does without
    validator = pytest.importorskip("jsonschema").Draft202012Validator(generate.schema())
    content = json.loads(json.dumps(yaml.safe_load(file.read_text())))  # keys as JSON has them
    assert not list(validator.iter_errors(content))
    content["exam"]["num_sample"] = content["exam"].pop("num_samples")
    told = " ".join(error.message for error in validator.iter_errors(content))
    assert "num_sample'" in told
    assert "num_samples' is a required" in told


def test_tables_of_variants_are_what_the_classes_say(generate: ModuleType) -> None:
    marked = []
    for page in generate.PAGES:
        text = page.read_text()
        assert text == generate.with_variants(text), "run `make docs`"
        marked += [match[2] for match in generate.MARKED.finditer(text)]
    assert sorted(marked) == sorted(generate.VARIANTS)


def test_a_table_of_variants_names_every_one(generate: ModuleType) -> None:
    for union, name in (
        (Objective, "objectives"),
        (Probe, "estimators"),
        (Segments, "cuts"),
        (Demonstrations, "strategies"),
        (TaskParams, "tasks"),
    ):
        rows = generate.VARIANTS[name]().splitlines()[2:]
        assert [row.split("`")[1] for row in rows] == [*variants(union)]
    losses = generate.VARIANTS["losses"]().splitlines()[2:]
    assert [row.split("`")[1] for row in losses] == [*get_args(Loss)]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_files_named_in_backticks_exist(page) -> None:
    names = re.findall(
        r"`((?:stages|flows|tests|docs|benchmarks|requirements)/[\w./-]+\.\w+)`", page.read_text()
    )
    missing = [name for name in names if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_within_the_repository_resolve(page) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_make_targets_named_in_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"`make ([a-z-]+)", page.read_text())
    }
    assert named <= targets
