"""Each export is what its format's own reader takes, and the same bytes from anywhere."""

import hashlib
import json
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import NoneType, UnionType
from typing import Any

import attr
import mlcroissant as mlc
import pyarrow.parquet as pq
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import ModelCard, ModelCardData, metadata_load
from openlineage.client import generated
from openlineage.client.event_v2 import RunEvent

from fixtures.checkouts import ROOT, run, succeed
from lineage.answers.export import FILES, export
from lineage.record.audit import open_audit
from lineage.record.errors import AuditError
from tests.lineage.forging import PART

POLICY = "s1"


@pytest.fixture(scope="module")
def exported(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export(open_audit(audited, None), POLICY, folder)
    return folder


@pytest.fixture(scope="module")
def bom(exported: Path) -> dict[str, Any]:
    return json.loads((exported / "ml-bom.cdx.json").read_text())


@pytest.fixture(scope="module")
def events(exported: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (exported / "openlineage.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def exam(audited: Path) -> dict[str, Any]:
    return json.loads((audited / "data/metrics/exams/s1.json").read_text())


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def classes() -> Iterator[type]:
    """The classes that the OpenLineage project generates from its published schemas."""
    for module in iter_modules(generated.__path__, f"{generated.__name__}."):
        yield from (one for one in vars(import_module(module.name)).values() if attr.has(one))


SCHEMAS = {one._get_schema(): one for one in classes() if "_get_schema" in vars(one)}


def faults(value: Any, kind: Any, place: str = "event") -> Iterator[str]:
    """Where a value is not what the schema's class says: fields and facets, missing or wrong."""
    options = typing.get_args(kind) if isinstance(kind, UnionType) else (kind,)
    kind = next(option for option in options if option is not NoneType)
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults(item, inside[0], f"{place}[{index}]")
    elif origin is dict and isinstance(value, dict):
        for name, facet in value.items():
            named = SCHEMAS.get(facet.get("_schemaURL"), NoneType)
            fits = issubclass(named, inside[1])
            yield from (
                faults(facet, named, f"{place}.{name}")
                if fits
                else [f"{place}.{name} is no {inside[1]}"]
            )
    elif attr.has(kind) and isinstance(value, dict):
        yield from fields_faults(value, kind, place)
    elif issubclass(origin or kind, Enum):
        yield from () if value in {one.value for one in kind} else [f"{place} is {value}"]
    elif not isinstance(value, origin or kind):
        yield f"{place} is {value!r}, no {kind}"


def fields_faults(value: Mapping[str, Any], kind: type, place: str) -> Iterator[str]:
    known, hints = {field.name: field for field in attr.fields(kind)}, typing.get_type_hints(kind)
    yield from (f"{place}.{name} is unknown" for name in value.keys() - known.keys())
    for name, field in known.items():
        if name in value:
            yield from faults(value[name], hints[name], f"{place}.{name}")
            if field.validator:
                field.validator(kind.__new__(kind), field, value[name])
        elif field.default is attr.NOTHING:
            yield f"{place}.{name} is missing"
    if "schemaURL" in value and value["schemaURL"] != kind._get_schema():  # type: ignore[attr-defined]
        yield f"{place}.schemaURL is {value['schemaURL']}"


def test_openlineage_is_what_its_schema_says(events: list[dict[str, Any]]) -> None:
    assert [fault for event in events for fault in faults(event, RunEvent)] == []


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("eventTime",), None, "event.eventTime is missing"),
        (("eventType",), "DONE", "event.eventType is DONE"),
        (("job", "title"), "sft", "event.job.title is unknown"),
        (("outputs", 0, "outputFacets", "outputStatistics", "rowCount"), "9", "rowCount is '9'"),
        (("run", "facets", "tags", "_schemaURL"), "urn:none", "event.run.facets.tags is no"),
    ],
)
def test_the_schema_check_checks(
    events: list[dict[str, Any]], path: tuple[Any, ...], value: Any, fault: str
) -> None:
    event = json.loads(json.dumps(events[1]))
    *above, last = path
    inner = event
    for step in above:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    assert [text for text in faults(event, RunEvent) if fault in text]


def test_every_step_starts_and_completes_once(events: list[dict[str, Any]], audited: Path) -> None:
    graph = open_audit(audited, None).graph
    steps = graph.ancestors(graph.policy(POLICY), *graph.of_key(POLICY).values())
    states = [(step.name, state) for step in steps for state in ("START", "COMPLETE")]
    assert [(event["job"]["name"], event["eventType"]) for event in events] == states
    assert len({event["run"]["runId"] for event in events}) == len(steps)


def test_what_a_step_read_another_wrote(events: list[dict[str, Any]], audited: Path) -> None:
    written: dict[str, Any] = {}
    for event in events:
        for dataset in event["inputs"]:
            assert written[dataset["name"]] == dataset["facets"]["version"], event["job"]["name"]
        written |= {dataset["name"]: dataset["facets"]["version"] for dataset in event["outputs"]}
    by_job = {event["job"]["name"]: event for event in events if event["outputs"]}
    inputs = {dataset["name"]: dataset for dataset in by_job["update@s1"]["inputs"]}
    rollouts = inputs["data/rounds/s1/rollouts.parquet"]
    schema = pq.read_schema(audited / rollouts["name"] / PART)
    fields = rollouts["facets"]["schema"]["fields"]
    for field, column in zip(fields, schema, strict=True):
        assert field["name"] == column.name
        assert field["description"] == column.metadata[b"description"].decode()


def test_ml_bom_is_what_its_schema_says(exported: Path) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    text = (exported / "ml-bom.cdx.json").read_text()
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"reinforcement-learning"', '"luck"')) is not None


def test_ml_bom_names_the_weights_the_data_and_the_packages(
    bom: dict[str, Any], audited: Path
) -> None:
    model = bom["metadata"]["component"]
    weights = next(file for file in model["components"] if file["name"] == "model.safetensors")
    assert weights["hashes"] == [
        {"alg": "SHA-256", "content": sha256(audited / "data/policies/s1/model.safetensors")}
    ]
    components = {one["bom-ref"]: one for one in bom["components"]}
    data = [one for one in components.values() if one["type"] == "data"]
    assert len(data) == 4
    for one in data:
        [part] = one["components"]
        assert part["hashes"][0]["content"] == sha256(audited / one["name"] / part["name"])
    pinned = (audited / "requirements/cpu.txt").read_text().splitlines()
    versions = {one["version"] for one in components.values() if one["name"] == "torch"}
    assert [line for line in pinned if line.partition(" ")[0] in {f"torch=={v}" for v in versions}]
    depends = {one["ref"]: one.get("dependsOn", []) for one in bom["dependencies"]}
    assert {"policy/i1", "data/rounds/s1/rollouts.parquet"} <= set(depends["policy/s1"])
    assert {"policy/r0"} <= set(depends["policy/i1"])
    assert {"data/demos/r0.parquet"} <= set(depends["policy/r0"])


def test_ml_bom_has_the_exam(bom: dict[str, Any], exam: dict[str, Any]) -> None:
    card = bom["metadata"]["component"]["modelCard"]
    metrics = {one["slice"]: one for one in card["quantitativeAnalysis"]["performanceMetrics"]}
    estimate = exam["difficulty_2"]["success"]["budget_9"]
    metric = metrics["held-out, difficulty 2, 9 thinking tokens"]
    assert float(metric["value"]) == estimate["mean"]
    assert float(metric["confidenceInterval"]["upperBound"]) == estimate["high"]


def test_croissant_loads_and_reads_the_tables(exported: Path, audited: Path) -> None:
    path = exported / "croissant.json"
    distribution = json.loads(path.read_text())["distribution"]
    files = {one["@id"]: audited / one["contentUrl"] for one in distribution}
    dataset = mlc.Dataset(path, mapping=files)
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    assert [one.id for one in dataset.metadata.record_sets] == [
        "problems",
        "demos-r0",
        "rollouts-i1",
        "rollouts-s1",
    ]
    for record_set in dataset.metadata.record_sets:
        record = next(iter(dataset.records(record_set.id)))
        row = pq.read_table(files[f"{record_set.id}.parquet"]).slice(0, 1).to_pylist()[0]
        assert {key.partition("/")[2] for key in record} == row.keys()
        name = next(name for name in row if name.endswith("_id"))
        assert record[f"{record_set.id}/{name}"] in (row[name], str(row[name]).encode())
    for one in dataset.metadata.distribution:
        assert one.sha256 == sha256(files[one.id])


def test_model_card_is_read_back_by_the_hub(exported: Path, exam: dict[str, Any]) -> None:
    path = exported / "README.md"
    data = ModelCard.load(path).data
    means = {}
    for level, numbers in exam.items():
        for budget, estimate in numbers["success"].items() if level != "curriculum" else ():
            means[level, int(budget.removeprefix("budget_"))] = estimate["mean"]
    results = {}
    for result in data.eval_results:
        budget = result.metric_args["budget_tokens"]
        results[result.dataset_config, budget] = result.metric_value
    assert results == means
    hints = typing.get_type_hints(ModelCardData.__init__).keys()
    published = hints - {"model_name", "eval_results"} | {"model-index"}
    assert metadata_load(path).keys() <= published
    assert ModelCardData(**metadata_load(path)).to_yaml() == data.to_yaml()


def test_model_card_has_the_exams_table(exported: Path, exam: dict[str, Any]) -> None:
    estimate = exam["difficulty_2"]["success"]["budget_27"]
    lines = (exported / "README.md").read_text().splitlines()
    (row,) = (line for line in lines if line.startswith("| difficulty 2"))
    interval = f"[{estimate['low']:.3f}, {estimate['high']:.3f}]"
    assert f"{estimate['mean']:.3f} {interval}" in row


def test_an_init_is_exported_too(audited: Path, tmp_path: Path) -> None:
    export(open_audit(audited, None), "r0", tmp_path)
    bom = (tmp_path / "ml-bom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None
    assert '"supervised"' in bom
    assert "| `r0` | random weights |" in (tmp_path / "README.md").read_text()


def test_a_policy_without_exam_says_so(audited: Path, tmp_path: Path) -> None:
    export(open_audit(audited, None), "i1", tmp_path)
    assert "This policy has none." in (tmp_path / "README.md").read_text()
    assert ModelCard.load(tmp_path / "README.md").data.eval_results is None


def test_the_same_bytes_from_an_old_commit_and_a_bare_clone(
    exported: Path, copy: Path, tmp_path: Path
) -> None:
    """Which is also why no time, host or path of this machine can stand in them."""
    revision = succeed(["git", "rev-parse", "HEAD"], copy).strip()
    (copy / "README.md").write_text("later\n")
    succeed(["git", "commit", "--quiet", "--all", "--message", "later"], copy)
    export(open_audit(copy, revision), POLICY, tmp_path / "old")
    succeed(["git", "clone", "--quiet", "--bare", str(copy), "bare"], tmp_path)
    cache = str(copy / ".dvc/cache")
    export(open_audit(tmp_path / "bare", revision, cache), POLICY, tmp_path / "of bare")
    assert contents(exported) == contents(tmp_path / "old") == contents(tmp_path / "of bare")


def test_nothing_is_written_where_bytes_are_nowhere(copy: Path, tmp_path: Path) -> None:
    succeed(["git", "clone", "--quiet", "--bare", str(copy), "bare"], tmp_path)
    with pytest.raises(AuditError, match=r"bytes \w+ of dvc.lock are not in any place"):
        export(open_audit(tmp_path / "bare", None), POLICY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_wrote(audited: Path, tmp_path: Path) -> None:
    command = ["python", "-m", "lineage", "export", POLICY, "--repo", str(audited), "--folder"]
    printed = succeed([*command, str(tmp_path)], ROOT)
    assert printed.split() == [str(tmp_path / name) for name in FILES]
    (tmp_path / "file").write_text("")
    refused = run([*command, str(tmp_path / "file")], ROOT)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {tmp_path / 'file'} cannot be written")
