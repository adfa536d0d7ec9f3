"""Whether a subject is cut off, as read again; and what a person should know who approves that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from activities.bindings import ref_of
from activities.user.entries import STANDARD
from activities.user.principals import LEAST_LITERAL, own_text
from activities.user.reviews import EVERYBODY, allowed, questions
from activities.user.ways import Cluster, Ways
from clients.kubernetes import JsonObject, Kubernetes
from findings.subject import SubjectKind
from plans.situation import listed, words

_MASTERS = "system:masters"


class Found(NamedTuple):
    """What still lets a subject in, and what would help."""

    reasons: list[str]
    proposals: list[str]


def judge(
    kubernetes: Kubernetes, cluster: Cluster, ways: Ways, had: Iterable[JsonObject], beat: Callable[[], None]
) -> Found:
    """What still lets a subject in.

    Args:
        kubernetes: Who is asked.
        cluster: As it is now.
        ways: Of the subject, as they are now.
        had: The bindings that it was taken out of, whose roles say what is asked.
        beat: Said between two questions.

    Raises:
        Forbidden: We may not ask.
    """
    reasons = [f"The row of {words(r.arn)} in aws-auth ({r.section}) still lets it in." for r in ways.rows]
    for entry in ways.entries:
        if entry.type != STANDARD:
            reasons.append(f"The access entry of {words(entry.arn)} is of type {words(entry.type)}: it stays.")
        elif entry.grants:
            reasons.append(f"The access entry of {words(entry.arn)} still has policies or groups.")
        elif own_text(entry.username) < LEAST_LITERAL and "{{" in entry.username:
            reasons.append(f"By the access entry of {words(entry.arn)} it can take any user's name: delete the entry.")
    reasons += [f"{ref_of(b)} still binds it." for b in cluster.bound(ways.is_user)]
    reasons += [f"{words(f.target)}: {words(f.message)}" for f in cluster.auth.failures]
    username = _username(ways)
    if not username:
        return Found(reasons, [])
    asked = questions(kubernetes, had)
    reasons += allowed(kubernetes, username, [EVERYBODY], asked, beat)
    if ways.managed:
        return Found(reasons, [])
    return _by_groups(kubernetes, cluster, ways, username, Found(reasons, []), beat)


def notes(ways: Ways) -> list[str]:
    """Who else is hit, and what stays."""
    said = []
    if any(p.kind == "role" for p in ways.principals):
        said.append("Everybody who assumes the role loses access to the cluster, in every session.")
    if ways.entries:
        said.append("The access entry stays, emptied: it goes before any row of aws-auth for the same principal.")
    if ways.managed:
        said.append(
            "A token that was issued before lives on for up to 15 minutes and authorises nothing; credentials of IAM "
            "are ended by steps of their own."
        )
    if ways.provider is not None:
        said.append(f"It signs in through {words(ways.provider.issuer)}, and still can: only the provider ends that.")
    if ways.subject.kind is SubjectKind.CLUSTER_ADMIN and not ways.managed:
        said.append(_hidden())
    return said


def group_notes(cluster: Cluster, groups: Sequence[str], bound: Sequence[JsonObject]) -> list[str]:
    """Who else is in the groups, and what they lose."""
    roles = sorted({f"{(b.get('roleRef') or {}).get('name', '')}" for b in bound})
    said = [f"Everybody in {listed(list(groups))} loses {listed(roles)}."]
    others = sorted({e.arn for e in cluster.entries.with_groups() if set(e.groups) & set(groups)})
    others += sorted({r.arn for r in cluster.auth.rows if set(r.groups) & set(groups)})
    return [*said, f"In these groups are also {listed(others)}."] if others else said


def _by_groups(
    kubernetes: Kubernetes, cluster: Cluster, ways: Ways, username: str, found: Found, beat: Callable[[], None]
) -> Found:
    """What its groups still allow as well, where no entry and no row has given them to it."""
    groups = [g for g in ways.subject.groups if g != EVERYBODY]
    if not groups:
        return found
    names = {g for g in groups if not g.startswith("system:")}
    bound = cluster.bound(lambda s: s.get("kind") == "Group" and s.get("name") in names)
    asked = questions(kubernetes, bound)
    with_groups = allowed(kubernetes, username, [EVERYBODY, *groups], asked, beat)
    more = [f"{ref_of(b)} binds one of its groups." for b in bound]
    more = [*more, *(r for r in with_groups if r not in found.reasons)][:5]
    if not more:
        return found
    if _MASTERS in groups:
        # What puts it there cannot be seen: it is a hidden administrator, or has a client certificate.
        return Found([*found.reasons, *more, _hidden()], found.proposals)
    proposal = "Approve user.cut_off_groups: the groups' bindings are taken away, which hits everybody in them."
    reason = f"It has that from its groups {listed(groups)}."
    return Found([*found.reasons, *more, reason], [*found.proposals, proposal])


def _username(ways: Ways) -> str:
    """Under which name the API server is asked; a name that only a session would complete cannot be."""
    if ways.subject.username:
        return ways.subject.username
    return next((e.username for e in ways.entries if e.username and "{{" not in e.username), "")


def _hidden() -> str:
    return (
        "No access entry and no row names it: on old platform versions the identity that created the cluster is a "
        "hidden administrator, which nobody can remove. End its credentials in IAM."
    )
