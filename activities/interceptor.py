"""What surrounds every activity: errors of our tree become Temporal's, and log lines know whose they are.

Payloads never enter a log line: they hold text written by attackers, and names that an operator may not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, is_cancelled_exception
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.giving_way import GiveWay
from contracts.names import HOT_QUEUE, ActivityName
from errors import Conflict, FirebreakError, Paused, PolicyRefusal, TargetGone, Throttled

PAUSED_RETRY_SECONDS = 2.0
"""How soon a mutation that is held by the pause switch looks again."""

_EXPECTED = (Paused, Throttled, Conflict, PolicyRefusal, TargetGone)
"""What happens in a healthy installation: no failure metric, and no line that wakes anybody."""

_log = structlog.get_logger(__name__)


class FirebreakInterceptor(Interceptor):
    """Goes into `Worker(interceptors=[…])`; the same one into all workers of a process."""

    def __init__(self) -> None:
        self._way = GiveWay()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap an activity."""
        return _Surrounding(next, self._way)


class _Surrounding(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, way: GiveWay) -> None:
        super().__init__(next)
        self._way = way

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        # The SDK copies this context into the activity's thread, so its own lines carry these words too.
        with _log_context(), translated_errors():
            info = activity.info()
            if info.task_queue == HOT_QUEUE:
                self._way.hot_begins()
            elif info.activity_type == ActivityName.COLLECT_PODS:
                await self._way.calm()
            return await super().execute_activity(input)


@contextmanager
def _log_context() -> Iterator[None]:
    info = activity.info()
    words = {"workflow_id": info.workflow_id, "activity": info.activity_type, "attempt": info.attempt}
    with structlog.contextvars.bound_contextvars(**words):
        _log.debug("activity_started")
        try:
            yield
        except ApplicationError as error:
            benign = error.category is ApplicationErrorCategory.BENIGN
            log = _log.info if benign else _log.warning
            log("activity_failed", code=error.type, reason=error.message, retryable=not error.non_retryable)
            raise
        except BaseException as error:
            if is_cancelled_exception(error) or not isinstance(error, Exception):
                _log.info("activity_cancelled")
            else:
                # A mistake of ours: its trace is what is needed, and it names no payload.
                _log.warning("activity_broke", error=type(error).__name__, exc_info=True)
            raise
        else:
            _log.debug("activity_finished")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of our tree into `ApplicationError`; others pass, and Temporal retries them as the bugs they are.

    Raises:
        ApplicationError: Its type is the error's code.
    """
    try:
        yield
    except FirebreakError as error:
        # The cause is left out: it would repeat the message in the history, with a trace of no use to anybody there.
        raise application_error(error) from None


def application_error(error: FirebreakError) -> ApplicationError:
    """One error of our tree as Temporal's."""
    return ApplicationError(
        error.message,
        type=error.code,
        non_retryable=not error.retryable,
        next_retry_delay=_delay(error),
        category=ApplicationErrorCategory.BENIGN
        if isinstance(error, _EXPECTED)
        else ApplicationErrorCategory.UNSPECIFIED,
    )


def _delay(error: FirebreakError) -> timedelta | None:
    if isinstance(error, Throttled):
        return timedelta(seconds=error.retry_after)
    if isinstance(error, Paused):
        return timedelta(seconds=PAUSED_RETRY_SECONDS)
    return None
