"""What a policy is and what it was made of, as an in-toto statement with SLSA provenance.

No time, host or path of a machine is in it: made twice of the same results it is the same bytes.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lineage.proof.evidence import Evidence
from lineage.record.ancestry import ENVIRONMENT
from lineage.record.audit import Audit
from lineage.record.errors import AuditError
from lineage.record.graph import policy_file
from lineage.record.lock import LOCK, File, Step
from lineage.record.template import GRAPH, PARAMS
from lineage.record.tree import Commit, git

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:knowhow:dvc-repro:v1"
BUILDER = "urn:knowhow:dvc"
COMMIT = "git"
FULL_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHOWN = 40  # letters of a value in a message
RECORDS = (LOCK, PARAMS, GRAPH)
SOURCES = (*RECORDS, ENVIRONMENT, "stages")
"""What a commit must have changed for another statement to be due."""

Json = dict[str, Any]


def build(audit: Audit, policy: str, evidence: Evidence, commit: str) -> Json:
    """The statement of a policy, by bytes that were hashed, made of the sources of a commit."""
    maker = audit.graph.policy(policy)
    steps = audit.graph.ancestors(maker)
    prefix = f"{policy_file(maker).path}/"
    subjects = [_resource(name.removeprefix(prefix), sha) for name, sha in _files([policy_file(maker)], evidence)]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "policy": policy,
                    "params": {key: value for step in steps for key, value in sorted(step.params.items())},
                },
                "internalParameters": {"commands": {step.name: step.command for step in steps}},
                "resolvedDependencies": [*_materials(audit, steps, evidence, commit)],
            },
            "runDetails": {
                "builder": {"id": BUILDER},
                "byproducts": [_resource(name, sha) for name, sha in _exam(audit, policy, evidence)],
            },
        },
    }
    return json.loads(json.dumps(statement))  # YAML has keys that are numbers, JSON has not


def source_commit(audit: Audit) -> str:
    """The last commit that changed what policies are made of; the same however many came after."""
    found = git(audit.tree.repository, "log", "-1", "--format=%H", audit.tree.commit, "--", *SOURCES).strip()
    if not found:
        raise AuditError(f"{LOCK} is in no commit; commit it, then sign")
    return found


def encode(statement: Json) -> bytes:
    """Its bytes, checked against the published messages.

    Raises:
        AuditError: it is no valid statement.
    """
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    try:
        Statement.copy_from_pb(json_format.ParseDict(statement, Message())).validate()
        json_format.ParseDict(statement["predicate"], Provenance())
    except (json_format.ParseError, ValueError) as error:
        raise AuditError(f"the statement is not valid: {error}") from None
    return (json.dumps(statement, indent=1, sort_keys=True) + "\n").encode()


def decode(content: bytes) -> Json:
    """A statement from its bytes.

    Raises:
        ValueError: they are none, or it misses what every statement of ours has.
    """
    statement = json.loads(content)
    try:
        encode(statement)
        for key in ("resolvedDependencies", "externalParameters", "internalParameters"):
            statement["predicate"]["buildDefinition"][key]
        statement["predicate"]["runDetails"]["byproducts"]
    except (KeyError, TypeError, AuditError) as error:
        raise ValueError(f"no statement of a policy: {error}") from None
    return statement


def commit_of(statement: Json) -> str:
    """The commit it names.

    Raises:
        ValueError: it names none, or not in full.
    """
    named = [entry for entry in materials_of(statement) if entry.get("name") == COMMIT]
    commit = str(named[0]["digest"].get("gitCommit")) if len(named) == 1 else ""
    if not FULL_COMMIT.fullmatch(commit):
        raise ValueError("names no commit, or more than one")
    return commit


def materials_of(statement: Json) -> list[Json]:
    """What it says the policy was made of."""
    return statement["predicate"]["buildDefinition"]["resolvedDependencies"]


def differences(stated: Json, found: Json) -> Iterator[tuple[str, str]]:
    """What a statement says that is not so, and what is so that it does not say; each with the thing it is about.

    An exam that was sat later is no difference.
    """
    told, true = stated["predicate"]["buildDefinition"], found["predicate"]["buildDefinition"]
    yield from _between("subject", _digests(stated["subject"]), _digests(found["subject"]))
    materials = (_digests(entry["resolvedDependencies"]) for entry in (told, true))
    yield from _between("material", *materials)
    yield from _between("parameter", _flat(told["externalParameters"]), _flat(true["externalParameters"]))
    yield from _between("command", _flat(told["internalParameters"]), _flat(true["internalParameters"]))
    byproducts = [_digests(entry["predicate"]["runDetails"]["byproducts"]) for entry in (stated, found)]
    yield from _between("exam", byproducts[0], {name: byproducts[1].get(name) for name in byproducts[0]})
    yield from _between("form", _form(stated), _form(found))


def _between(what: str, stated: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in sorted({*stated, *found}):
        if stated.get(name) != found.get(name):
            yield name, f"{what}: the statement has {_short(stated.get(name))}, found was {_short(found.get(name))}"


def _digests(entries: Sequence[Json]) -> dict[str, Any]:
    """By name; of a name that stands twice all of them."""
    found: dict[str, Any] = {}
    for entry in entries:
        name, digest = entry.get("name", ""), "+".join(f"{kind}:{value}" for kind, value in entry["digest"].items())
        found[name] = f"{found[name]}, {digest}" if name in found else digest
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by their path. Keys have dots of their own: `rounds.s1` and `rounds.s1.seed` stand side by side."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _form(statement: Json) -> dict[str, Any]:
    """All of it that is the same in every statement of ours."""
    predicate = statement["predicate"]
    return {
        "predicateType": statement["predicateType"],
        "buildType": predicate["buildDefinition"]["buildType"],
        "builder": predicate["runDetails"]["builder"],
        "keys": [
            sorted(part) for part in (statement, predicate, predicate["buildDefinition"], predicate["runDetails"])
        ],
    }


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _materials(audit: Audit, steps: Sequence[Step], evidence: Evidence, commit: str) -> Iterator[Json]:
    yield {"name": COMMIT, "digest": {"gitCommit": commit}}
    sources = Commit(audit.tree.repository, commit)
    for path in RECORDS:
        yield _resource(path, _sha256(sources.read(path)))
    made = {out.path for step in audit.graph.steps.values() for out in step.outs}
    read = {dep.path for step in steps for dep in step.deps if audit.graph.maker(dep.path) is None} - made
    code = {path for step in steps for path in step.code}
    for path in sorted({*read, *code, *audit.tree.paths(ENVIRONMENT)}):
        try:
            yield _resource(path, _sha256(audit.tree.read(path)))
        except (FileNotFoundError, IsADirectoryError):
            continue  # a finding already: read by a step, and gone, or a table whose step is
    for name, sha in sorted(_files([out for step in steps for out in step.outs], evidence)):
        yield _resource(name, sha)


def _exam(audit: Audit, policy: str, evidence: Evidence) -> list[tuple[str, str]]:
    steps = audit.graph.of_key(policy)
    outs = [out for name in ("examine", "evaluate") if name in steps for out in steps[name].outs]
    return sorted(_files(outs, evidence))


def _files(outs: Sequence[File], evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Path and sha256 of each file; those whose bytes are nowhere are findings already."""
    for out in outs:
        for part in evidence.files(out):
            if part.md5 in evidence.digests and not part.is_list:
                yield part.path, evidence.digests[part.md5].sha256


def _resource(name: str, sha256: str) -> Json:
    return {"name": name, "digest": {"sha256": sha256}}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
