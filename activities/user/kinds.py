"""How the credentials of identities are read and written by the change engine.

| kind | namespace, name | fields |
|---|---|---|
| AccessKey | user, key id | `/Status` |
| DeletedAccessKey | user, key id | the whole key; nothing brings it back |
| RolePolicy, UserPolicy | role or user, policy | `/PolicyDocument` |
| RoleTrust | "", role | `/Statement/<Sid>`: one statement of the trust policy; the others are never touched |
| PodIdentityAssociation | namespace, service account | the whole association |
"""

from __future__ import annotations

from typing import Any, cast

from activities.changes.kinds import Values, register
from activities.doors import Doors
from activities.user.documents import revoked_before, statements
from clients.aws.eks import Eks
from clients.aws.iam import Document, Iam
from errors import Conflict, TargetGone
from plans.model import ResourceRef

STATUS = "/Status"
DOCUMENT = "/PolicyDocument"
_STATEMENT = "/Statement/"
_ASSOCIATION_FIELDS = ("roleArn", "targetRoleArn", "disableSessionTags", "policy", "tags")


class AccessKeyKind:
    """Whether a key is Active."""

    undoable = True

    def __init__(self, iam: Iam) -> None:
        self._iam = iam

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The status."""
        status = self._iam.access_keys(ref.namespace).get(ref.name)
        if status is None:
            raise TargetGone(f"{ref}: the user has no such key")
        return dict.fromkeys(fields, status)

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """IAM knows no condition, and needs none: two statuses are all there are."""
        self._iam.set_key_status(ref.namespace, ref.name, new[STATUS])


class DeletedAccessKeyKind:
    """A key as a whole. Only one that is Inactive is ever deleted."""

    undoable = False

    def __init__(self, iam: Iam) -> None:
        self._iam = iam

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """Its status, or None."""
        try:
            status = self._iam.access_keys(ref.namespace).get(ref.name)
        except TargetGone:
            status = None
        return {"": None if status is None else {"Status": status}}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Delete it."""
        if now[""] != {"Status": "Inactive"}:
            raise Conflict(f"{ref}: it is in use again; only a key that is Inactive is deleted")
        self._iam.delete_access_key(ref.namespace, ref.name)


class InlinePolicyKind:
    """An inline policy of a role or a user; see `activities.changes.kinds.Advancing` for the moment in it."""

    undoable = True

    def __init__(self, iam: Iam, kind: str) -> None:
        role = kind == "RolePolicy"
        self._get = iam.role_policy if role else iam.user_policy
        self._put = iam.put_role_policy if role else iam.put_user_policy
        self._delete = iam.delete_role_policy if role else iam.delete_user_policy

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The document, decoded; None when there is no such policy."""
        return dict.fromkeys(fields, self._get(ref.namespace, ref.name))

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Replace the document, or delete the policy."""
        if new[DOCUMENT] is None:
            self._delete(ref.namespace, ref.name)
        else:
            self._put(ref.namespace, ref.name, new[DOCUMENT])

    def covers(self, now: Any, wanted: Any) -> bool:
        """Sessions are ended until this moment or a later one."""
        until = revoked_before(wanted)
        return bool(until) and revoked_before(now) >= until

    def ours(self, now: Any) -> bool:
        """Written by Firebreak and by nobody since."""
        return bool(revoked_before(now))


class RoleTrustKind:
    """Single statements of a role's trust policy, by their Sid. Two incidents may each have one in the same role."""

    undoable = True

    def __init__(self, iam: Iam) -> None:
        self._iam = iam

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The statements, None for one that is not there."""
        found = statements(self._trust(ref))
        return {f: next((s for s in found if s.get("Sid") == f.removeprefix(_STATEMENT)), None) for f in fields}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Put statements in or take them out, in the document as it is at this moment."""
        trust = self._trust(ref)
        sids = {f.removeprefix(_STATEMENT) for f in new}
        kept = [s for s in statements(trust) if s.get("Sid") not in sids]
        self._iam.set_trust(ref.name, {**trust, "Statement": [*kept, *(s for s in new.values() if s is not None)]})

    def _trust(self, ref: ResourceRef) -> Document:
        return cast(Document, self._iam.role(ref.name).get("AssumeRolePolicyDocument") or {})


class PodIdentityKind:
    """The association of a service account; a cluster has at most one for each."""

    undoable = True

    def __init__(self, eks: Eks, cluster: str) -> None:
        self._eks = eks
        self._cluster = cluster

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """What it takes to make it again, or None."""
        identifier = self._identifier(ref)
        if not identifier:
            return {"": None}
        found: dict[str, Any] = dict(self._eks.pod_identity(self._cluster, identifier))
        return {"": {k: found[k] for k in _ASSOCIATION_FIELDS if found.get(k)}}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Delete it, or make it again, which gives it another id."""
        wanted = new[""]
        if wanted is None:
            self._eks.delete_pod_identity(self._cluster, self._identifier(ref))
            return
        more = {k: v for k, v in wanted.items() if k not in ("roleArn", "tags")}
        self._eks.create_pod_identity(
            self._cluster,
            namespace=ref.namespace,
            account=ref.name,
            role_arn=wanted["roleArn"],
            tags=wanted.get("tags") or {},
            more=more,
        )

    def _identifier(self, ref: ResourceRef) -> str:
        found = self._eks.pod_identities(self._cluster, namespace=ref.namespace, account=ref.name)
        return next((a.get("associationId", "") for a in found), "")


def statement_field(sid: str) -> str:
    """The pointer to one statement of a trust policy."""
    return f"{_STATEMENT}{sid}"


def _inline(kind: str) -> None:
    register(kind, lambda doors: InlinePolicyKind(doors.aws.iam, kind))


def _pod_identity(doors: Doors) -> PodIdentityKind:
    return PodIdentityKind(doors.aws.eks, doors.settings.cluster)


register("AccessKey", lambda doors: AccessKeyKind(doors.aws.iam))
register("DeletedAccessKey", lambda doors: DeletedAccessKeyKind(doors.aws.iam))
_inline("RolePolicy")
_inline("UserPolicy")
register("RoleTrust", lambda doors: RoleTrustKind(doors.aws.iam))
register("PodIdentityAssociation", _pod_identity)
