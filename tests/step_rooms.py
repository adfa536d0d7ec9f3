"""Steps planned, carried out and released as a worker would, in the rooms that a test is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from activities.restore import RestoreActivities
from activities.steps import PlanningActivities, StepRoom
from contracts.activities import RestoreRequest, RestoreResult
from contracts.common import IncidentKey
from contracts.steps import VERBS, StepOutcome, StepPlan, StepRequest
from plans.model import Change


@dataclass
class StepRooms:
    """The rooms of one worker; a subclass says which."""

    doors: Doors
    kinds: ClassVar[tuple[type[StepRoom], ...]]

    def plan(self, asked: StepRequest) -> StepPlan:
        rooms = tuple(room(self.doors) for room in self.kinds)
        return ActivityEnvironment().run(PlanningActivities(self.doors, rooms).plan_step, asked)

    def carry_out(self, asked: StepRequest, planned: StepPlan | None = None) -> tuple[StepOutcome, tuple[Change, ...]]:
        """Make what was planned; returns the outcome and the changes as history has them."""
        changes = (planned or self.plan(asked)).changes
        name = VERBS[asked.step.step].value
        room = next(r for r in self.kinds if hasattr(r, name))
        verb: Callable[[StepRequest], StepOutcome] = getattr(room(self.doors), name)
        return ActivityEnvironment().run(verb, asked.model_copy(update={"changes": changes})), changes

    def release(self, key: IncidentKey, changes: tuple[Change, ...], *, unreported: bool = False) -> RestoreResult:
        asked = RestoreRequest(incident=key, step="release", changes=changes, unreported=unreported)
        return ActivityEnvironment().run(RestoreActivities(self.doors).restore_changes, asked)
