"""The activity `close_service`: a dashboard is reached from inside the cluster alone (guide C4)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from temporalio import activity

from activities.changes.kubernetes import plain
from activities.configuration.exposure import Exposure, closing_ingress, closing_service, exposure_of, ref
from activities.steps import Planner, StepRoom, beat
from clients.kubernetes import JsonObject
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from plans.model import Change
from plans.situation import listed

_PATIENCE: Final = 20.0
"""Seconds for a controller to let go of an Ingress that was deleted: it deletes its load balancer first."""


class CloseActivities(StepRoom):
    """Closes what exposes a dashboard."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"configuration.close_service": self._plan}

    @activity.defn(name=ActivityName.CLOSE_SERVICE, no_thread_cancel_exception=True)
    def close_service(self, request: StepRequest) -> StepOutcome:
        """Close the planned Services and Ingresses, then look again what is open.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a Service, stands in the way; a retry goes on.
        """
        made = self._make(request)
        left = self._left(request)
        failures = tuple(
            Failure(step=request.step.step, target=str(r), code="Conflict", message=f"{r} is open still")
            for r in left.refs
        )
        return StepOutcome(
            complete=not failures and not made.failures,
            summary=f"{made.stand} closed to the outside",
            failures=(*made.failures, *failures),
            at=datetime.now(UTC),
        )

    def _left(self, request: StepRequest) -> Exposure:
        end = time.monotonic() + _PATIENCE
        while True:
            left = exposure_of(self._doors.kubernetes, request.finding)
            ending = [i for i in left.ingresses if "deletionTimestamp" in i["metadata"]]
            if left.services or len(ending) < len(left.ingresses) or not ending or time.monotonic() > end:
                return left
            beat()
            time.sleep(0.5)

    def _plan(self, request: StepRequest) -> StepPlan:
        found = exposure_of(self._doors.kubernetes, request.finding)
        if not found.refs:
            return StepPlan(skip="no Service and no Ingress opens it to the outside")
        if not found.sure and len(found.refs) > 1:
            # An approval cannot say which of them is meant.
            message = f"the finding does not say which of these is open to the world: {listed([*map(str, found.refs)])}"
            message = f"{message}; close it by hand"
            failure = Failure(step=request.step.step, target="", code="PolicyRefusal", message=message)
            return StepPlan(blocked=True, failures=(failure,))
        step = request.step.step
        services = [closing_service(s, step) for s in found.services]
        ingresses = [
            self._closing(i, set(found.names), step)
            for i in found.ingresses
            if "deletionTimestamp" not in i["metadata"]
        ]
        return StepPlan(changes=(*services, *ingresses), notes=tuple(_notes(found)))

    @staticmethod
    def _closing(ingress: JsonObject, names: set[str], step: str) -> Change:
        return closing_ingress(ingress, names, step) or Change(
            step=step,
            resource=ref("Ingress", ingress),
            summary="is deleted: it leads nowhere else",
            before={"": plain(ingress)},
            after={"": None},
        )


def _notes(found: Exposure) -> list[str]:
    notes = [
        f"{ref('Service', s)}: its load balancer goes, and another one has another address after a release."
        for s in found.services
        if s["spec"].get("type") == "LoadBalancer"
    ]
    if not found.sure:
        notes.append("The finding names no workload that exists; it was found by its usual name.")
    return notes
