"""Whoever is in a pod has its account: its tokens, what they could read, and its IAM roles (guide P5, P9, U6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from findings.subject import Subject, SubjectKind
from plans import causes
from plans.drafts import Draft
from plans.model import Gate, Path, Target, TargetKind
from plans.observed import PodFacts
from plans.rulings import matches_any
from plans.situation import Situation

CUT_UNDO = "The Pod Identity association is made again, and the statement that denies the role is taken out."
REVOKE_UNDO = "The policy AWSRevokeOlderSessions is removed; sessions that ended by then stay ended."
RECREATE_UNDO = "Nothing brings the old tokens back; the account keeps its name and fields."
ROTATE_UNDO = "Nothing brings a replaced secret back."


class Credentials(NamedTuple):
    """The accounts of some pods by what there is to take from them."""

    roles: tuple[Subject, ...]
    """Those through which a pod takes an IAM role: without a token for AWS there is no role to lose."""
    tokens: tuple[Subject, ...]
    """Those whose token a pod carries and to which something is bound: any other token opens nothing."""


def accounts_of(pods: Sequence[PodFacts]) -> tuple[Subject, ...]:
    """The service accounts of pods, each once."""
    named = sorted({(p.namespace, p.service_account) for p in pods})
    return tuple(Subject(kind=SubjectKind.SERVICE_ACCOUNT, namespace=ns, name=name) for ns, name in named)


def of_pods(s: Situation) -> tuple[Draft, ...]:
    """For the path of pods: nobody is asked to approve nothing, so an account without anything to take has no step.

    Where the finding opens the user path as well, that path does it, for these accounts too.
    """
    if Path.USER in _paths(s):
        return ()
    return _drafts(s, _free(s, _credentials(s, s.pods)), causes.of_the_pods(s))


def of_image_pods(s: Situation, why: Sequence[str]) -> tuple[Draft, ...]:
    """For the path of the image: the same for its own pods, but for accounts that another path of the plan treats.

    Args:
        s: The situation.
        why: What keeps the path from acting by itself.
    """
    mine, theirs = _free(s, _credentials(s, s.image_pods)), _treated(s)
    rest = Credentials(_without(mine.roles, theirs.roles), _without(mine.tokens, theirs.tokens))
    return _drafts(s, rest, why)


def left_alone(s: Situation) -> tuple[str, ...]:
    """`namespace/name` of the accounts that would get a new identity if they were not protected."""
    pods = s.image_pods if Path.USER in _paths(s) else (*s.pods, *s.image_pods)
    return tuple(f"{a.namespace}/{a.name}" for a in _credentials(s, pods).tokens if _is_protected(s, a))


def _drafts(s: Situation, accounts: Credentials, why: Iterable[str]) -> tuple[Draft, ...]:
    why = tuple(why)
    drafts = (
        _draft(s, "cut_pod_roles", accounts.roles, CUT_UNDO, why),
        _draft(s, "revoke_sessions", accounts.roles, REVOKE_UNDO, why),
        _draft(s, "recreate_account", accounts.tokens, RECREATE_UNDO, why),
        _draft(s, "rotate_secrets", accounts.tokens, ROTATE_UNDO, why),
    )
    return tuple(d for d in drafts if d.targets)


def _draft(s: Situation, action: str, accounts: Sequence[Subject], undo: str, why: Sequence[str]) -> Draft:
    return Draft(
        action=action,
        targets=tuple(Target(kind=TargetKind.SERVICE_ACCOUNT, namespace=a.namespace, name=a.name) for a in accounts),
        undo=undo,
        gate=Gate.CREDENTIALS,
        causes=tuple(dict.fromkeys((*why, *causes.protected_subjects(s.policy, accounts)))),
        namespaces=tuple(sorted({a.namespace for a in accounts})),
    )


def _credentials(s: Situation, pods: Sequence[PodFacts]) -> Credentials:
    bound = frozenset(s.observed.bound_accounts) if s.observed is not None else frozenset()
    holding = accounts_of([p for p in pods if p.holds_token])
    return Credentials(
        roles=accounts_of([p for p in pods if p.takes_role]),
        tokens=tuple(a for a in holding if f"{a.namespace}/{a.name}" in bound),
    )


def _free(s: Situation, accounts: Credentials) -> Credentials:
    # A protected account is never recreated, so nobody is asked to approve that either; the plan says that it stays.
    return accounts._replace(tokens=tuple(a for a in accounts.tokens if not _is_protected(s, a)))


def _treated(s: Situation) -> Credentials:
    """What the other paths of the plan do for the pods of the finding, which may share accounts with those here."""
    paths = _paths(s)
    if Path.USER in paths:
        named = tuple(u for u in s.users if u.kind is SubjectKind.SERVICE_ACCOUNT)
        return Credentials(*((*named, *accounts_of(s.pods)),) * 2)
    return _credentials(s, s.pods) if Path.POD in paths else Credentials((), ())


def _without(accounts: Sequence[Subject], others: Sequence[Subject]) -> tuple[Subject, ...]:
    known = {(a.namespace, a.name) for a in others}
    return tuple(a for a in accounts if (a.namespace, a.name) not in known)


def _is_protected(s: Situation, account: Subject) -> bool:
    names = [causes.account_username(account)]
    return matches_any(account.namespace, s.policy.protected.namespaces) or causes.is_protected(s.policy, names)


def _paths(s: Situation) -> frozenset[Path]:
    return frozenset(r.path for r in s.routes)
