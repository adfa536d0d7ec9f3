"""The IAM roles that pods take through their service accounts: taken away, and their sessions ended (guide U6, P9)."""

from __future__ import annotations

from collections.abc import Sequence

from findings.subject import Subject, SubjectKind
from plans import causes
from plans.drafts import Draft
from plans.model import Gate, Path, Target, TargetKind
from plans.observed import PodFacts
from plans.situation import Situation

CUT_UNDO = "The Pod Identity association is made again, and the statement that denies the role is taken out."
REVOKE_UNDO = "The policy AWSRevokeOlderSessions is removed; sessions that ended by then stay ended."


def accounts_of(pods: Sequence[PodFacts]) -> tuple[Subject, ...]:
    """The service accounts of pods, each once."""
    named = sorted({(p.namespace, p.service_account) for p in pods})
    return tuple(Subject(kind=SubjectKind.SERVICE_ACCOUNT, namespace=ns, name=name) for ns, name in named)


def role_drafts(s: Situation) -> tuple[Draft, ...]:
    """For the path of pods: whoever is in a pod has the role of its account.

    Where the finding opens the user path as well, that path does it, for these accounts too. A pod without a token for
    AWS has no role to lose, so that nobody is asked to approve nothing.
    """
    accounts = accounts_of([p for p in s.pods if p.takes_role])
    if not accounts or Path.USER in {r.path for r in s.routes}:
        return ()
    cut = Draft(
        action="cut_pod_roles",
        targets=tuple(Target(kind=TargetKind.SERVICE_ACCOUNT, namespace=a.namespace, name=a.name) for a in accounts),
        undo=CUT_UNDO,
        gate=Gate.CREDENTIALS,
        causes=tuple(causes.protected_subjects(s.policy, accounts)),
        namespaces=tuple(sorted({a.namespace for a in accounts})),
    )
    return (cut, cut._replace(action="revoke_sessions", undo=REVOKE_UNDO))
