"""Steps of the node path, planned and carried out as an incident does, one after another."""

from __future__ import annotations

import dataclasses
import uuid
from types import SimpleNamespace
from typing import Any, cast

from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from activities.node import NODE_ROOMS
from activities.restore import RestoreActivities
from activities.steps import PlanningActivities, StepRoom
from contracts.activities import RestoreRequest, RestoreResult
from contracts.common import IncidentKey, PodTarget, PodTargets
from contracts.steps import VERBS, StepOutcome, StepPlan, StepRequest
from findings.model import Finding
from plans.model import Change, Gate, Path, Step, Verdict
from tests.node.support import TestNode

GATES = {
    "cordon": Gate.CONTAIN,
    "protect": Gate.CONTAIN,
    "isolate": Gate.CONTAIN,
    "replace_profile": Gate.CREDENTIALS,
    "drain": Gate.TERMINATE,
    "terminate": Gate.TERMINATE,
}


class Incident:
    """Plans and carries out steps of the node path as an incident does, one after another."""

    def __init__(self, doors: Doors, name: str = "", rooms: tuple[StepRoom, ...] = ()) -> None:
        self.doors = dataclasses.replace(doors, temporal=cast(Client, SimpleNamespace(identity="tests")))
        self.key = IncidentKey(workflow_id=name or f"gd/1/r/{uuid.uuid4().hex}", run_id="run-1")
        self.rooms = (*rooms, *(room(self.doors) for room in NODE_ROOMS if not isinstance(rooms, room)))
        self.made: list[Change] = []

    def request(self, action: str, *nodes: TestNode, pods: tuple[PodTarget, ...] = ()) -> StepRequest:
        """What the activities of a step are asked."""
        step = Step(
            step=f"node.{action}",
            path=Path.NODE,
            action=action,
            targets=tuple(n.target for n in nodes),
            gate=GATES.get(action),
            decision=Verdict.APPROVAL,
            reason="",
            undo="",
        )
        return StepRequest(
            incident=self.key,
            step=step,
            finding=Finding(id="f", type="t", severity=8, account="1" * 12, region="r"),
            pods=PodTargets(count=len(pods), inline=pods),
            made=tuple(self.made),
        )

    def plan(self, action: str, *nodes: TestNode, **more: Any) -> StepPlan:
        """Plan one step."""
        # The first room that plans a step is the one given to the test.
        planning = PlanningActivities(self.doors, tuple(reversed(self.rooms)))
        return ActivityEnvironment().run(planning.plan_step, self.request(action, *nodes, **more))

    def carry_out(self, action: str, *nodes: TestNode, **more: Any) -> StepOutcome:
        """Plan one step and carry it out; one that is refused or skipped does not reach its activity."""
        plan = self.plan(action, *nodes, **more)
        if plan.blocked or plan.skip:
            return StepOutcome(complete=not plan.blocked, skipped=True, summary=plan.skip, failures=plan.failures)
        self.made = [c for c in self.made if c.key not in {p.key for p in plan.changes}] + list(plan.changes)
        request = self.request(action, *nodes, **more).model_copy(update={"changes": plan.changes})
        outcome = self.run(action, request)
        failures = (*plan.failures, *outcome.failures)
        return outcome.model_copy(update={"failures": failures, "complete": outcome.complete and not plan.failures})

    def run(self, action: str, request: StepRequest) -> StepOutcome:
        """The step's own activity."""
        verb = VERBS[f"node.{action}"].value
        room = next(r for r in self.rooms if hasattr(r, verb))
        outcome: StepOutcome = ActivityEnvironment().run(getattr(room, verb), request)
        return outcome

    def release(self) -> RestoreResult:
        """Undo what was changed."""
        request = RestoreRequest(incident=self.key, changes=tuple(self.made))
        return ActivityEnvironment().run(RestoreActivities(self.doors).restore_changes, request)
