"""The plan as a Prefect flow: a task for each stale stage, after its parents.

DVC does the work and remembers what was done. Prefect adds what DVC lacks: independent stages side
by side, another try when the machine failed, percent done, and a page to look at. It neither caches
nor skips anything, so `dvc repro` and this flow leave the same `dvc.lock`. Jobs for the accelerator
take turns by a lock that the stages hold.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

from flows.project import names
from flows.project.paths import DATA, EXAMS, SCRATCH
from flows.running import graph, pages, stage
from flows.running.children import Children
from flows.running.stage import StageFailed, StageProgress
from flows.running.summary import NoSummary, summarize

PARALLEL_STAGES = 2
PROGRESS_PERIOD_SECONDS = 10.0
DELIVER_SECONDS = 10.0
MEASURING = ("score", "update")  # stages after which a round has another number to show
TABLES = {
    "rounds": "What each round measured, of every chain",
    "findings": "What is wrong by rule, and the key of params.yaml to turn",
}
KEY_METRIC = re.compile(
    r"\.(success\.budget_\d+|normalized_regret|extrapolation|self_verification\.\w+)\.mean$"
    r"|\.used_tokens\.budget_\d+$"
)


@dataclass(frozen=True)
class RunOutcome:
    """How a run of stages went: how many it started, what failed, what could not run for that."""

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
    """Bring all stages, or `targets` and their ancestors, up to date, in the repository's root.

    A stage is tried again, `retries` times, only when the machine failed; `deadline_seconds` is for
    each try. When the flow ends, in whatever way, no process of a stage is left. Returns a failed
    state that says what to do where a stage failed; the stages after it have not run, all others
    have.
    """
    outcome = run_stages(targets, retries, retry_delay_seconds, deadline_seconds)
    return Failed(message=str(outcome)) if outcome.failures else Completed(message=str(outcome))


def run_stages(
    targets: list[str] | None,
    retries: int,
    retry_delay_seconds: float,
    deadline_seconds: float | None,
    before_each: Callable[[], None] = lambda: None,
) -> RunOutcome:
    """Within a flow: a task for each stage that is not up to date, then the artifacts.

    What `before_each` raises fails the stage that was to begin.
    """
    logger = get_run_logger()
    planned = graph.plan(targets or ())
    stale = [each for each in planned if each.is_stale]
    logger.info("%d of %d stages to run", len(stale), len(planned))
    slots = threading.Semaphore(PARALLEL_STAGES)
    futures: dict[str, PrefectFuture[None]] = {}

    with Children() as children:

        @task(
            cache_policy=NO_CACHE,
            retries=retries,
            retry_delay_seconds=retry_delay_seconds,
            retry_condition_fn=_is_machine_failure,
        )
        def bring_up_to_date(name: str) -> None:
            with slots:
                before_each()
                _run(name, children, deadline_seconds)
                if name.partition("@")[0] in MEASURING:
                    _show_rounds()

        for each in stale:
            logger.info("%s: %s", each.name, "; ".join(each.reasons))
            parents = [futures[parent] for parent in each.parents if parent in futures]
            named = bring_up_to_date.with_options(name=each.name, task_run_name=each.name)
            futures[each.name] = named.submit(each.name, wait_for=parents, return_state=False)
        wait(list(futures.values()))

    _publish()
    return _outcome(futures)


def deliver() -> None:
    """Send the states and logs that Prefect still holds back.

    To be called before its server is stopped.
    """
    EventsWorker.drain_all(timeout=DELIVER_SECONDS)
    APILogWorker.drain_all(timeout=DELIVER_SECONDS)


def _run(name: str, children: Children, deadline_seconds: float | None) -> None:
    bar = _Bar(name)
    stage.run_stage(
        name,
        children,
        deadline_seconds=deadline_seconds,
        on_line=get_run_logger().info,
        on_progress=bar.show,
    )
    bar.set_percent(100.0)


class _Bar:
    """How far a stage is, shown in the run's log and on its page every few seconds."""

    def __init__(self, name: str) -> None:
        key = _artifact_key(f"progress-{name}")
        self._artifact = cast(UUID, create_progress_artifact(0.0, key=key, description=name))
        self._logger = get_run_logger()
        self._shown_at = time.monotonic()
        self._began = (0.0, StageProgress("", 0, 0, 0))

    def show(self, progress: StageProgress) -> None:
        """Percent, tokens a second, and seconds left by the pace so far."""
        now = time.monotonic()
        begin, first = self._began
        if (progress.stage, progress.total) != (first.stage, first.total):  # another bar begins
            self._began = (now, progress)
        elif now - self._shown_at > PROGRESS_PERIOD_SECONDS and progress.done > first.done:
            self._shown_at = now
            percent = 100.0 * progress.done / progress.total
            left = progress.total - progress.done
            seconds_left = (now - begin) * left / (progress.done - first.done)
            pace = f"{progress.rate:,.0f} tokens/s, " if progress.rate else ""
            self._logger.info(
                "%s %.0f %%, %s%.0f s left", progress.stage, percent, pace, seconds_left
            )
            self.set_percent(percent)

    def set_percent(self, percent: float) -> None:
        """Move the bar on the page."""
        try:
            update_progress_artifact(self._artifact, percent)
        except Exception as error:  # no reason to end hours of training
            self._logger.warning("progress not shown: %s", error)


def _is_machine_failure(run: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.data, StageFailed) and state.data.is_machine_failure


def _outcome(futures: dict[str, PrefectFuture[None]]) -> RunOutcome:
    failed = [future for future in futures.values() if future.state.is_failed()]
    failures = [cast(BaseException, future.result(raise_on_failure=False)) for future in failed]
    unfinished = [name for name, future in futures.items() if not future.state.is_final()]
    return RunOutcome(len(futures), tuple(failures), tuple(unfinished if failed else []))


def _publish() -> None:
    """What a reader of the run wants next: where the time went, how the policies did, the pages."""
    if seconds := sorted(_stage_seconds(), key=lambda row: row["started_at"]):
        description = "Seconds of each stage's last run"
        create_table_artifact(seconds, key="stage-seconds", description=description)
    if metrics := list(_exam_metrics()):
        description = "Exam metrics, one column an examined policy"
        create_table_artifact(metrics, key="exam-metrics", description=description)
    _show_rounds()
    create_markdown_artifact(pages.links(), key="pages", description="Pages to read")


def _show_rounds() -> None:
    """A row a round that is scored, and what is wrong by rule: pages show the last state."""
    try:
        summary = summarize()
    except NoSummary as error:  # no reason to end hours of training
        get_run_logger().warning("rounds not shown: %s", error)
        return
    for key, description in TABLES.items():
        if rows := summary[key]:
            create_table_artifact(rows, key=key, description=description)


def _stage_seconds() -> Iterator[dict[str, Any]]:
    for file in DATA.glob("**/*.run.json"):
        if SCRATCH in file.parents:
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
    """The metrics that are read first; the report and `dvc metrics show` have all of them."""
    exams, metrics = {}, {}
    for policy in names.exams(""):  # and none that another params.yaml has left
        file = EXAMS / f"{policy}.json"
        if not file.is_file():
            continue
        exams[file.stem] = graph.leaves(json.loads(file.read_text(encoding="utf-8")))
        metrics.update(exams[file.stem])
    for metric in filter(KEY_METRIC.search, metrics):
        values = {policy: leaves.get(metric) for policy, leaves in exams.items()}
        yield {"metric": metric, **values}


def _artifact_key(text: str) -> str:
    """Prefect takes lower-case letters, digits and dashes only."""
    return re.sub("[^a-z0-9]+", "-", text.lower())
