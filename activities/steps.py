"""What the activities of single steps have in common: a planner a step, and carrying out through the change engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from temporalio import activity

from activities.changes.engine import Engine
from activities.changes.secrecy import refuse_secrets
from activities.doors import Doors
from activities.isolation.walk import stop_if_cancelled
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepPlan, StepRequest
from errors import InputError
from plans.model import Change, Step, Target

Planner = Callable[[StepRequest], StepPlan]
"""Reads what a step would change. Pure reading: it is also called for a preview, and by `firebreak plan`."""


class Made(NamedTuple):
    """What the engine made of a step's changes."""

    stand: int
    failures: tuple[Failure, ...]


class StepRoom:
    """A room of steps: subclasses have one activity a verb, and say how their steps are planned."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._engine = Engine(doors)

    def planners(self) -> Mapping[str, Planner]:
        """By step, `<path>.<action>`."""
        raise NotImplementedError

    def _make(self, request: StepRequest) -> Made:
        """Make the planned changes, in their order.

        Raises:
            Paused, Throttled, Unavailable: A service, not a target, stands in the way; a retry goes on.
        """
        made, failures = self._engine.make(request.changes, request.incident.workflow_id, request.step.step, beat)
        return Made(made, tuple(failures))


class PlanningActivities:
    """Plans the steps of all rooms; `plan_step` is what every step of every path begins with."""

    def __init__(self, doors: Doors, rooms: tuple[StepRoom, ...]) -> None:
        self._engine = Engine(doors)
        self._planners = {step: planner for room in rooms for step, planner in room.planners().items()}

    @property
    def steps(self) -> frozenset[str]:
        """The steps that can be planned."""
        return frozenset(self._planners)

    @activity.defn(name=ActivityName.PLAN_STEP)
    def plan_step(self, request: StepRequest) -> StepPlan:
        """What a step would change, with before-state; changes nothing.

        What another incident has changed for the same aim is planned too: this incident then holds it as well, and only
        the last release undoes it.

        Raises:
            InputError: No step of this name can be carried out.
            PolicyRefusal: What is planned would show the value of a Secret.
            Conflict, Throttled, Unavailable: A service does not answer; a retry may succeed.
        """
        planner = self._planners.get(request.step.step)
        if planner is None:
            raise InputError("step", f"one of {', '.join(sorted(self._planners))}", request.step.step)
        plan = planner(request)
        for change in plan.changes:
            # Before it stands in history; the engine would refuse it after.
            refuse_secrets(change)
        aims = aims_of(request.step)
        changes = [c.model_copy(update={"held": True, "aims": aims}) for c in plan.changes]
        if request.step.gate is not None and not plan.blocked:
            planned = {_what(c) for c in changes}
            changes += [
                c.model_copy(update={"step": request.step.step, "aims": aims})
                for c in self._engine.held.for_aims(aims)
                if _what(c) not in planned and not self._engine.gone(c)
            ]
        return plan.model_copy(update={"changes": tuple(changes), "skip": "" if changes else plan.skip})


_ALIKE: Final = frozenset({"unbind_anonymous"})
"""Steps that do the same whatever the finding names: nobody may come in without credentials, through any binding."""


def aims_of(step: Step) -> tuple[str, ...]:
    """What a step is for, in words that two incidents with the same aim have in common."""
    if step.action in _ALIKE:
        return (step.action,)
    return tuple(f"{step.action}:{target_words(t)}" for t in step.targets)


def target_words(target: Target) -> str:
    """A target as one text, by name: two findings about one subject need not know the same of it."""
    return f"{target.kind.value}/{target.namespace}/{target.name}"


def beat() -> None:
    """Say that an activity moves, and stop between two changes if nobody waits for it any more."""
    # `firebreak plan` asks planners too, and no server waits there.
    if activity.in_activity():
        activity.heartbeat()
        stop_if_cancelled()


def _what(change: Change) -> tuple[str, str, str, tuple[str, ...]]:
    r = change.resource
    return r.kind, r.namespace, r.uid or r.name, tuple(sorted(change.after))
