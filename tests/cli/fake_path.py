"""A path that does nothing but wait for its collection, and a collection that says something and then stays there."""

from __future__ import annotations

import threading
from datetime import timedelta

from temporalio import activity, workflow

from contracts.names import ActivityName, WorkflowName

QUEUE = "fake-paths"


@workflow.defn(name=WorkflowName.REMEDIATE_PODS)
class FakePath:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            ActivityName.COLLECT_PODS.value, start_to_close_timeout=timedelta(minutes=1), task_queue=QUEUE
        )


class HeldCollection:
    def __init__(self, *said: object) -> None:
        self._said = said
        self.over = threading.Event()

    @activity.defn(name=ActivityName.COLLECT_PODS)
    def collect_pods(self) -> None:
        activity.heartbeat(*self._said)
        self.over.wait(60)
