"""The Temporal Schedule that starts the drift sweep of a cluster every minute (design: Drift)."""

from __future__ import annotations

import re
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from contracts.activities import SweepRequest
from contracts.names import HOT_QUEUE, WorkflowName

INTERVAL = timedelta(seconds=60)


async def ensure_sweep(client: Client, cluster: str) -> str:
    """Create the schedule of a cluster unless it stands; several workers may ask at once. Returns its id.

    A sweep that is still running is not overtaken, and after an outage one sweep is enough: nothing is caught up.
    """
    name = f"firebreak-sweep/{re.sub(r'[^A-Za-z0-9._-]', '-', cluster)}"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            WorkflowName.SWEEP_CONTAINMENT.value,
            SweepRequest(cluster=cluster),
            id=name,
            task_queue=HOT_QUEUE,
            static_summary=f"held objects of {cluster} against what containment left",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=INTERVAL)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=INTERVAL),
    )
    try:
        await client.create_schedule(name, schedule)
    except ScheduleAlreadyRunningError:
        return name
    return name
