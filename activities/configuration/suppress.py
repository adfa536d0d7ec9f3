"""The activity `suppress_finding`: a filter of GuardDuty that archives findings which a person expects (guide G4).

What is created is exactly what the person was shown: the filter's name holds the hash of its criteria, and they are
worked out again here, from GuardDuty's own copy of the finding. A forged one hides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from temporalio import activity

from activities.assess.provenance import contradiction, parsed
from activities.changes.kinds import kind_of
from activities.configuration.finding_filter import KIND, detector_of, filter_value
from activities.isolation.walk import failure_of
from activities.steps import Planner, StepRoom
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import FirebreakError, PolicyRefusal, Throttled, Unavailable
from plans.model import Change, ResourceRef
from plans.suppression import STEP, Suppression, suppression_of


class SuppressActivities(StepRoom):
    """Creates suppression rules."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {STEP: self._plan}

    @activity.defn(name=ActivityName.SUPPRESS_FINDING, no_thread_cancel_exception=True)
    def suppress_finding(self, request: StepRequest) -> StepOutcome:
        """Create the planned filter, then read it again.

        Raises:
            Paused, Throttled, Unavailable: A service stands in the way; a retry goes on.
        """
        made = self._make(request)
        standing = [c for c in request.changes if self._value(c.resource.name) == c.after[""]]
        complete = bool(standing) and not made.failures
        name = request.step.targets[0].name
        return StepOutcome(
            complete=complete,
            summary=f"the filter {name} archives such findings" if complete else f"there is no filter {name}",
            failures=made.failures,
            at=datetime.now(UTC),
        )

    def _plan(self, request: StepRequest) -> StepPlan:
        try:
            proposed = self._confirmed(request)
            now = self._value(proposed.name)
        except (Throttled, Unavailable):
            raise
        except FirebreakError as error:
            return _blocked(request, error)
        wanted = filter_value(proposed.criteria)
        if now == wanted:
            return StepPlan(skip=f"the filter {proposed.name} stands already", notes=proposed.hides)
        if now is not None:
            moved = PolicyRefusal(f"a filter {proposed.name} stands already, and somebody changed it; delete it first")
            return _blocked(request, moved)
        change = Change(
            step=STEP,
            resource=ResourceRef(kind=KIND, name=proposed.name),
            summary="archives findings that were expected: " + "; ".join(proposed.words),
            before={"": None},
            after={"": wanted},
        )
        return StepPlan(changes=(change,), notes=proposed.hides)

    def _confirmed(self, request: StepRequest) -> Suppression:
        """The filter for GuardDuty's own copy of the finding.

        Raises:
            PolicyRefusal: GuardDuty does not know it, or it would give another filter than the one that was approved.
            FirebreakError: GuardDuty cannot be asked.
        """
        detector = detector_of(self._doors)
        raw = self._doors.aws.guardduty.finding(detector, request.finding.id)
        if raw is None:
            raise PolicyRefusal(f"the detector {detector} does not know the finding, so nothing shows what to suppress")
        finding = parsed(raw)
        if elsewhere := contradiction(finding, self._doors.settings):
            raise PolicyRefusal(elsewhere)
        (target,) = request.step.targets
        proposed = suppression_of(finding, target.owner)
        if proposed.name != target.name:
            raise PolicyRefusal(
                f"GuardDuty's own copy of the finding would give another filter: {'; '.join(proposed.words)}"
            )
        return proposed

    def _value(self, name: str) -> object:
        ref = ResourceRef(kind=KIND, name=name)
        return kind_of(self._doors, KIND).read(ref, ("",))[""]


def _blocked(request: StepRequest, error: FirebreakError) -> StepPlan:
    return StepPlan(failures=(failure_of(STEP, request.step.targets[0].name, error),), blocked=True)
