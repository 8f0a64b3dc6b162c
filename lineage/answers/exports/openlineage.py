"""OpenLineage: what each step read and wrote, as the events of its run, one JSON object a line.

A run is named by what it was: the same step on the same bytes is the same run on every machine. Times are those of the
commits that brought the results: those of the runs are not in git.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
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
from lineage.record.ancestry import digest
from lineage.record.lock import Step


def write(origin: Origin) -> str:
    """The events of every step, in the order they ran."""
    return lines(Serde.to_dict(event) for step in origin.steps for event in _events(origin, step))


def run_id(origin: Origin, step: Step) -> str:
    """Name of a step's run: equal for equal command, inputs, params and outputs."""
    files = [[(file.path, file.md5) for file in group] for group in (step.deps, step.outs)]
    named = canonical([origin.project.name, step.name, step.command, *files, step.params])
    return str(uuid.uuid5(uuid.NAMESPACE_URL, named))


def _events(origin: Origin, step: Step) -> Iterator[RunEvent]:
    producer, namespace = f"urn:{origin.project.name}:lineage", origin.project.name
    inputs, outputs = _datasets(origin, step, producer)
    run = Run(run_id(origin, step), facets=_run_facets(origin, step, producer))
    job = Job(namespace, step.name, facets=_job_facets(origin, step, producer))
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


def _run_facets(origin: Origin, step: Step, producer: str) -> dict[str, Any]:
    code = digest(f"{path} {md5}\n".encode() for path, md5 in step.code.items())
    generation = origin.generation(step)
    tags = {"commit": generation.commit or "none", "code": code, "environment": generation.environment}
    namespace = origin.project.name
    return {
        "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(
            [
                execution_parameters_run.ExecutionParameter(key=key, value=canonical(value))
                for key, value in sorted(step.params.items())
            ],
            producer=producer,
        ),
        "jobDependencies": job_dependencies_run.JobDependenciesRunFacet(
            upstream=[
                job_dependencies_run.JobDependency(
                    job=job_dependencies_run.JobIdentifier(namespace, parent.name),
                    run=job_dependencies_run.RunIdentifier(run_id(origin, parent)),
                )
                for parent in origin.audit.graph.parents(step)
            ],
            producer=producer,
        ),
        "tags": tags_run.TagsRunFacet(
            [tags_run.TagsRunFacetFields(key, value, source="git") for key, value in tags.items()], producer=producer
        ),
    }


def _job_facets(origin: Origin, step: Step, producer: str) -> dict[str, Any]:
    does = origin.descriptions.get(step.group, step.group)
    return {
        "documentation": documentation_job.DocumentationJobFacet(f"{does}: {step.command}", producer=producer),
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "DVC", "STAGE", producer=producer),
    }


def _datasets(origin: Origin, step: Step, producer: str) -> tuple[list[InputDataset], list[OutputDataset]]:
    graph, namespace = origin.audit.graph, origin.project.name
    read = {out.path: out for dep in step.deps if (maker := graph.maker(dep.path)) for out in maker.outs}
    wanted = [out for out in read.values() if any(f"{dep.path}/".startswith(f"{out.path}/") for dep in step.deps)]
    inputs = [
        InputDataset(namespace, out.path, facets=_facets(origin.outputs[out.path], producer))
        for out in sorted(wanted, key=lambda out: out.path)
    ]
    outputs = [
        OutputDataset(
            namespace,
            out.path,
            facets=_facets(origin.outputs[out.path], producer),
            outputFacets=_statistics(origin.outputs[out.path], producer),
        )
        for out in sorted(step.outs, key=lambda out: out.path)
    ]
    return inputs, outputs


def _facets(output: Output, producer: str) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(f"md5:{output.file.md5}", producer=producer)
    }
    if output.schema is not None:
        facets["schema"] = schema_dataset.SchemaDatasetFacet(
            [_field(field, place) for place, field in enumerate(output.schema, 1)], producer=producer
        )
    return facets


def _field(field: pa.Field, place: int) -> schema_dataset.SchemaDatasetFacetFields:
    return schema_dataset.SchemaDatasetFacetFields(field.name, str(field.type), described(field), place)


def _statistics(output: Output, producer: str) -> dict[str, Any]:
    return {
        "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=output.num_rows, size=output.size, fileCount=len(output.members), producer=producer
        )
    }
