"""Settings that let somebody in: bindings of anonymous users and of the `default` account, open services (C1 to C4)."""

from __future__ import annotations

from findings.model import Finding
from findings.subject import SubjectKind
from plans.drafts import Draft
from plans.model import Gate, Target, TargetKind
from plans.situation import Situation

_UNBOUND = "The subject that was removed from a binding is recorded, and `firebreak release` puts it back."


def steps(s: Situation) -> tuple[Draft, ...]:
    """What the finding's type and caller ask for; always something."""
    type_ = s.finding.type
    drafts = []
    nobody = tuple(u for u in s.subjects if u.kind is SubjectKind.ANONYMOUS)
    if "Dashboard" in type_:
        drafts.append(
            Draft(
                action="close_service",
                targets=_services(s.finding),
                gate=Gate.ERADICATE,
                undo="`firebreak release` puts the type and ports of the Service, or its Ingress, back.",
                causes=("Which Service is open is only known to the cluster.",),
            )
        )
    if "DefaultServiceAccount" in type_:
        drafts.append(
            Draft(
                action="unbind_default_account",
                targets=_bindings(s.finding),
                gate=Gate.CONTAIN,
                undo=_UNBOUND,
                causes=("Every pod that names no account loses these rights.",),
                proves=True,
            )
        )
    if "AnomalousBehavior.Role" in type_:
        drafts.append(
            Draft(
                action="revert_binding",
                targets=_bindings(s.finding),
                gate=Gate.CONTAIN,
                undo="Whom the binding named, or those of the role, is recorded, and `firebreak release` puts it back.",
                causes=("Only a person can say whether the change was authorised.",),
                proves=True,
            )
        )
    if nobody or "Anonymous" in type_.partition("/")[2] or not drafts:
        drafts.append(
            Draft(
                action="unbind_anonymous", targets=_bindings(s.finding), gate=Gate.CONTAIN, undo=_UNBOUND, proves=True
            )
        )
    if nobody:
        # No other path tells what somebody without a name did.
        targets = tuple(Target(kind=TargetKind.SUBJECT, name=u.name) for u in nobody)
        drafts.append(Draft(action="collect", targets=targets, undo="Nothing to undo: it only reads."))
    return tuple(drafts)


def _bindings(finding: Finding) -> tuple[Target, ...]:
    """The binding or role that the finding names; the cluster knows the others."""
    named = finding.role_binding or finding.role
    return (Target(kind=TargetKind.BINDING, name=named.name, uid=named.uid),) if named is not None else ()


def _services(finding: Finding) -> tuple[Target, ...]:
    workload = finding.workload
    if workload is None or not workload.name:
        return ()
    return (Target(kind=TargetKind.SERVICE, namespace=workload.namespace, name=workload.name),)
