"""The activity `unbind_subject`: anonymous users, or the `default` account, out of bindings; nobody else (C1 to C3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from temporalio import activity

from activities.bindings import bindings_of, ref_of, without_subject
from activities.configuration import default_account
from activities.configuration.shared import taken_out_by_others
from activities.steps import Planner, StepRoom
from clients.kubernetes import JsonObject
from contracts.names import ActivityName
from contracts.states import Containment
from contracts.steps import StepOutcome, StepPlan, StepRequest

_ALLOWED: Final = "system:public-info-viewer"
"""Bound to everybody since Kubernetes 1.14: version and health, nothing else (guide C1)."""


class UnbindActivities(StepRoom):
    """Takes subjects out of bindings."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {
            "configuration.unbind_anonymous": self._plan_anonymous,
            "configuration.unbind_default_account": self._plan_default,
        }

    @activity.defn(name=ActivityName.UNBIND_SUBJECT, no_thread_cancel_exception=True)
    def unbind_subject(self, request: StepRequest) -> StepOutcome:
        """Take the subject out of the planned bindings, then read all bindings again.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a binding, stands in the way; a retry goes on.
        """
        made = self._make(request)
        if request.step.action == "unbind_default_account":
            who, left = "the default account", default_account.still_bound(self._doors.kubernetes, request)
        else:
            who = "anonymous users"
            left = tuple(f"{ref_of(b)} still binds anonymous users." for b in self._anonymous())
        return StepOutcome(
            complete=not left and not made.failures,
            summary=f"{who} taken out of {made.stand} binding{'' if made.stand == 1 else 's'}",
            failures=made.failures,
            containment=Containment.INCOMPLETE if left or made.failures else Containment.VERIFIED,
            at=datetime.now(UTC),
            reasons=left[:20],
        )

    def _plan_anonymous(self, request: StepRequest) -> StepPlan:
        changes = [without_subject(b, _is_anonymous, request.step.step) for b in self._anonymous()]
        shared = taken_out_by_others(self._engine, request.step.step, lambda _, subject: _is_anonymous(subject))
        return StepPlan(changes=(*changes, *shared))

    def _plan_default(self, request: StepRequest) -> StepPlan:
        plan = default_account.plan(self._doors.kubernetes, request)
        treated = {namespace for c in plan.changes for namespace in default_account.accounts_in(c)}
        shared = taken_out_by_others(
            self._engine,
            request.step.step,
            lambda _, subject: default_account.namespace_of(subject) in treated,
        )
        return plan.model_copy(update={"changes": (*plan.changes, *shared)})

    def _anonymous(self) -> list[JsonObject]:
        found = bindings_of(self._doors.kubernetes, _is_anonymous)
        return [b for b in found if (b.get("roleRef") or {}).get("name") != _ALLOWED]


def _is_anonymous(subject: JsonObject) -> bool:
    """An entry for `system:anonymous`, or for its group, in which every request without credentials is."""
    who = (subject.get("kind"), subject.get("name"))
    return who in (("User", "system:anonymous"), ("Group", "system:unauthenticated"))
