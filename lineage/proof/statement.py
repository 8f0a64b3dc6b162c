"""What a policy is and what it was made of, as an in-toto statement with SLSA provenance.

No time, host or path of a machine is in it: made twice of the same results it is the same bytes.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lineage.proof.evidence import Evidence
from lineage.record.ancestry import ENVIRONMENT
from lineage.record.audit import Audit
from lineage.record.digests import sha256_of
from lineage.record.errors import AuditError
from lineage.record.graph import policy_file
from lineage.record.lock import LOCK, File, Step
from lineage.record.template import GRAPH, PARAMS
from lineage.record.tree import Commit, git
from lineage.record.values import leaves

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

Statement = dict[str, Any]
"""A statement as JSON, and the parts of one."""


def build(audit: Audit, policy: str, evidence: Evidence, commit: str) -> Statement:
    """The statement of a policy, by bytes that were hashed, made of the sources of a commit."""
    maker = audit.graph.policy(policy)
    steps = audit.graph.ancestors(maker)
    prefix = f"{policy_file(maker).path}/"
    subjects = []
    for name, sha256 in _files([policy_file(maker)], evidence):
        subjects.append(_resource(name.removeprefix(prefix), sha256))
    params: dict[str, object] = {}
    for step in steps:
        params |= dict(sorted(step.params.items()))
    exam = [out for step in audit.graph.exam(policy) for out in step.outs]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"policy": policy, "params": params},
                "internalParameters": {"commands": {step.name: step.command for step in steps}},
                "resolvedDependencies": [*_materials(audit, steps, evidence, commit)],
            },
            "runDetails": {
                "builder": {"id": BUILDER},
                "byproducts": [_resource(*file) for file in sorted(_files(exam, evidence))],
            },
        },
    }
    return json.loads(json.dumps(statement))  # YAML has keys that are numbers, JSON does not


def source_commit(audit: Audit) -> str:
    """The last commit that changed what policies are made of; the same however many came after."""
    latest = ("log", "-1", "--format=%H", audit.tree.commit, "--", *SOURCES)
    commit = git(audit.tree.repository, *latest).strip()
    if not commit:
        raise AuditError(f"{LOCK} is in no commit; commit it, then sign")
    return commit


def encode(statement: Statement) -> bytes:
    """Its bytes, checked against the published messages.

    Raises:
        AuditError: it is no valid statement.
    """
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.v1.statement import Statement as Checked
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    try:
        Checked.copy_from_pb(json_format.ParseDict(statement, Message())).validate()
        json_format.ParseDict(statement["predicate"], Provenance())
    except (json_format.ParseError, ValueError) as error:
        raise AuditError(f"the statement is not valid: {error}") from None
    return (json.dumps(statement, indent=1, sort_keys=True) + "\n").encode()


def decode(content: bytes) -> Statement:
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


def commit_of(statement: Statement) -> str:
    """The commit it names.

    Raises:
        ValueError: it names none, or not in full.
    """
    named = [entry for entry in materials_of(statement) if entry.get("name") == COMMIT]
    commit = str(named[0]["digest"].get("gitCommit")) if len(named) == 1 else ""
    if not FULL_COMMIT.fullmatch(commit):
        raise ValueError("names no commit, or more than one")
    return commit


def materials_of(statement: Statement) -> list[Statement]:
    """What it says the policy was made of."""
    return statement["predicate"]["buildDefinition"]["resolvedDependencies"]


def discrepancies(stated: Statement, true: Statement) -> Iterator[tuple[str, str]]:
    """What a statement says that is not so, and what is so that it does not say.

    Each with the thing it is about. An exam that was run later is no discrepancy.
    """
    builds = [entry["predicate"]["buildDefinition"] for entry in (stated, true)]
    yield from _between("subject", _digests(stated["subject"]), _digests(true["subject"]))
    materials = (_digests(build["resolvedDependencies"]) for build in builds)
    yield from _between("material", *materials)
    for what, key in (("parameter", "externalParameters"), ("command", "internalParameters")):
        yield from _between(what, *(_flat(build[key]) for build in builds))
    exams = [_digests(entry["predicate"]["runDetails"]["byproducts"]) for entry in (stated, true)]
    yield from _between("exam", exams[0], {name: exams[1].get(name) for name in exams[0]})
    yield from _between("form", _form(stated), _form(true))


def _between(
    what: str, stated: Mapping[str, object], true: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    for name in sorted({*stated, *true}):
        says, is_so = stated.get(name), true.get(name)
        if says != is_so:
            yield name, f"{what}: the statement has {_short(says)}, found was {_short(is_so)}"


def _digests(entries: Sequence[Statement]) -> dict[str, str]:
    """By name; of a name that stands twice all of them."""
    digests: dict[str, str] = {}
    for entry in entries:
        name = entry.get("name", "")
        digest = "+".join(f"{kind}:{value}" for kind, value in entry["digest"].items())
        digests[name] = f"{digests[name]}, {digest}" if name in digests else digest
    return digests


def _flat(values: Statement) -> dict[str, object]:
    """Leaves by their path."""
    return {"/".join(path): value for path, value in leaves(values)}


def _form(statement: Statement) -> dict[str, object]:
    """All of it that is the same in every statement of ours."""
    predicate = statement["predicate"]
    build, run = predicate["buildDefinition"], predicate["runDetails"]
    return {
        "predicateType": statement["predicateType"],
        "buildType": build["buildType"],
        "builder": run["builder"],
        "keys": [sorted(level) for level in (statement, predicate, build, run)],
    }


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _materials(
    audit: Audit, steps: Sequence[Step], evidence: Evidence, commit: str
) -> Iterator[Statement]:
    yield {"name": COMMIT, "digest": {"gitCommit": commit}}
    sources = Commit(audit.tree.repository, commit)
    for path in RECORDS:
        yield _resource(path, sha256_of([sources.read(path)]))
    outputs = {out.path for step in audit.graph.steps.values() for out in step.outs}
    read = {*audit.tree.paths(ENVIRONMENT)}
    for step in steps:
        sources_read = {dep.path for dep in step.deps if audit.graph.maker(dep.path) is None}
        read |= (sources_read - outputs).union(step.code)
    for path in sorted(read.difference(RECORDS)):
        try:
            yield _resource(path, sha256_of([audit.tree.read(path)]))
        except (FileNotFoundError, IsADirectoryError):
            continue  # a finding already: read by a step, and gone, or a table whose step is
    outs = [out for step in steps for out in step.outs]
    for name, sha256 in sorted(_files(outs, evidence)):
        yield _resource(name, sha256)


def _files(outs: Sequence[File], evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Path and sha256 of each file; those whose bytes are nowhere are findings already."""
    for out in outs:
        for file in evidence.files_of(out):
            if file.md5 in evidence.digests and not file.is_list:
                yield file.path, evidence.digests[file.md5].sha256


def _resource(name: str, sha256: str) -> Statement:
    return {"name": name, "digest": {"sha256": sha256}}
