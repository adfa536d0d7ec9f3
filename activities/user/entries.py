"""Access entries of a cluster, and how the change engine reads and writes them (guide U4).

An entry that is emptied stays: it goes before a row of aws-auth for the same principal, which deleting the entry could
bring to life. EKS applies a change within seconds; a token that was issued before authorises nothing by itself.

Source: https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from activities.changes.kinds import Values, register
from activities.user.principals import Principal, own_text, principal_of, renders
from clients.aws.eks import Eks
from contracts.changes import pointer, pointer_parts
from errors import Conflict, InputError, PolicyRefusal, TargetGone
from plans.model import Change, ResourceRef
from plans.situation import words

if TYPE_CHECKING:
    from mypy_boto3_eks.type_defs import AccessScopeTypeDef

KIND: Final = "AccessEntry"
GROUPS, GRANTS = "/kubernetesGroups", "/grants"
"""Its groups, and whether there is anything in it at all: one that somebody fills again is noticed, whatever it is."""
_POLICY: Final = "/policies/"
"""One policy, by its ARN. Each is a field, because each is a call of its own and may be the last that succeeds."""
STANDARD: Final = "STANDARD"
"""The one type that people use; by the others nodes join, and they are never changed."""
ADMIN_POLICY: Final = "cluster-access-policy/AmazonEKSClusterAdminPolicy"


class Entry(NamedTuple):
    """One access entry, with what it grants."""

    arn: str
    uid: str
    type: str
    username: str
    groups: tuple[str, ...]
    policies: tuple[dict[str, Any], ...]

    @property
    def grants(self) -> bool:
        """Whether it authorises anything."""
        return bool(self.groups or self.policies)

    @property
    def administers(self) -> bool:
        """Whether it has the policy of cluster administrators for the whole cluster."""
        return any(
            p["policyArn"].endswith(ADMIN_POLICY) and p["accessScope"].get("type") == "cluster" for p in self.policies
        )


class Entries:
    """The entries of one cluster as they are now, each described when it is first asked for."""

    def __init__(self, eks: Eks, cluster: str, beat: Callable[[], None]) -> None:
        self._eks = eks
        self._cluster = cluster
        self._beat = beat
        self._described: dict[str, Entry | None] = {}
        self._whole: dict[str, Entry | None] = {}

    @cached_property
    def arns(self) -> tuple[str, ...]:
        """Whose entries there are. A cluster that knows aws-auth alone has none.

        Raises:
            Forbidden, Throttled, Unavailable, TargetGone: EKS does not say.
        """
        try:
            return tuple(self._eks.access_entries(self._cluster))
        except InputError as error:
            # "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP]"
            if "authentication mode" in error.message.lower():
                return ()
            raise

    def of(self, principal: Principal) -> list[Entry]:
        """The entries of a principal: one, unless roles of several paths had the same name."""
        return self._with_policies([arn for arn in self.arns if principal_of(arn) == principal])

    def named(self, username: str, *, least: int) -> list[Entry]:
        """The entries that can have given somebody this username.

        Args:
            username: As the API server saw it.
            least: How many characters of its own the entry's template must have.
        """
        found = [e for e in self._all() if renders(e.username, username) and own_text(e.username) >= least]
        return self._with_policies([e.arn for e in found])

    def administrators(self) -> list[Entry]:
        """The entries by which people administer the whole cluster."""
        try:
            arns = list(self._eks.access_entries(self._cluster, f"arn:{_partition(self.arns)}:eks::aws:{ADMIN_POLICY}"))
        except InputError:
            return []
        return [e for e in self._with_policies(arns) if e.type == STANDARD and e.administers]

    def with_groups(self) -> list[Entry]:
        """The entries that put somebody into groups; their policies are not read."""
        return [e for e in self._all() if e.type == STANDARD and e.groups]

    def _all(self) -> list[Entry]:
        """Every entry without its policies, one call each: a cluster may have hundreds."""
        for arn in self.arns:
            self._read(self._described, arn, describe_entry)
        return [e for e in self._described.values() if e is not None]

    def _with_policies(self, arns: list[str]) -> list[Entry]:
        for arn in arns:
            self._read(self._whole, arn, read_entry)
        return [e for arn in arns if (e := self._whole[arn]) is not None]

    def _read(self, known: dict[str, Entry | None], arn: str, how: Callable[[Eks, str, str], Entry]) -> None:
        """Read an entry once. One that went since it was listed lets nobody in."""
        if arn not in known:
            self._beat()
            known[arn] = None
            with suppress(TargetGone):
                known[arn] = how(self._eks, self._cluster, arn)


def describe_entry(eks: Eks, cluster: str, arn: str) -> Entry:
    """One entry without its policies.

    Raises:
        TargetGone: There is none.
    """
    entry = eks.access_entry(cluster, arn)
    return Entry(
        arn=arn,
        uid=entry.get("accessEntryArn", ""),
        type=entry.get("type", STANDARD),
        username=entry.get("username", ""),
        groups=tuple(entry.get("kubernetesGroups", ())),
        policies=(),
    )


def read_entry(eks: Eks, cluster: str, arn: str) -> Entry:
    """One entry with its policies.

    Raises:
        TargetGone: There is none.
    """
    entry = describe_entry(eks, cluster, arn)
    # The other types take no policies, or none that a step would touch.
    policies = eks.access_policies(cluster, arn) if entry.type == STANDARD else []
    shown = [{"policyArn": p["policyArn"], "accessScope": _scope(p.get("accessScope") or {})} for p in policies]
    return entry._replace(policies=tuple(sorted(shown, key=lambda p: str(p["policyArn"]))))


def emptied(entry: Entry, step: str) -> Change:
    """The change that takes every policy and group from an entry."""
    names = [*(p["policyArn"].rpartition("/")[2] for p in entry.policies), *(f"group {g}" for g in entry.groups)]
    # What it does not have is no part of the change: another change may be about that, and be undone before this one.
    fields = (*(_field(p["policyArn"]) for p in entry.policies), *((GROUPS,) if entry.groups else ()))
    return Change(
        step=step,
        resource=ResourceRef(kind=KIND, name=entry.arn, uid=entry.uid),
        summary=f"access entry emptied: {words(', '.join(names))}",
        before=_values(entry, (*fields, GRANTS)),
        after={**dict.fromkeys(fields), GRANTS: False},
    )


def policies_in(change: Change) -> dict[str, Any]:
    """The scopes of the policies that a change takes from an entry, by the policies' ARNs."""
    return {_arn(field): scope for field, scope in change.before.items() if field.startswith(_POLICY)}


class AccessEntryKind:
    """How policies and groups of an entry are read and written."""

    undoable = True

    def __init__(self, eks: Eks, cluster: str) -> None:
        self._eks = eks
        self._cluster = cluster

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """Policies and groups of the very entry: one that was made anew for the principal is another."""
        return _values(self._entry(ref), fields)

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Policies one by one, then the groups. EKS knows no condition; what was read a moment ago is the condition."""
        entry = self._entry(ref)
        if entry.type != STANDARD:
            raise PolicyRefusal(f"{ref} is of type {entry.type}: nodes join the cluster by it")
        standing = _values(entry, tuple(new))
        for field, scope in new.items():
            if not field.startswith(_POLICY) or standing[field] == scope:
                continue
            if scope is None:
                with suppress(TargetGone):
                    self._eks.disassociate_policy(self._cluster, ref.name, _arn(field))
            else:
                self._eks.associate_policy(self._cluster, ref.name, _arn(field), scope)
        if GROUPS in new and standing[GROUPS] != (new[GROUPS] or []):
            self._eks.set_groups(self._cluster, ref.name, list(new[GROUPS] or []))
        if new.get(GRANTS) is False and self._entry(ref).grants:
            raise Conflict(f"{ref}: somebody has given it more since it was read")

    def _entry(self, ref: ResourceRef) -> Entry:
        entry = read_entry(self._eks, self._cluster, ref.name)
        if ref.uid and entry.uid != ref.uid:
            raise TargetGone(f"{ref}: another entry was made for the principal since")
        return entry


register(KIND, lambda doors: AccessEntryKind(doors.aws.eks, doors.settings.cluster))


def _values(entry: Entry, fields: tuple[str, ...]) -> dict[str, Any]:
    standing = {_field(p["policyArn"]): p["accessScope"] for p in entry.policies}
    others: dict[str, Any] = {GROUPS: list(entry.groups), GRANTS: entry.grants}
    return {field: others[field] if field in others else standing.get(field) for field in fields}


def _field(policy_arn: str) -> str:
    return pointer("policies", policy_arn)


def _arn(field: str) -> str:
    return pointer_parts(field)[-1]


def _scope(scope: Any) -> AccessScopeTypeDef:
    names = list(scope.get("namespaces") or ())
    return {"type": scope.get("type", "cluster"), **({"namespaces": names} if names else {})}


def _partition(arns: tuple[str, ...]) -> str:
    return arns[0].split(":")[1] if arns else "aws"
