"""How workflows call activities: by name, with the timing of the one table, and with failures as plain values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from contracts.common import Failure
from contracts.names import ActivityName
from contracts.timing import TIMINGS

Result = TypeVar("Result", bound=BaseModel)
Value = TypeVar("Value")

_PAUSE_INTERVAL = timedelta(seconds=10)


class StepFailed(Exception):
    """An activity ended without a result; `code` is from the error tree, `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")

    def failure(self, step: str, target: str = "") -> Failure:
        """The same as a message."""
        return Failure(step=step, target=target, code=self.code, message=self.message)


class Stopped(Exception):
    """The path was told to stop; what ran has ended, nothing new begins."""


async def outlive(work: Awaitable[Value]) -> Value:
    """Await work to its end although the workflow is cancelled meanwhile.

    Cancelling in the Temporal UI must neither tear a mutation nor leave containment unwatched (design: Incidents).
    """
    task = asyncio.ensure_future(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise


async def call(
    name: ActivityName,
    request: BaseModel,
    result: type[Result],
    *,
    summary: str,
    abandon: Callable[[], bool] | None = None,
) -> Result:
    """Run one activity to its end.

    A paused installation is waited for, however long the pause lasts. `abandon` is asked while a reading activity
    runs: when it turns true the activity is cancelled; a mutating activity takes no `abandon` and is always awaited.

    Raises:
        StepFailed: The activity failed for good.
        Stopped: `abandon` turned true.
    """
    while True:
        try:
            return await _attempt(name, request, result, summary, abandon)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise Stopped from error
            failed = _failed(error)
            if failed.code != "Paused":
                raise failed from error
        await outlive(workflow.sleep(_PAUSE_INTERVAL, summary="paused by an operator"))


async def _attempt(
    name: ActivityName,
    request: BaseModel,
    result: type[Result],
    summary: str,
    abandon: Callable[[], bool] | None,
) -> Result:
    timing = TIMINGS[name]
    handle = workflow.start_activity(
        name.value,
        request,
        result_type=result,
        task_queue=timing.queue,
        start_to_close_timeout=timing.start_to_close,
        schedule_to_close_timeout=timing.schedule_to_close,
        heartbeat_timeout=timing.heartbeat,
        retry_policy=timing.retry,
        # Only reading activities are ever cancelled; what they would have returned is not waited for.
        cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
        summary=summary,
    )
    if abandon is not None:
        await outlive(workflow.wait_condition(lambda: handle.done() or abandon()))
        if not handle.done():
            handle.cancel()
    return await outlive(handle)


def _failed(error: ActivityError) -> StepFailed:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return StepFailed(cause.type or "Internal", cause.message)
    return StepFailed("Unavailable", str(cause or error))
