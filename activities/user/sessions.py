"""The activity `revoke_sessions`: sessions of users and roles that were issued until now are refused (guide U5, P9).

IAM has no list of sessions. An inline policy that denies everything to sessions issued before a moment ends them all,
those of honest users of the same identity too: they sign in again. It does not end access to the cluster, because an
EKS token is a signed GetCallerIdentity, which works under an explicit Deny.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple

from pydantic import JsonValue
from temporalio import activity

from activities.doors import Doors
from activities.isolation.walk import SYSTEMIC, failure_of
from activities.steps import Planner, StepRoom
from activities.user import kinds
from activities.user.account_roles import AccountRoles
from activities.user.documents import REVOKE_POLICY, revoke_document, revoked_before
from activities.user.holders import ROLE, USER, Holder, Holders, accounts_at
from activities.user.principals import SERVICE_LINKED
from activities.user.settled import settled
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import FirebreakError, Forbidden, TargetGone
from plans.model import Change, ResourceRef
from plans.situation import words

_IDENTITY_CENTER: Final = "AWSReservedSSO_"
_KINDS: Final = {ROLE: "RolePolicy", USER: "UserPolicy"}


class _Planned(NamedTuple):
    change: Change | None
    note: str = ""


class SessionActivities(StepRoom):
    """Ends sessions."""

    def __init__(self, doors: Doors) -> None:
        super().__init__(doors)
        self._iam = doors.aws.iam
        self._holders = Holders(doors.settings)
        self._accounts = AccountRoles(doors)

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return dict.fromkeys(("user.revoke_sessions", "pod.revoke_sessions", "image.revoke_sessions"), self._plan)

    @activity.defn(name=ActivityName.REVOKE_SESSIONS, no_thread_cancel_exception=True)
    def revoke_sessions(self, request: StepRequest) -> StepOutcome:
        """Write the planned policies, then read each again.

        Raises:
            Paused, Throttled, Unavailable: IAM, not an identity, stands in the way; a retry goes on.
        """
        made = self._make(request)
        ended: list[str] = []
        open_: list[str] = []
        for change in request.changes:
            ref, wanted = change.resource, revoked_before(change.after[kinds.DOCUMENT])
            shown = settled(partial(self._are_ended, ref, wanted), written=not made.failures)
            (ended if shown else open_).append(f"{words(ref.namespace)} (until {self._until(ref) or 'never'})")
        said = f"sessions ended of {', '.join(ended)}" if ended else "no sessions ended"
        return StepOutcome(
            complete=not open_ and not made.failures,
            summary=f"{said}; IAM may take some minutes to apply it everywhere",
            failures=made.failures,
        )

    def _plan(self, request: StepRequest) -> StepPlan:
        changes: list[Change] = []
        notes: list[str] = []
        failures: list[Failure] = []
        roles = self._of_accounts(request, notes, failures)
        for holder in dict.fromkeys((*self._holders.of(request), *roles)):
            try:
                planned = self._revocation(request, holder)
            except Forbidden as error:
                failures.append(failure_of(request.step.step, str(holder), error))
                continue
            changes += [planned.change] if planned.change is not None else []
            notes += [planned.note] if planned.note else []
        skip = "" if changes or failures else " ".join(notes) or "No IAM identity is behind the finding."
        return StepPlan(changes=tuple(changes), failures=tuple(failures), skip=skip, notes=tuple(notes))

    def _of_accounts(self, request: StepRequest, notes: list[str], failures: list[Failure]) -> list[Holder]:
        """The roles of the service accounts among the targets, those that were cut from them before included."""
        names = [role for change in request.made for role in _roles_in(change)]
        for namespace, name in accounts_at(request):
            try:
                names += [r.name for r in self._accounts.of(namespace, name).roles if not r.foreign]
            except SYSTEMIC:
                raise
            except FirebreakError as error:
                failures.append(failure_of(request.step.step, f"{words(namespace)}/{words(name)}", error))
        roles = []
        for name in dict.fromkeys(names):
            if self._holders.protected(name):
                notes.append(f"Protected: the role {words(name)}, whose sessions are left alone.")
            else:
                roles.append(Holder(ROLE, name))
        return roles

    def _revocation(self, request: StepRequest, holder: Holder) -> _Planned:
        if holder.refused:
            return _Planned(None, holder.refused)
        try:
            why_not = self._cannot_be_ended(holder)
            if why_not:
                return _Planned(None, why_not)
            ref = ResourceRef(kind=_KINDS[holder.kind], namespace=holder.name, name=REVOKE_POLICY)
            before = self._before(ref, holder)
        except TargetGone:
            return _Planned(None, f"{holder} does not exist any more.")
        document = revoke_document(datetime.now(UTC))
        change = Change(
            step=request.step.step,
            resource=ref,
            summary=f"sessions of {holder} issued before {revoked_before(document)} are refused",
            before={kinds.DOCUMENT: before},
            after={kinds.DOCUMENT: document},
        )
        return _Planned(change, f"Everybody who uses {holder} in a session is refused until they sign in again.")

    def _cannot_be_ended(self, holder: Holder) -> str:
        """Why IAM does not let this be done, or "".

        Raises:
            TargetGone: The role or user does not exist.
        """
        if self._iam.is_caller(holder.kind, holder.name):
            return f"{holder} is Firebreak's own; its sessions are left alone."
        if holder.kind == USER:
            self._iam.user(holder.name)
            return ""
        if holder.name.startswith(_IDENTITY_CENTER):
            return f"{holder} belongs to IAM Identity Center, where alone its sessions can be ended."
        role = self._iam.role(holder.name)
        if role["Path"].startswith(SERVICE_LINKED):
            return f"{holder} is linked to a service of AWS; nobody can end its sessions."
        return ""

    def _before(self, ref: ResourceRef, holder: Holder) -> JsonValue:
        """What stood there before the first of us: only the record knows it once a policy of ours stands."""
        recorded = self._engine.held.change_of(ref)
        read = self._iam.role_policy if holder.kind == ROLE else self._iam.user_policy
        now = read(ref.namespace, ref.name)
        if recorded is None or not revoked_before(now):
            return now
        return recorded.before[kinds.DOCUMENT]

    def _are_ended(self, ref: ResourceRef, wanted: str) -> bool:
        return self._until(ref) >= wanted

    def _until(self, ref: ResourceRef) -> str:
        read = self._iam.role_policy if ref.kind == _KINDS[ROLE] else self._iam.user_policy
        try:
            return revoked_before(read(ref.namespace, ref.name))
        except TargetGone:
            # Whoever does not exist has no sessions.
            return "9999"


def _roles_in(change: Change) -> tuple[str, ...]:
    """The role that a change took from a service account."""
    if change.resource.kind == "RoleTrust":
        return (change.resource.name,)
    before = change.before.get("")
    if change.resource.kind == "PodIdentityAssociation" and isinstance(before, dict):
        return (str(before.get("roleArn", "")).rpartition("/")[2],)
    return ()
