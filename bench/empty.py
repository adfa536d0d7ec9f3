"""An incident that does nothing: a parent with one activity, a child with two. What Temporal itself costs.

Queue apart, everything is as for the real one: the timeouts, heartbeats and retries of the one table, the summaries,
the sandbox, the interceptor and the number of slots.
"""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity, workflow

from contracts.names import ActivityName
from contracts.timing import TIMINGS

QUEUE = "bench-empty"


@activity.defn
def empty_assess(name: str) -> str:
    """Stands for `assess`."""
    return name


@activity.defn
def empty_isolate(name: str) -> str:
    """Stands for `isolate_pods`."""
    return name


@activity.defn
def empty_verify(name: str) -> datetime:
    """Stands for `verify_containment`, which reads the clock when everything is proved."""
    return datetime.now(UTC)


@workflow.defn
class EmptyPath:
    """Stands for RemediatePods."""

    @workflow.run
    async def run(self, name: str) -> datetime:
        """Two activities, one after the other."""
        await _call(empty_isolate.__name__, ActivityName.ISOLATE_PODS, name)
        at: datetime = await _call(empty_verify.__name__, ActivityName.VERIFY_CONTAINMENT, name, datetime)
        return at


@workflow.defn
class EmptyIncident:
    """Stands for RemediateFinding."""

    @workflow.run
    async def run(self, name: str) -> datetime:
        """One activity, then the child."""
        await _call(empty_assess.__name__, ActivityName.ASSESS, name)
        at: datetime = await workflow.execute_child_workflow(
            EmptyPath.run, name, id=f"{workflow.info().workflow_id}/pod", static_summary="the path of nothing"
        )
        return at


async def _call(name: str, like: ActivityName, argument: str, result: type = str) -> datetime:
    timing = TIMINGS[like]
    answer: datetime = await workflow.execute_activity(
        name,
        argument,
        result_type=result,
        start_to_close_timeout=timing.start_to_close,
        schedule_to_close_timeout=timing.schedule_to_close,
        heartbeat_timeout=timing.heartbeat,
        retry_policy=timing.retry,
        cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
        summary="nothing",
    )
    return answer
