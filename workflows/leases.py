"""Leases: what is done behind the later gates excludes other incidents on the same targets (design: Incidents)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from contracts.activities import LeaseRequest, StepResult
from contracts.names import ActivityName
from workflows.calls import StepFailed, call

Result = TypeVar("Result")


async def exclusively(
    lease: LeaseRequest, work: Callable[[], Awaitable[Result]], stopping: Callable[[], bool]
) -> Result:
    """Do this while no other incident changes the same targets; whoever has them is waited for.

    Raises:
        StepFailed: The lease could not be had.
        Stopped: The path was told to end before it was.
    """
    await call(
        ActivityName.ACQUIRE_LEASE,
        lease,
        StepResult,
        summary=f"{lease.step}: exclude other incidents on its targets",
        abandon=stopping,
    )
    # Not in a `finally`: a workflow that is put out of memory must not wait for anything.
    try:
        result = await work()
    except Exception:
        await _let_others_go_on(lease)
        raise
    await _let_others_go_on(lease)
    return result


async def _let_others_go_on(lease: LeaseRequest) -> None:
    # One that cannot be given back is stale once this incident is over; what was done is done all the same.
    with suppress(StepFailed):
        await call(ActivityName.RELEASE_LEASE, lease, StepResult, summary=f"{lease.step}: let others go on")
