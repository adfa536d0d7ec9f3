"""Walks over the pods of a step in parallel, with the heartbeat's progress as a cursor from which a retry goes on.

The cursor only ever covers a finished beginning of the list. What was done beyond it is done again by a retry, which is
why the work on one pod must be idempotent.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio import activity
from temporalio.exceptions import CancelledError

from contracts.activities import StepResult
from contracts.common import Failure, PodTarget
from errors import FirebreakError, Paused, TargetGone, Throttled, Unavailable
from plans.model import ResourceRef

PARALLEL = 8
MOST_FAILURES = 50
MOST_GONE = 20
SYSTEMIC = (Paused, Throttled, Unavailable)
"""What says nothing about one target: the walk stops, and Temporal's retry goes on at the cursor."""

Work = Callable[[PodTarget], str | None]
"""Does one pod's part. Returns why it was left as it is, in a sentence, or "", or None when there was nothing to do.
Raises FirebreakError; TargetGone counts as gone."""


class Tally(BaseModel):
    """How far a walk has come, and with what result; this is what the heartbeat carries."""

    model_config = ConfigDict(extra="ignore")

    walk: str
    index: int = 0
    done: int = 0
    gone: int = 0
    untouched: int = 0
    gone_targets: list[str] = []
    failures: list[Failure] = []
    kept: list[str] = []

    def add_gone(self, ref: ResourceRef) -> None:
        """Count a target that does not exist any more."""
        self.gone += 1
        if len(self.gone_targets) < MOST_GONE:
            self.gone_targets.append(str(ref))

    def result(self, earlier: Sequence[Failure] = (), notes: Sequence[str] = ()) -> StepResult:
        """The step's result; `earlier` are failures from outside the walk, which come first."""
        return StepResult(
            done=self.done,
            gone=self.gone,
            gone_targets=tuple(self.gone_targets),
            failures=(*earlier, *self.failures)[:MOST_FAILURES],
            notes=tuple(notes),
        )


def walk(name: str, pods: Sequence[PodTarget], work: Work, *, step: str) -> Tally:
    """Do the work on every pod, in parallel when there are many, and count what became of each.

    Args:
        name: Of the walk within its activity, so that a retry resumes the right one.
        pods: The whole list; the part before the cursor is skipped.
        work: Idempotent.
        step: For the failures.

    Raises:
        Paused, Throttled, Unavailable: The cluster, not a target, stands in the way.
    """
    tally = resumed(name)
    rest = pods[tally.index :]
    if len(rest) < 2:
        for pod in rest:
            _count(tally, pod, lambda pod=pod: work(pod), step)  # type: ignore[misc]  # mypy cannot infer this default.
        return tally
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix=name) as pool:
        pending: deque[tuple[PodTarget, Future[str | None]]] = deque()
        try:
            for pod in rest:
                if len(pending) >= 4 * PARALLEL:
                    first, future = pending.popleft()
                    _count(tally, first, future.result, step)
                # Each thread needs the activity's context for itself: the pause switch and the log look into it.
                pending.append((pod, pool.submit(contextvars.copy_context().run, work, pod)))
            while pending:
                first, future = pending.popleft()
                _count(tally, first, future.result, step)
        finally:
            for _, future in pending:
                future.cancel()
    return tally


def resumed(name: str) -> Tally:
    """The tally that the last attempt of this activity left, or a new one."""
    for detail in activity.info().heartbeat_details[:1]:
        try:
            tally = Tally.model_validate(detail)
        except ValidationError:
            # An older worker's heartbeat may look different; beginning anew is always right.
            continue
        if tally.walk == name:
            return tally
    return Tally(walk=name)


def keep_cursor(tally: Tally) -> None:
    """Heartbeat outside a walk, without losing what the walk reached; stops when cancelled.

    Raises:
        CancelledError: The activity was cancelled.
    """
    activity.heartbeat(tally.model_dump(mode="json"))
    stop_if_cancelled()


def failure_of(step: str, ref: ResourceRef | str, error: FirebreakError) -> Failure:
    """An exception as a failure of one target."""
    return Failure(step=step, target=str(ref), code=error.code, message=error.message)


def stop_if_cancelled() -> None:
    """Between two mutations, stop when the activity was cancelled: what was begun is finished, nothing new begins.

    Raises:
        CancelledError: The activity was cancelled.
    """
    if activity.is_cancelled():
        raise CancelledError("cancelled between two targets")


def _count(tally: Tally, pod: PodTarget, outcome: Callable[[], str | None], step: str) -> None:
    try:
        kept = outcome()
        if kept is None:
            tally.untouched += 1
        elif not kept:
            tally.done += 1
        elif len(tally.kept) < MOST_FAILURES:
            tally.kept.append(kept)
    except TargetGone:
        tally.add_gone(pod.ref)
    except SYSTEMIC:
        raise
    except FirebreakError as error:
        if len(tally.failures) < MOST_FAILURES:
            tally.failures.append(failure_of(step, pod.ref, error))
    tally.index += 1
    activity.heartbeat(tally.model_dump(mode="json"))
    stop_if_cancelled()
