"""Whom no step cuts off: ourselves, whom a policy protects, the cluster's own names, and its last administrator."""

from __future__ import annotations

from activities.doors import Doors
from activities.user.admins import administers, remaining
from activities.user.principals import SERVICE_LINKED, principal_of
from activities.user.ways import Cluster, Ways
from findings.subject import RESERVED
from plans.causes import is_protected
from plans.policy import Policy
from plans.situation import words


def of_subject(doors: Doors, cluster: Cluster, ways: Ways, all_ways: list[Ways], *, changes: bool) -> str:
    """Why a subject is not cut off, or "".

    The planner has seen the names that stand in the finding, and a person has approved whoever is protected among them.
    What only the cluster says is looked at here, and nobody has approved it.

    Args:
        doors: Through them we learn who we are.
        cluster: Who else gets in.
        ways: Of the subject.
        all_ways: Of all who are cut off together.
        changes: Whether anything is to be taken from it; one that has nothing left cannot be the last administrator.
    """
    subject = ways.subject
    if subject.username.startswith(RESERVED):
        return f"{words(subject.username)} is one of the cluster's own names: it is not cut off."
    if not ways.principals and not subject.username:
        return f"The finding names no user of the cluster for {words(subject.name)}."
    own = principal_of(doors.aws.iam.caller_arn()) if ways.principals else None
    if own is not None and own in ways.principals:
        return "It is Firebreak's own identity: it is not cut off."
    if protected := _newly_protected(ways):
        return f"Protected: {words(protected)} turned out to be behind {words(subject.name)}. It is not cut off."
    if changes and administers(cluster, ways) and not remaining(cluster, all_ways):
        return (
            f"{words(subject.username or subject.name)} is the last administrator of the cluster that anything names. "
            "Give somebody else an access entry with AmazonEKSClusterAdminPolicy; then it is cut off."
        )
    return ""


def of_groups(cluster: Cluster, groups: frozenset[str]) -> str:
    """Why groups are not cut off, or ""."""
    if remaining(cluster, []) and not remaining(cluster, [], groups):
        return "Nobody would administer the cluster without these groups. Give somebody else an access entry first."
    return ""


def _newly_protected(ways: Ways) -> str:
    subject = ways.subject
    seen = {subject.name.lower(), (p := principal_of(subject.principal_arn)) and p.name}
    names = {str(p.name): [p.name] for p in ways.principals if p.name not in seen}
    for arn in [*(e.arn for e in ways.entries), *(r.arn for r in ways.rows)]:
        principal = principal_of(arn)
        if SERVICE_LINKED in arn:
            return arn
        if principal is not None and principal.name not in seen:
            names.setdefault(principal.name, []).append(arn)
    return next((name for name, all_names in names.items() if is_protected(Policy(), all_names)), "")
