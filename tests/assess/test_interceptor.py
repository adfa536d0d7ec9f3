"""Errors of the tree as Temporal sees them, in a real worker."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
import structlog
from structlog.testing import capture_logs
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.interceptor import FirebreakInterceptor, application_error, translated_errors
from devstack.stack import StackInfo
from errors import (
    Conflict,
    EvidenceError,
    FirebreakError,
    Forbidden,
    InputError,
    Paused,
    PolicyRefusal,
    TargetGone,
    Throttled,
    Unavailable,
)

BENIGN, LOUD = ApplicationErrorCategory.BENIGN, ApplicationErrorCategory.UNSPECIFIED


@pytest.mark.parametrize(
    ("error", "non_retryable", "delay", "category"),
    [
        (InputError("a", "b"), True, None, LOUD),
        (PolicyRefusal("x"), True, None, BENIGN),
        (TargetGone("x"), True, None, BENIGN),
        (Conflict("x"), False, None, BENIGN),
        (Paused("x"), False, timedelta(seconds=2), BENIGN),
        (Throttled("x", 7), False, timedelta(seconds=7), BENIGN),
        (Forbidden("x"), True, None, LOUD),
        (Unavailable("x"), False, None, LOUD),
        (EvidenceError("x"), False, None, LOUD),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_the_tree(
    error: FirebreakError, non_retryable: bool, delay: timedelta | None, category: ApplicationErrorCategory
) -> None:
    told = application_error(error)
    assert (told.type, told.non_retryable, told.next_retry_delay, told.category) == (
        error.code,
        non_retryable,
        delay,
        category,
    )
    assert told.message == error.message


def test_other_exceptions_pass() -> None:
    with pytest.raises(ZeroDivisionError), translated_errors():
        raise ZeroDivisionError


@activity.defn(name="stumble")
def stumble(text: str) -> str:
    """Fails as it is told to, with the text that came in, which no log may repeat."""
    structlog.get_logger().warning("from_the_thread")
    if text == "bug":
        raise RuntimeError("a bug")
    raise TargetGone("pod shop/web is gone")


@workflow.defn(name="Stumbling")
class Stumbling:
    @workflow.run
    async def run(self, text: str) -> str:
        return str(
            await workflow.execute_activity(
                "stumble",
                text,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=10)),
            )
        )


@pytest.mark.stack
@pytest.mark.parametrize(("text", "code", "attempts"), [("secret words", "TargetGone", 1), ("bug", "RuntimeError", 2)])
async def test_a_worker_raises_and_logs(text: str, code: str, attempts: int, stack: StackInfo) -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = await Client.connect(stack.temporal_address)
    queue, name = uuid.uuid4().hex, f"stumble-{uuid.uuid4().hex}"
    with ThreadPoolExecutor(10) as pool, capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        worker = Worker(
            client,
            task_queue=queue,
            workflows=[Stumbling],
            activities=[stumble],
            activity_executor=pool,
            max_concurrent_activities=10,
            interceptors=[FirebreakInterceptor()],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        async with worker:
            with pytest.raises(WorkflowFailureError) as caught:
                await client.execute_workflow("Stumbling", text, id=name, task_queue=queue)
    failure = caught.value.cause
    assert isinstance(failure, ActivityError) and isinstance(failure.cause, ApplicationError)
    assert failure.cause.type == code
    mine = [line for line in logs if line.get("workflow_id") == name]
    assert [line["event"] for line in mine].count("activity_started") == attempts
    assert "secret words" not in repr(mine)
    # The thread of the activity carries the same words.
    assert any(line["event"] == "from_the_thread" and line["activity"] == "stumble" for line in mine)
