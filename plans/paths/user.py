"""Compromised identities: cut them off from the cluster, end their credentials, rotate what they read (U1 to U8)."""

from __future__ import annotations

from findings.subject import Subject, SubjectKind
from plans import causes
from plans.drafts import Draft
from plans.model import Gate, Target, TargetKind
from plans.situation import Situation

_IAM = (SubjectKind.IAM_USER, SubjectKind.IAM_ROLE, SubjectKind.CLUSTER_ADMIN, SubjectKind.UNRESOLVED)
_CUT_OFF = (
    "What was removed from access entries, aws-auth and bindings is recorded, and `firebreak release` puts it back."
)


def steps(s: Situation) -> tuple[Draft, ...]:
    """Cut off, switch the key off; credentials; what an investigation needs; what cannot be taken back last."""
    accounts = tuple(u for u in s.users if u.kind is SubjectKind.SERVICE_ACCOUNT)
    others = tuple(u for u in s.users if u.kind is not SubjectKind.SERVICE_ACCOUNT)
    keyless = tuple(u for u in others if u.user_type.lower() in ("root", "federateduser"))
    iam = tuple(u for u in others if u.kind in _IAM and u not in keyless)
    keys = tuple(u for u in iam if u.access_key_id.startswith("AKIA"))
    oidc = tuple(u for u in others if u.kind is SubjectKind.OIDC_USER)
    drafts = [
        _step(s, "cut_off", others, Gate.CONTAIN, _CUT_OFF),
        _step(s, "deactivate_key", keys, Gate.CONTAIN, "The key is set to Active again."),
        _step(
            s,
            "revoke_sessions",
            iam,
            Gate.CREDENTIALS,
            "The policy AWSRevokeOlderSessions is removed; sessions that ended by then stay ended.",
        ),
        _step(
            s,
            "recreate_account",
            accounts,
            Gate.CREDENTIALS,
            "Nothing brings the old tokens back; the account keeps its name and fields.",
        ),
        _step(s, "rotate_secrets", s.users, Gate.CREDENTIALS, "Nothing brings a replaced secret back."),
        _step(s, "review_account", keyless, None, "Nothing to undo: it is a task.")._replace(
            never="Root and federated users are a task for the owner of the account (guide U5)."
        ),
        _step(s, "investigate", iam, Gate.ERADICATE, "A Detective investigation changes nothing."),
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
