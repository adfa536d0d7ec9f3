"""Compromised identities: cut them off from the cluster, end their credentials, rotate what they read (U1 to U8)."""

from __future__ import annotations

from findings.subject import Subject, SubjectKind
from plans import causes
from plans.drafts import Draft
from plans.model import Gate, Target, TargetKind
from plans.paths.roles import CUT_UNDO, RECREATE_UNDO, REVOKE_UNDO, ROTATE_UNDO, accounts_of
from plans.situation import Situation, listed, words

_IAM = (SubjectKind.IAM_USER, SubjectKind.IAM_ROLE, SubjectKind.CLUSTER_ADMIN, SubjectKind.UNRESOLVED)
_CUT_OFF = (
    "What was removed from access entries, aws-auth and bindings is recorded, and `firebreak release` puts it back."
)


def steps(s: Situation) -> tuple[Draft, ...]:
    """Cut off, switch the key off; read; credentials; an investigation; what cannot be taken back last."""
    accounts = tuple(u for u in s.users if u.kind is SubjectKind.SERVICE_ACCOUNT)
    others = tuple(u for u in s.users if u.kind is not SubjectKind.SERVICE_ACCOUNT)
    keyless = tuple(u for u in others if u.user_type.lower() in ("root", "federateduser"))
    iam = tuple(u for u in others if u.kind in _IAM and u not in keyless)
    keys = tuple(u for u in iam if u.access_key_id.startswith("AKIA"))
    sessions = tuple(u for u in iam if u.access_key_id.startswith("ASIA"))
    reviewed = tuple(u for u in (*iam, *keyless) if u.kind is not SubjectKind.UNRESOLVED or u.access_key_id)
    with_roles = (*accounts, *_others(accounts_of(s.pods), accounts))
    oidc = tuple(u for u in others if u.kind is SubjectKind.OIDC_USER)
    drafts = [
        _cut_off(s, others, oidc),
        _cut_off_groups(s, others),
        _step(s, "deactivate_key", keys, Gate.CONTAIN, "The key is set to Active again."),
        _step(s, "collect", s.users, None, "Nothing to undo: it only reads."),
        _step(s, "review_account", reviewed, None, "Nothing to undo: it is a task."),
        _deactivate_caller_key(s, sessions),
        _step(s, "cut_pod_roles", with_roles, Gate.CREDENTIALS, CUT_UNDO),
        _step(
            s,
            "revoke_sessions",
            (*iam, *with_roles),
            Gate.CREDENTIALS,
            REVOKE_UNDO,
        ),
        _step(s, "recreate_account", with_roles, Gate.CREDENTIALS, RECREATE_UNDO),
        # Whoever is in a pod has its account's token, too (guide P5).
        _step(s, "rotate_secrets", (*others, *with_roles), Gate.CREDENTIALS, ROTATE_UNDO),
        _step(s, "investigate", iam, Gate.ERADICATE, "Nothing to undo: an investigation changes nothing."),
        _step(s, "delete_key", keys, Gate.TERMINATE, "Nothing brings a deleted key back."),
        _step(
            s,
            "disassociate_provider",
            oidc,
            Gate.TERMINATE,
            "The provider is associated again; until then it cuts off everyone who signs in through it.",
        ),
    ]
    return tuple(d for d in drafts if d.targets)


def _cut_off(s: Situation, subjects: tuple[Subject, ...], oidc: tuple[Subject, ...]) -> Draft:
    draft = _step(s, "cut_off", subjects, Gate.CONTAIN, _CUT_OFF)
    doubts = tuple(f"Only its provider knows who signs in as {words(u.name)}: a person decides." for u in oidc)
    return draft._replace(causes=(*draft.causes, *doubts), proves=True)


def _cut_off_groups(s: Situation, subjects: tuple[Subject, ...]) -> Draft:
    """The groups of those whose groups no access entry and no row gives them, so that they outlive `cut_off`."""
    loose = [u for u in subjects if u.kind in (SubjectKind.OIDC_USER, SubjectKind.UNRESOLVED) and not u.access_key_id]
    # The cluster's own groups hold what the cluster needs, and everybody.
    groups = sorted({g for u in loose for g in u.groups if not g.startswith("system:")})
    return Draft(
        action="cut_off_groups",
        targets=tuple(Target(kind=TargetKind.SUBJECT, name=g) for g in groups),
        undo=_CUT_OFF,
        gate=Gate.CONTAIN,
        causes=(f"It hits everybody in {listed(groups)}.",) if groups else (),
    )


def _step(s: Situation, action: str, subjects: tuple[Subject, ...], gate: Gate | None, undo: str) -> Draft:
    return Draft(
        action=action,
        targets=tuple(_target(u) for u in subjects),
        undo=undo,
        gate=gate,
        causes=tuple(causes.protected_subjects(s.policy, subjects)),
        namespaces=tuple(sorted({u.namespace for u in subjects if u.namespace})),
    )


def _target(subject: Subject) -> Target:
    kind = TargetKind.SERVICE_ACCOUNT if subject.kind is SubjectKind.SERVICE_ACCOUNT else TargetKind.SUBJECT
    return Target(kind=kind, namespace=subject.namespace, name=subject.name, uid=subject.principal_arn)


def _deactivate_caller_key(s: Situation, sessions: tuple[Subject, ...]) -> Draft:
    draft = _step(s, "deactivate_caller_key", sessions, Gate.CREDENTIALS, "The key is set to Active again.")
    return draft._replace(causes=(*draft.causes, "Whose key made the session, only CloudTrail can tell."))


def _others(running: tuple[Subject, ...], known: tuple[Subject, ...]) -> tuple[Subject, ...]:
    """The service accounts of the finding's pods that are none of its subjects: who is in a pod has its role too."""
    named = {(u.namespace, u.name) for u in known}
    return tuple(a for a in running if (a.namespace, a.name) not in named)
