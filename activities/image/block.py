"""The activity `block_image`: no new pod with the image, in any namespace, from any registry or cache (guide I1)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from temporalio import activity

from activities.doors import Doors
from activities.image.refusal import is_refused, refusals
from activities.isolation.walk import failure_of
from activities.steps import Planner, StepRoom, beat
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.states import Containment
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import InputError
from plans.images import digest_of, shown, shown_all
from plans.model import Change, ResourceRef

_PAUSE = 0.1


class BlockActivities(StepRoom):
    """Refuses images at admission.

    Args:
        doors: The clients.
        in_force_within: Seconds for which the API server may go on with what it knew before.
    """

    def __init__(self, doors: Doors, *, in_force_within: float = 10.0) -> None:
        super().__init__(doors)
        self._in_force_within = in_force_within

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"image.block": _plan}

    @activity.defn(name=ActivityName.BLOCK_IMAGE, no_thread_cancel_exception=True)
    def block_image(self, request: StepRequest) -> StepOutcome:
        """Create the policies, then ask the API server for a pod of each image until it refuses.

        Raises:
            Paused, Throttled, Unavailable: The cluster stands in the way; a retry goes on.
        """
        made = self._make(request)
        names = [t.name for t in request.step.targets]
        reasons = self._not_refused(names)
        proved = not reasons and not made.failures
        return StepOutcome(
            complete=proved,
            summary=f"new pods are refused with {shown_all(names, 3)}"
            if proved
            else "the image is not refused everywhere",
            failures=made.failures,
            containment=Containment.VERIFIED if proved else Containment.INCOMPLETE,
            at=datetime.now(UTC),
            reasons=tuple(reasons[:20]),
        )

    def _not_refused(self, names: Iterable[str]) -> list[str]:
        """What is still admitted when the time is over: a policy takes the API server a moment to learn of."""
        left = list(names)
        end = time.monotonic() + self._in_force_within
        while True:
            answers = {n: is_refused(self._doors.kubernetes, n) for n in left}
            left = [n for n in left if answers[n]]
            if not left or time.monotonic() >= end:
                return [f"{shown(n)}: {answers[n]}." for n in left]
            beat()
            time.sleep(_PAUSE)


def _plan(request: StepRequest) -> StepPlan:
    changes: dict[str, Change] = {}
    failures: list[Failure] = []
    for target in request.step.targets:
        try:
            # Two names of one digest share a policy.
            changes |= {c.key: c for c in refusals(target.name, request.step.step)}
        except InputError as error:
            resource = ResourceRef(kind="Image", name=target.name[:200])
            failures.append(failure_of(request.step.step, resource, error))
    tags = [t.name for t in request.step.targets if not digest_of(t.name)]
    notes = [
        "New pods with the image are refused in every namespace; pods that run it already are not touched by this."
    ]
    if tags:
        notes.append(
            f"A repaired image that is pushed under the same tag is refused too, until the incident is released: "
            f"{shown_all(tags)}. Name it by its digest."
        )
    return StepPlan(changes=tuple(changes.values()), failures=tuple(failures), notes=tuple(notes))
