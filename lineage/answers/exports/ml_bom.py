"""CycloneDX ML-BOM: the model with its card, the policies and tables it came from, and the pinned packages.

The library has no classes for model cards and data, so those two fields are put into what it writes.
"""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from lineage.answers.exports.origin import Origin, Output, canonical, successes
from lineage.record.ancestry import ENVIRONMENT, Generation

PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)")
RUNTIME = ("cpu.txt", "gpu.txt")
"""The pinned sets that run stages, one for each kind of machine."""
DATA = {"problems": "problems asked", "demos": "demonstrations imitated", "rollouts": "completions learned from"}
"""Flags of the tables a model is made from, and what they are to it."""


def write(origin: Origin) -> str:
    """The bill of materials, as JSON."""
    tables = {output.file.path: (flag, output) for flag in DATA for _, output in origin.tables(flag)}
    model = _policy(origin, origin.last)
    before = [_policy(origin, generation) for generation in origin.generations[:-1]]
    data = [_table(origin, output) for _, output in tables.values()]
    packages = list(_packages(origin))
    bom = Bom(
        components=[*before, *data, *packages],
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, canonical([origin.project.name, origin.policy, origin.last.md5])),
        metadata=BomMetaData(component=model, timestamp=origin.time(), licenses=[_license(origin)]),
    )
    for generation, component in zip(origin.generations, [*before, model], strict=True):
        took = {file.path for step in generation.own.values() for file in step.deps} | {f"policy/{generation.parent}"}
        made_from = [one for one in (*before, *data) if one.bom_ref.value in took]
        bom.register_dependency(component, [*made_from, *packages])
    found = json.loads(JsonV1Dot6(bom).output_as_string())
    found["metadata"]["component"]["modelCard"] = _card(origin, list(tables))
    for component in found["components"]:
        if component["type"] == "data":
            flag, output = tables[component["bom-ref"]]
            rows = f"{DATA[flag]}: {output.num_rows} rows"
            component["data"] = [{"type": "dataset", "name": flag, "description": rows}]
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def _policy(origin: Origin, generation: Generation) -> Component:
    output = origin.weights(generation)
    files = [
        Component(
            name=name, type=ComponentType.FILE, bom_ref=f"policy/{generation.policy}/{name}", hashes=[_sha256(digest)]
        )
        for name, digest in ((name, member.sha256) for name, member in output.members.items())
    ]
    told = {"commit": generation.commit, "code": generation.code, "environment": generation.environment}
    return Component(
        name=generation.policy,
        version=generation.md5,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"policy/{generation.policy}",
        group=origin.project.name,
        licenses=[_license(origin)],
        components=files,
        properties=[Property(name=f"{origin.project.name}:{key}", value=value) for key, value in told.items() if value],
    )


def _table(origin: Origin, output: Output) -> Component:
    path = output.file.path
    parts = [
        Component(name=name, type=ComponentType.FILE, bom_ref=f"{path}/{name}", hashes=[_sha256(member.sha256)])
        for name, member in output.members.items()
        if name
    ]
    return Component(
        name=path,
        version=output.file.md5,
        type=ComponentType.DATA,
        bom_ref=path,
        hashes=[_sha256(member.sha256) for name, member in output.members.items() if not name],
        licenses=[_license(origin)],
        components=parts,
    )


def _packages(origin: Origin) -> Iterator[Component]:
    """The packages of each pinned set; one that stands in several with the same version comes once."""
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
            properties=[Property(name=f"{origin.project.name}:pinned in", value=ENVIRONMENT + file) for file in files],
        )


def _pins(text: str) -> str:
    return "\n".join(line.partition("#")[0] for line in text.splitlines())


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _license(origin: Origin) -> DisjunctiveLicense:
    return DisjunctiveLicense(id=origin.project.license)


def _card(origin: Origin, tables: list[str]) -> dict[str, Any]:
    config, is_init = origin.config(), origin.last.parent is None
    text = {"format": "text"}
    return {
        "modelParameters": {
            "approach": {"type": "supervised" if is_init else "reinforcement-learning"},
            "task": "text-generation",
            "architectureFamily": config["model_type"],
            "modelArchitecture": config["architectures"][0],
            "datasets": [{"ref": path} for path in tables],
            "inputs": [text],
            "outputs": [text],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {
                    "type": "success",
                    "value": str(one.mean),
                    "slice": f"held-out, {one.slice}, {one.budget_tokens} thinking tokens",
                    "confidenceInterval": {"lowerBound": str(one.low), "upperBound": str(one.high)},
                }
                for one in successes(origin.last.exam)
            ]
        },
        "considerations": {
            "useCases": [origin.project.description],
            "technicalLimitations": [
                "Intervals are over the exam's problems, not over training runs.",
                "Trained and examined on problems of one generated task; nothing else was measured.",
            ],
        },
        "properties": [{"name": key, "value": canonical(value)} for key, value in sorted(origin.last.recipe.items())],
    }
