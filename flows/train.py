"""The plan as a Prefect flow: one task a stale stage, after its parents; DVC does the work and stays the only memory.

Prefect adds what DVC lacks: independent stages side by side, another try when the machine failed, percent done, and a
page to look at. It neither caches nor skips anything, so `dvc repro` and this flow leave the same `dvc.lock`. Jobs for
the accelerator take turns by the stages' own lock.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import Task, flow, get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.events.worker import EventsWorker
from prefect.futures import PrefectFuture, wait
from prefect.logging.handlers import APILogWorker
from prefect.states import Completed, Failed

from flows import graph, pages, run

PARALLEL_STAGES = 2
PROGRESS_PERIOD_SECONDS = 10.0
DELIVER_SECONDS = 10.0
DATA = Path("data")
KEY_METRIC = re.compile(
    r"\.(success\.budget_\d+|normalized_regret|extrapolation|self_verification\.\w+)\.mean$|\.used_tokens\.budget_\d+$"
)


@dataclass(frozen=True)
class Outcome:
    """How a run of stages went: how many were started, what failed, and the stages that could not run for it."""

    num_started: int
    failures: tuple[BaseException, ...]
    waiting: tuple[str, ...]

    def __str__(self) -> str:
        if not self.failures:
            return f"{self.num_started} stage(s) brought up to date"
        waiting = [f"not run: {', '.join(self.waiting)}"] if self.waiting else []
        return "\n".join([*map(str, self.failures), *waiting])


@flow(name="train")
def train(
    targets: list[str] | None = None,
    retries: int = 2,
    retry_delay_seconds: float = 30.0,
    deadline_seconds: float | None = None,
) -> State[None]:
    """Bring all stages, or `targets` and their ancestors, up to date. The working directory is the repository's root.

    A stage is tried again, `retries` times, only when the machine failed; `deadline_seconds` is for each try. When the
    flow ends, in whatever way, no process of a stage is left. Returns a failed state that says what to do where a stage
    failed; the stages after it have not run, all others have.
    """
    outcome = run_stages(targets, retries, retry_delay_seconds, deadline_seconds)
    return Failed(message=str(outcome)) if outcome.failures else Completed(message=str(outcome))


def run_stages(
    targets: list[str] | None, retries: int, retry_delay_seconds: float, deadline_seconds: float | None
) -> Outcome:
    """In a flow: a task for each stage that is not up to date, then the artifacts."""
    logger = get_run_logger()
    nodes = graph.plan(targets or ())
    stale = [node for node in nodes if node.is_stale]
    logger.info("%d of %d stages to run", len(stale), len(nodes))
    slots = threading.Semaphore(PARALLEL_STAGES)
    futures: dict[str, PrefectFuture[None]] = {}

    with run.Children() as children:

        @task(
            cache_policy=NO_CACHE,
            retries=retries,
            retry_delay_seconds=retry_delay_seconds,
            retry_condition_fn=_is_machine_failure,
        )
        def stage(name: str) -> None:
            with slots:
                _bring_up_to_date(name, children, deadline_seconds)

        for node in stale:
            logger.info("%s: %s", node.name, "; ".join(node.reasons))
            parents = [futures[parent] for parent in node.parents if parent in futures]
            named = stage.with_options(name=node.name, task_run_name=node.name)
            futures[node.name] = named.submit(node.name, wait_for=parents, return_state=False)
        wait(list(futures.values()))

    _publish()
    return _outcome(futures)


def deliver() -> None:
    """Send the states and logs that Prefect still holds back. To be called before its server is stopped."""
    EventsWorker.drain_all(timeout=DELIVER_SECONDS)
    APILogWorker.drain_all(timeout=DELIVER_SECONDS)


def _bring_up_to_date(name: str, children: run.Children, deadline_seconds: float | None) -> None:
    shown = _Shown(name)
    on_line = get_run_logger().info
    run.run_stage(name, children, deadline_seconds=deadline_seconds, on_line=on_line, on_progress=shown.tell)
    shown.set_percent(100.0)


class _Shown:
    """How far a stage is, told to the run's log and page every few seconds."""

    def __init__(self, name: str) -> None:
        key = _artifact_key(f"progress-{name}")
        self._artifact = cast(UUID, create_progress_artifact(0.0, key=key, description=name))
        self._logger = get_run_logger()
        self._told = time.monotonic()
        self._began = (0.0, run.Progress("", 0, 0, 0))

    def tell(self, progress: run.Progress) -> None:
        """Percent, tokens a second, and seconds left by the pace so far."""
        now = time.monotonic()
        begin, first = self._began
        if (progress.stage, progress.total) != (first.stage, first.total):  # the first sign of a bar
            self._began = (now, progress)
        elif now - self._told > PROGRESS_PERIOD_SECONDS and progress.done > first.done:
            self._told = now
            percent = 100.0 * progress.done / progress.total
            left = (now - begin) * (progress.total - progress.done) / (progress.done - first.done)
            pace = f"{progress.rate:,.0f} tokens/s, " if progress.rate else ""
            self._logger.info("%s %.0f %%, %s%.0f s left", progress.stage, percent, pace, left)
            self.set_percent(percent)

    def set_percent(self, percent: float) -> None:
        """Move the bar on the page."""
        try:
            update_progress_artifact(self._artifact, percent)
        except Exception as error:  # hours of training must not end because the page about them could not be updated
            self._logger.warning("progress not shown: %s", error)


def _is_machine_failure(stage: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.data, run.StageFailed) and state.data.is_machine_failure


def _outcome(futures: dict[str, PrefectFuture[None]]) -> Outcome:
    failed = [future for future in futures.values() if future.state.is_failed()]
    failures = [cast(BaseException, future.result(raise_on_failure=False)) for future in failed]
    waiting = [name for name, future in futures.items() if not future.state.is_final()] if failed else []
    return Outcome(len(futures), tuple(failures), tuple(waiting))


def _publish() -> None:
    """What a reader of the run wants next: where the time went, how the policies did, where to read on."""
    if seconds := sorted(_stage_seconds(), key=lambda row: row["started_at"]):
        create_table_artifact(seconds, key="stage-seconds", description="Seconds of each stage's last run")
    if metrics := list(_exam_metrics()):
        create_table_artifact(metrics, key="exam-metrics", description="Exam metrics, one column an examined policy")
    create_markdown_artifact(pages.links(), key="pages", description="Pages to read")


def _stage_seconds() -> Iterator[dict[str, Any]]:
    for file in DATA.glob("**/*.run.json"):
        if run.SCRATCH in file.parents:
            continue
        facts = json.loads(file.read_text(encoding="utf-8"))
        seconds = facts["seconds"]
        yield {
            "stage": facts["stage"],
            "output": str(file).removesuffix(".run.json"),
            "seconds": round(seconds["total"], 1),
            "startup_seconds": round(seconds.get("startup", 0.0), 1),
            "started_at": facts["started_at"],
        }


def _exam_metrics() -> Iterator[dict[str, Any]]:
    """The metrics that are read first; all of them stand on the report and in `dvc metrics show`."""
    exams = {
        file.stem: graph.leaves(json.loads(file.read_text(encoding="utf-8")))
        for file in sorted(DATA.glob("metrics/exams/*.json"))
    }
    for metric in dict.fromkeys(metric for leaves in exams.values() for metric in leaves):
        if KEY_METRIC.search(metric):
            yield {"metric": metric, **{policy: leaves.get(metric) for policy, leaves in exams.items()}}


def _artifact_key(text: str) -> str:
    """Prefect takes lower-case letters, digits and dashes only."""
    return re.sub("[^a-z0-9]+", "-", text.lower())
