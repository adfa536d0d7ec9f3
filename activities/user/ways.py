"""Every way by which an identity gets into a cluster: access entry, row of aws-auth, bindings of its usernames.

What the finding names of an identity leads to its IAM principal. Where it names none, the username does: an entry or a
row that can have rendered it says whose it is. A row that was taken out still says so, by the change that is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple

from activities.bindings import Matches, bindings_of
from activities.doors import Doors
from activities.steps import beat
from activities.user import aws_auth, entries
from activities.user.aws_auth import AuthRow, AwsAuth, read_aws_auth
from activities.user.entries import Entries, Entry
from activities.user.principals import (
    LEAST_LITERAL,
    Principal,
    own_text,
    principal_in,
    principal_of,
    renders,
    usernames_of,
)
from activities.user.providers import Provider, providers_of
from clients.kubernetes import JsonObject
from errors import Forbidden, InputError, TargetGone
from findings.model import Finding
from findings.subject import Subject
from plans.model import Change

_RESERVED = "system:"


class Ways(NamedTuple):
    """What lets one subject in."""

    subject: Subject
    principals: frozenset[Principal]
    entries: tuple[Entry, ...]
    rows: tuple[AuthRow, ...]
    templates: tuple[str, ...]
    """Usernames that its principals get."""
    provider: Provider | None
    cut_before: bool
    """Whether an entry or a row of it was emptied or taken out by a recorded change."""

    @property
    def managed(self) -> bool:
        """Whether its groups come from an entry or a row, and so go with it."""
        return self.cut_before or bool(self.entries or self.rows)

    def is_user(self, entry: JsonObject) -> bool:
        """Whether an entry of a binding names it; one of a role does so under the name of every session."""
        name = str(entry.get("name", ""))
        if entry.get("kind") != "User" or not name:
            return False
        if name == self.subject.username:
            return True
        return not name.startswith(_RESERVED) and any(
            renders(t, n) for t in self.templates for n in (name, name.lower())
        )


class Cluster:
    """What lets anybody into the cluster, read once a step."""

    def __init__(self, doors: Doors, step: str) -> None:
        self._doors = doors
        self.step = step

    @cached_property
    def auth(self) -> AwsAuth:
        """The map aws-auth."""
        return read_aws_auth(self._doors.kubernetes, self.step)

    @cached_property
    def entries(self) -> Entries:
        """The access entries."""
        return Entries(self._doors.aws.eks, self._doors.settings.cluster, beat)

    @cached_property
    def bindings(self) -> list[JsonObject]:
        """Every binding that names a user or a group."""
        return list(bindings_of(self._doors.kubernetes, lambda s: s.get("kind") in ("User", "Group")))

    @cached_property
    def providers(self) -> list[Provider]:
        """The OIDC providers."""
        return providers_of(self._doors.aws.eks, self._doors.settings.cluster)

    def bound(self, matches: Matches) -> list[JsonObject]:
        """The bindings that name a subject."""
        return [b for b in self.bindings if any(matches(s) for s in b.get("subjects") or ())]

    def ways(self, subject: Subject, finding: Finding, recorded: Iterable[Change]) -> Ways:
        """What lets a subject in now, or did until a recorded change.

        Raises:
            Forbidden, Throttled, Unavailable: Cluster or account do not say.
        """
        closed = _closed(recorded)
        named = self._principal(subject, finding)
        if named is not None:
            known = {p for p, _ in closed if p == named}
        else:
            known = {p for p, username in closed if username and renders(username, subject.username)}
        principals = known if named is None else {named}
        if not any(self._lets_in(p) for p in principals) and not known:
            principals = principals | self._by_username(subject, named)
        found = [e for p in sorted(principals) for e in self.entries.of(p)]
        rows = [r for r in self.auth.rows if r.principal in principals]
        templates = [t for p in principals for t in usernames_of(p)]
        templates += [e.username for e in found] + [r.username for r in rows]
        templates += [username for p, username in closed if p in principals]
        provider = next((p for p in self.providers if p.signs_in(subject)), None) if not principals else None
        return Ways(
            subject=subject,
            principals=frozenset(principals),
            entries=tuple(found),
            rows=tuple(rows),
            templates=tuple(t for t in dict.fromkeys(templates) if own_text(t) >= LEAST_LITERAL),
            provider=provider,
            cut_before=bool(known),
        )

    def _principal(self, subject: Subject, finding: Finding) -> Principal | None:
        """The IAM principal of a subject: as the finding names it, else the owner of its long-lived key."""
        account = self._doors.settings.account or finding.account
        named = principal_in(subject, finding, account)
        if named is None and subject.access_key_id.startswith("AKIA") and not subject.principal_arn:
            # IAM does not know a key of another account, or one that was deleted; the username may lead on then.
            with suppress(TargetGone, InputError, Forbidden):
                return Principal(account, "user", self._doors.aws.iam.key_owner(subject.access_key_id).lower())
        return named

    def _lets_in(self, principal: Principal) -> bool:
        return bool(self.entries.of(principal)) or any(r.principal == principal for r in self.auth.rows)

    def _by_username(self, subject: Subject, named: Principal | None) -> set[Principal]:
        """Whose entry or row can have given the subject its username; exact ones go before templates.

        A principal that the finding names only has its own name in another account: no other is taken for it.
        """
        name = subject.username
        if not name or name.startswith(_RESERVED):
            return set()
        for least in (len(name), LEAST_LITERAL, 0):
            if least == 0 and any(p.signs_in(subject) for p in self.providers):
                return set()
            rows = [r for r in self.auth.rows if renders(r.username, name) and own_text(r.username) >= least]
            found = [r.principal for r in rows if not r.for_nodes]
            found += [principal_of(e.arn) for e in self.entries.named(name, least=least) if e.type == entries.STANDARD]
            whose = {p for p in found if p is not None}
            if named is not None:
                whose = {p for p in whose if (p.kind, p.name) == (named.kind, named.name)}
            if whose:
                return whose
        return set()


def _closed(recorded: Iterable[Change]) -> list[tuple[Principal, str]]:
    """Whose ways into the cluster recorded changes closed, with the usernames of rows; an entry keeps its own."""
    found = []
    for change in recorded:
        if change.resource.kind == entries.KIND:
            found.append((principal_of(change.resource.name), ""))
        elif change.resource.kind == aws_auth.KIND:
            found += [(principal_of(aws_auth.arn_of(change)), name) for name in aws_auth.usernames_in(change)]
    return [(p, name) for p, name in found if p is not None]
