"""Access keys: switched off while containment lasts, deleted on approval (guide U5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from temporalio import activity

from activities.doors import Doors
from activities.isolation.walk import failure_of
from activities.steps import Planner, StepRoom
from activities.user import kinds
from activities.user.holders import USER, Holder, Holders
from activities.user.key_facts import KeyFacts
from activities.user.settled import settled
from activities.user.trace import Caller, trace
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest, Task
from errors import Forbidden, PolicyRefusal
from findings.model import Finding
from plans.model import Change, ResourceRef
from plans.situation import clause, words

_INACTIVE: Final = "Inactive"
_CALLERS: Final = "user.deactivate_caller_key"


class KeyActivities(StepRoom):
    """Switches keys off and deletes them."""

    def __init__(self, doors: Doors) -> None:
        super().__init__(doors)
        self._facts = KeyFacts(doors.aws.iam)
        self._holders = Holders(doors.settings)

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {
            "user.deactivate_key": self._plan_subjects,
            _CALLERS: self._plan_callers,
            "user.delete_key": self._plan_deletion,
        }

    @activity.defn(name=ActivityName.DEACTIVATE_KEY, no_thread_cancel_exception=True)
    def deactivate_key(self, request: StepRequest) -> StepOutcome:
        """Switch the planned keys off, then ask IAM for their status.

        It ends no access to the cluster: an EKS token outlives its key, so it proves nothing about containment.

        Raises:
            Paused, Throttled, Unavailable: IAM, not a key, stands in the way; a retry goes on.
        """
        made = self._make(request)
        keys = [c.resource for c in request.changes]
        active = [k for k in keys if not settled(partial(self._facts.is_off, k), written=not made.failures)]
        off = [k for k in keys if k not in active and not self._facts.is_gone(k)]
        said = f"{_listed(off)} {'is' if len(off) == 1 else 'are'} Inactive" if off else "no key was switched off"
        return StepOutcome(
            complete=not active and not made.failures,
            summary=f"{said}; IAM may take some seconds to apply it everywhere",
            failures=made.failures,
            tasks=tuple(_rotation(request, k) for k in off) if request.step.step == _CALLERS else (),
        )

    @activity.defn(name=ActivityName.DELETE_KEY, no_thread_cancel_exception=True)
    def delete_key(self, request: StepRequest) -> StepOutcome:
        """Delete the planned keys, each only while it is Inactive, then look for them again.

        Raises:
            Paused, Throttled, Unavailable: IAM, not a key, stands in the way; a retry goes on.
        """
        made = self._make(request)
        keys = [c.resource for c in request.changes]
        gone = [k for k in keys if settled(partial(self._facts.is_gone, k), written=not made.failures)]
        return StepOutcome(
            complete=len(gone) == len(keys) and not made.failures,
            summary=f"{_listed(gone)} deleted" if gone else "no key was deleted",
            failures=made.failures,
        )

    def _plan_subjects(self, request: StepRequest) -> StepPlan:
        return self._plan(request, self._holders.of(request))

    def _plan_callers(self, request: StepRequest) -> StepPlan:
        """The key of the user who made the session, as CloudTrail recorded it.

        What keeps it from being found or touched is an outcome, not a failure: the sessions are to be ended all the
        same, and that step waits for this one.
        """
        found: list[Holder] = []
        notes: list[str] = []
        for holder in self._holders.of(request):
            if holder.refused or not holder.key_id.startswith("ASIA"):
                continue
            caller = self._caller(holder.key_id, request.finding)
            notes.append(caller.how)
            if self._holders.protected(caller.user):
                notes.append(f"Protected: the principal {words(caller.user)}. Whoever owns its key must replace it.")
            elif caller.key_id:
                found.append(Holder(USER, caller.user, caller.key_id))
        if not found:
            return StepPlan(skip=" ".join(notes) or "No session of the finding has a key.", notes=tuple(notes))
        plan = self._plan(request, found)
        refused = [f for f in plan.failures if f.code == PolicyRefusal.code]
        notes += [f.message for f in refused]
        failures = tuple(f for f in plan.failures if f not in refused)
        skip = "" if plan.changes or failures else " ".join((*notes, *plan.notes))
        return StepPlan(changes=plan.changes, failures=failures, skip=skip, notes=(*notes, *plan.notes))

    def _caller(self, key_id: str, finding: Finding) -> Caller:
        try:
            return trace(self._doors.aws.cloudtrail, self._doors.settings.account, key_id, finding)
        except Forbidden as error:
            return Caller(f"Who made the session of {words(key_id)} is not known: {clause(error.message)}.")

    def _plan(self, request: StepRequest, holders: Iterable[Holder]) -> StepPlan:
        changes: list[Change] = []
        failures: list[Failure] = []
        notes: list[str] = []
        for holder in holders:
            try:
                change, note = self._deactivation(request, holder)
            except (PolicyRefusal, Forbidden) as error:
                failures.append(failure_of(request.step.step, str(holder), error))
                continue
            changes += [change] if change is not None else []
            notes += [note] if note else []
        blocked = bool(failures) and not changes
        skip = "" if changes or failures else " ".join(notes) or "The finding names no access key."
        return StepPlan(
            changes=tuple(changes), failures=tuple(failures), blocked=blocked, skip=skip, notes=tuple(notes)
        )

    def _deactivation(self, request: StepRequest, holder: Holder) -> tuple[Change | None, str]:
        """The change, or why there is none.

        Raises:
            PolicyRefusal: The key must not be touched.
        """
        status, note = self._facts.look(holder)
        if status is None:
            return None, note
        ref = _ref(holder)
        recorded = self._engine.held.change_of(ref)
        if recorded is not None:
            return recorded.model_copy(update={"step": request.step.step}), "Another incident has switched it off."
        if status == _INACTIVE:
            return None, f"The key {words(holder.key_id)} of {holder} was Inactive already."
        change = Change(
            step=request.step.step,
            resource=ref,
            summary=f"access key of {holder} switched off",
            before={kinds.STATUS: status},
            after={kinds.STATUS: _INACTIVE},
        )
        return change, f"Whatever else uses the key {words(holder.key_id)} of {holder} is cut off as well."

    def _plan_deletion(self, request: StepRequest) -> StepPlan:
        changes: list[Change] = []
        notes: list[str] = []
        failures: list[Failure] = []
        for holder in self._holders.of(request):
            try:
                status, note = self._facts.look(holder)
                if status == "Active":
                    raise PolicyRefusal(f"The key {words(holder.key_id)} is Active; only one switched off is deleted")
            except (PolicyRefusal, Forbidden) as error:
                failures.append(failure_of(request.step.step, str(holder), error))
                continue
            notes += [note] if note else []
            if status is not None:
                changes.append(_deletion(request, holder))
        skip = "" if changes or failures else " ".join(notes) or "The finding names no access key."
        notes += ["A deleted key cannot be brought back: whatever still uses it must get another."] if changes else []
        return StepPlan(
            changes=tuple(changes), failures=tuple(failures), blocked=bool(failures), skip=skip, notes=tuple(notes)
        )


def _ref(holder: Holder, kind: str = "AccessKey") -> ResourceRef:
    return ResourceRef(kind=kind, namespace=holder.name, name=holder.key_id)


def _deletion(request: StepRequest, holder: Holder) -> Change:
    return Change(
        step=request.step.step,
        resource=_ref(holder, "DeletedAccessKey"),
        summary=f"access key of {holder} deleted for good",
        before={"": {"Status": _INACTIVE}},
        after={"": None},
    )


def _rotation(request: StepRequest, key: ResourceRef) -> Task:
    text = f"Give {words(key.namespace)} a new access key in place of {words(key.name)}, and delete the old one."
    return Task(
        id=f"{request.step.step}-{key.name[-8:].lower()}", step=request.step.step, text=text, owner=key.namespace
    )


def _listed(keys: list[ResourceRef]) -> str:
    return ", ".join(f"{words(k.name)} of {words(k.namespace)}" for k in keys)
