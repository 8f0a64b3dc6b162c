"""CycloneDX ML-BOM: the model with its card, the policies and tables it came from, the packages.

The library has no classes for model cards and data, so those two fields are put into what it
writes.
"""

import json
import re
import uuid
from collections.abc import Iterator, Sequence

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from lineage.answers.exports.origin import Origin, Output, canonical
from lineage.record.ancestry import ENVIRONMENT, Generation
from lineage.record.flags import Flag
from lineage.record.values import Value

PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)")
RUNTIME = ("cpu.txt", "gpu.txt")
"""The pinned sets that run stages, one for each kind of machine."""
DATA = {
    Flag.PROBLEMS: "problems asked",
    Flag.DEMOS: "demonstrations imitated",
    Flag.ROLLOUTS: "completions learned from",
}
"""Flags of the tables a model is made from, and what they are to it."""


def write(origin: Origin) -> str:
    """The bill of materials, as JSON."""
    tables: dict[str, tuple[Flag, Output]] = {}
    for flag in DATA:
        tables |= {output.file.path: (flag, output) for _, output in origin.tables(flag)}
    bom = json.loads(JsonV1Dot6(_bom(origin, tables)).output_as_string())
    bom["metadata"]["component"]["modelCard"] = _card(origin, list(tables))
    for component in bom["components"]:
        if component["type"] == "data":
            flag, output = tables[component["bom-ref"]]
            rows = f"{DATA[flag]}: {output.num_rows} rows"
            component["data"] = [{"type": "dataset", "name": flag.value, "description": rows}]
    return json.dumps(bom, indent=2, sort_keys=True) + "\n"


def _bom(origin: Origin, tables: dict[str, tuple[Flag, Output]]) -> Bom:
    model = _policy(origin, origin.last)
    before = [_policy(origin, generation) for generation in origin.generations[:-1]]
    data = [_table(origin, output) for _, output in tables.values()]
    packages = list(_packages(origin))
    identity = canonical([origin.project.name, origin.policy, origin.last.md5])
    bom = Bom(
        components=[*before, *data, *packages],
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, identity),
        metadata=BomMetaData(component=model, timestamp=origin.time(), licenses=[_license(origin)]),
    )
    for generation, component in zip(origin.generations, [*before, model], strict=True):
        read = {dep.path for step in generation.made_by.values() for dep in step.deps}
        read.add(f"policy/{generation.parent}")
        made_from = [part for part in (*before, *data) if part.bom_ref.value in read]
        bom.register_dependency(component, [*made_from, *packages])
    return bom


def _policy(origin: Origin, generation: Generation) -> Component:
    files = []
    for name, member in origin.weights(generation).members.items():
        reference = f"policy/{generation.policy}/{name}"
        files.append(_file(name, reference, member.sha256))
    facts = {
        "commit": generation.commit,
        "code": generation.code,
        "environment": generation.environment,
    }
    return Component(
        name=generation.policy,
        version=generation.md5,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"policy/{generation.policy}",
        group=origin.project.name,
        licenses=[_license(origin)],
        components=files,
        properties=[_property(origin, key, fact) for key, fact in facts.items() if fact],
    )


def _table(origin: Origin, output: Output) -> Component:
    path, members = output.file.path, output.members
    parts = []
    for name, member in members.items():
        if name:
            parts.append(_file(name, f"{path}/{name}", member.sha256))
    return Component(
        name=path,
        version=output.file.md5,
        type=ComponentType.DATA,
        bom_ref=path,
        hashes=[_sha256(member.sha256) for name, member in members.items() if not name],
        licenses=[_license(origin)],
        components=parts,
    )


def _file(name: str, reference: str, sha256: str) -> Component:
    hashes = [_sha256(sha256)]
    return Component(name=name, type=ComponentType.FILE, bom_ref=reference, hashes=hashes)


def _packages(origin: Origin) -> Iterator[Component]:
    """The packages of each pinned set; one in several sets with the same version comes once."""
    tree, sets = origin.audit.tree, dict[tuple[str, str], list[str]]()
    for file in RUNTIME:
        if ENVIRONMENT + file in tree.paths(ENVIRONMENT):
            for pin in PIN.finditer(_pins(tree.read(ENVIRONMENT + file).decode("utf-8"))):
                sets.setdefault((pin["name"].lower(), pin["version"]), []).append(file)
    for (name, version), files in sorted(sets.items()):
        purl = PackageURL("pypi", name=name, version=version)
        yield Component(
            name=name,
            version=version,
            purl=purl,
            bom_ref=purl.to_string(),
            properties=[_property(origin, "pinned in", ENVIRONMENT + file) for file in files],
        )


def _pins(text: str) -> str:
    return "\n".join(line.partition("#")[0] for line in text.splitlines())


def _property(origin: Origin, key: str, value: str) -> Property:
    return Property(name=f"{origin.project.name}:{key}", value=value)


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _license(origin: Origin) -> DisjunctiveLicense:
    return DisjunctiveLicense(id=origin.project.license)


def _card(origin: Origin, tables: Sequence[str]) -> dict[str, Value]:
    is_init, (family, architecture) = origin.last.parent is None, origin.architecture
    text: Value = {"format": "text"}
    recipe = sorted(origin.last.recipe.items())
    return {
        "modelParameters": {
            "approach": {"type": "supervised" if is_init else "reinforcement-learning"},
            "task": "text-generation",
            "architectureFamily": family,
            "modelArchitecture": architecture,
            "datasets": [{"ref": path} for path in tables],
            "inputs": [text],
            "outputs": [text],
        },
        "quantitativeAnalysis": {"performanceMetrics": _metrics(origin)},
        "considerations": {
            "useCases": [origin.project.description],
            "technicalLimitations": [
                "Intervals are over the exam's problems, not over training runs.",
                "Trained and examined on problems of one generated task; nothing else was "
                "measured.",
            ],
        },
        "properties": [{"name": key, "value": canonical(value)} for key, value in recipe],
    }


def _metrics(origin: Origin) -> list[Value]:
    metrics: list[Value] = []
    for success in origin.successes:
        ends: Value = {"lowerBound": str(success.low), "upperBound": str(success.high)}
        metrics.append(
            {
                "type": "success",
                "value": str(success.mean),
                "slice": f"held-out, {success.slice}, {success.budget_tokens} thinking tokens",
                "confidenceInterval": ends,
            }
        )
    return metrics
