"""The activity `cut_pod_roles`: the pods of a service account lose the roles that they take in IAM (guide U6, P9).

A Pod Identity association is deleted. A trust policy gets one statement that denies the role to this account; nothing
is taken out of it, because an account may be let in by a pattern that others need (docs/decisions). What was issued
already lives on until `revoke_sessions`, the step behind this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from temporalio import activity

from activities.doors import Doors
from activities.isolation.walk import SYSTEMIC, failure_of
from activities.steps import Planner, StepRoom
from activities.user import kinds
from activities.user.account_roles import AccountRoles, Found, Role
from activities.user.documents import account_subject, cut_sid, cut_statement
from activities.user.holders import accounts_at
from activities.user.settled import settled
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest, Task
from errors import Conflict, FirebreakError
from plans.model import Change, ResourceRef
from plans.situation import listed, words


class PodRoleActivities(StepRoom):
    """Takes roles from service accounts."""

    def __init__(self, doors: Doors) -> None:
        super().__init__(doors)
        self._accounts = AccountRoles(doors)

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return dict.fromkeys(("user.cut_pod_roles", "pod.cut_pod_roles", "image.cut_pod_roles"), self._plan)

    @activity.defn(name=ActivityName.CUT_POD_ROLES, no_thread_cancel_exception=True)
    def cut_pod_roles(self, request: StepRequest) -> StepOutcome:
        """Make the planned changes, then read every one again, and look for roles that were given meanwhile.

        Raises:
            Paused, Throttled, Unavailable: A service, not a role, stands in the way; a retry goes on.
        """
        made = self._make(request)
        written = not made.failures
        broken = [
            str(c.resource) for c in request.changes if not settled(partial(self._engine.stands, c), written=written)
        ]
        tasks: list[Task] = []
        for namespace, name in accounts_at(request):
            if self._accounts.associated(namespace, name):
                broken.append(f"Pod Identity still gives {namespace}/{name} a role")
            tasks += [_for_owner(request, r) for r in self._accounts.of(namespace, name).roles if r.foreign]
        return StepOutcome(
            complete=not broken and not made.failures,
            summary=f"{made.stand} way{'' if made.stand == 1 else 's'} to a role closed"
            "; IAM may take some minutes, and sessions issued already are ended by revoke_sessions",
            failures=(
                *made.failures,
                *(failure_of(request.step.step, b, Conflict("it does not stand as it was left")) for b in broken),
            ),
            tasks=tuple(tasks),
        )

    def _plan(self, request: StepRequest) -> StepPlan:
        changes: list[Change] = []
        notes: list[str] = []
        failures: list[Failure] = []
        foreign = False
        for namespace, name in accounts_at(request):
            who = f"{words(namespace)}/{words(name)}"
            try:
                found = self._accounts.of(namespace, name)
            except SYSTEMIC:
                raise
            except FirebreakError as error:
                failures.append(failure_of(request.step.step, who, error))
                continue
            if not found.roles:
                notes.append(f"No IAM role is given to {who}.")
            for role in found.roles:
                changes += self._changes(request, namespace, name, found, role)
                notes += _notes(who, role)
                foreign = foreign or role.foreign
        # A role of another account changes nothing here, and is somebody's task all the same.
        skip = "" if changes or failures or foreign else " ".join(notes) or "No service account is among the targets."
        return StepPlan(changes=tuple(changes), failures=tuple(failures), skip=skip, notes=tuple(notes))

    def _changes(self, request: StepRequest, namespace: str, name: str, found: Found, role: Role) -> list[Change]:
        changes, who = [], f"{words(namespace)}/{words(name)}"
        if role.associated:
            ref = ResourceRef(kind="PodIdentityAssociation", namespace=namespace, name=name)
            before = kinds.PodIdentityKind(self._doors.aws.eks, self._doors.settings.cluster).read(ref, ("",))
            changes.append(
                Change(
                    step=request.step.step,
                    resource=ref,
                    summary=f"Pod Identity gives {who} the role {words(role.name)} no longer",
                    before=before,
                    after={"": None},
                )
            )
        if role.provider:
            subject = account_subject(namespace, name)
            field = kinds.statement_field(cut_sid(found.issuer, subject))
            statement = cut_statement(role.provider, found.issuer, subject)
            ref = ResourceRef(kind="RoleTrust", name=role.name)
            changes.append(
                Change(
                    step=request.step.step,
                    resource=ref,
                    summary=f"the role {words(role.name)} is denied to {who}",
                    before={field: None},
                    after={field: statement},
                )
            )
        return changes


def _notes(who: str, role: Role) -> list[str]:
    name = words(role.name)
    if role.foreign:
        return [f"{name} is a role of another account: a task for its owner."]
    notes = []
    if not role.associated and not role.provider:
        notes.append(f"{who} names the role {name}, whose trust policy does not let it in.")
    if role.shared:
        notes.append(f"The role {name} stays with {listed(role.shared)}; ending its sessions hits them too.")
    return notes


def _for_owner(request: StepRequest, role: Role) -> Task:
    step = request.step.step
    number = cut_sid(step, role.arn)[-8:]
    text = f"Take the cluster's service account out of the trust of {words(role.arn)} and end the role's sessions."
    return Task(id=f"{step}-{number}", step=step, text=text, owner="the other account")
