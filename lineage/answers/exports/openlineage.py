"""OpenLineage: what each step read and wrote, as the events of its run, one JSON object a line.

A run is named by what it was: the same step on the same bytes is the same run on every machine.
Times are those of the commits that brought the results: those of the runs are not in git.
"""

import uuid
from collections.abc import Iterator

import pyarrow as pa
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    dataset_version_dataset,
    documentation_job,
    execution_parameters_run,
    job_dependencies_run,
    job_type_job,
    output_statistics_output_dataset,
    schema_dataset,
    tags_run,
)
from openlineage.client.serde import Serde

from lineage.answers.exports.origin import Origin, Output, canonical, described, lines
from lineage.record.digests import sha256_of
from lineage.record.lock import File, Step


def write(origin: Origin) -> str:
    """The events of every step, in the order they ran."""
    return lines(Serde.to_dict(event) for step in origin.steps for event in _events(origin, step))


def run_id(origin: Origin, step: Step) -> str:
    """Name of a step's run: equal for equal command, inputs, params and outputs."""
    deps, outs = ([(f.path, f.md5) for f in step.deps], [(f.path, f.md5) for f in step.outs])
    identity = canonical([origin.project.name, step.name, step.command, deps, outs, step.params])
    return str(uuid.uuid5(uuid.NAMESPACE_URL, identity))


def _events(origin: Origin, step: Step) -> Iterator[RunEvent]:
    producer = _producer(origin)
    inputs, outputs = _datasets(origin, step)
    run = Run(run_id(origin, step), facets=_run_facets(origin, step))
    job = Job(origin.project.name, step.name, facets=_job_facets(origin, step))
    time = origin.time(origin.generation(step).commit).isoformat()
    yield RunEvent(eventTime=time, eventType=RunState.START, run=run, job=job, producer=producer)
    yield RunEvent(
        eventTime=time,
        eventType=RunState.COMPLETE,
        run=run,
        job=job,
        inputs=inputs,
        outputs=outputs,
        producer=producer,
    )


def _producer(origin: Origin) -> str:
    return f"urn:{origin.project.name}:lineage"


def _run_facets(origin: Origin, step: Step) -> dict[str, RunFacet]:
    producer, generation = _producer(origin), origin.generation(step)
    code = sha256_of(f"{path} {digest}\n".encode() for path, digest in step.code.items())
    tags = {
        "commit": generation.commit or "none",
        "code": code,
        "environment": generation.environment,
    }
    parameters = []
    for key, value in sorted(step.params.items()):
        parameter = execution_parameters_run.ExecutionParameter(key=key, value=canonical(value))
        parameters.append(parameter)
    return {
        "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(
            parameters, producer=producer
        ),
        "jobDependencies": job_dependencies_run.JobDependenciesRunFacet(
            upstream=[_upstream(origin, parent) for parent in origin.audit.graph.parents(step)],
            producer=producer,
        ),
        "tags": tags_run.TagsRunFacet(
            [tags_run.TagsRunFacetFields(key, tag, source="git") for key, tag in tags.items()],
            producer=producer,
        ),
    }


def _upstream(origin: Origin, parent: Step) -> job_dependencies_run.JobDependency:
    return job_dependencies_run.JobDependency(
        job=job_dependencies_run.JobIdentifier(origin.project.name, parent.name),
        run=job_dependencies_run.RunIdentifier(run_id(origin, parent)),
    )


def _job_facets(origin: Origin, step: Step) -> dict[str, JobFacet]:
    producer = _producer(origin)
    description = f"{origin.descriptions.get(step.group, step.group)}: {step.command}"
    return {
        "documentation": documentation_job.DocumentationJobFacet(description, producer=producer),
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "DVC", "STAGE", producer=producer),
    }


def _datasets(origin: Origin, step: Step) -> tuple[list[InputDataset], list[OutputDataset]]:
    namespace, producer = origin.project.name, _producer(origin)
    inputs, outputs = [], []
    for file in _read(origin, step):
        facets = _facets(origin.outputs[file.path], producer)
        inputs.append(InputDataset(namespace, file.path, facets=facets))
    for file in sorted(step.outs, key=lambda out: out.path):
        output = origin.outputs[file.path]
        facets, statistics = _facets(output, producer), _statistics(output, producer)
        dataset = OutputDataset(namespace, file.path, facets=facets, outputFacets=statistics)
        outputs.append(dataset)
    return inputs, outputs


def _read(origin: Origin, step: Step) -> list[File]:
    """The outputs of other steps that a step read, in whole or in part."""
    read: dict[str, File] = {}
    for dep in step.deps:
        maker = origin.audit.graph.maker(dep.path)
        for out in maker.outs if maker else ():
            if f"{dep.path}/".startswith(f"{out.path}/"):
                read[out.path] = out
    return [read[path] for path in sorted(read)]


def _facets(output: Output, producer: str) -> dict[str, DatasetFacet]:
    version = f"md5:{output.file.md5}"
    facets: dict[str, DatasetFacet] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(version, producer=producer)
    }
    if output.schema is not None:
        fields = [_field(field, place) for place, field in enumerate(output.schema, 1)]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields, producer=producer)
    return facets


def _field(field: pa.Field, place: int) -> schema_dataset.SchemaDatasetFacetFields:
    kind = str(field.type)
    return schema_dataset.SchemaDatasetFacetFields(field.name, kind, described(field), place)


def _statistics(output: Output, producer: str) -> dict[str, OutputDatasetFacet]:
    return {
        "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=output.num_rows,
            size=output.size,
            fileCount=len(output.members),
            producer=producer,
        )
    }
