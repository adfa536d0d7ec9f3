"""A service account's identity as a kind of change: the account goes by uid, and comes back with every field it had.

Tokens are bound to the uid, so a new one ends them all; an API server may honour one that it has just seen for some
seconds more. Between the two calls no pod of the account can start. What is recorded is the whole account, so that a
worker that dies in between leaves nothing behind that the next one cannot make good.

Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ and guide U6.
"""

from __future__ import annotations

import time
from typing import Any, Final

from activities.changes.kinds import Values, register
from activities.changes.kubernetes import plain
from activities.doors import Doors
from activities.isolation.changes import same
from activities.isolation.fields import field_value
from activities.isolation.objects import edit
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path, resource
from errors import Conflict, TargetGone
from plans.model import ResourceRef
from plans.situation import listed

IDENTITY: Final = "ServiceAccountIdentity"
UID, ACCOUNT = "/metadata/uid", "/account"
_DYING = ("deletionTimestamp", "deletionGracePeriodSeconds")
_REPLACED = (
    "/metadata/finalizers",
    "/metadata/ownerReferences",
    "/imagePullSecrets",
    "/secrets",
    "/automountServiceAccountToken",
)
_ADDED_TO = ("/metadata/labels", "/metadata/annotations")
_PATIENCE, _PAUSE = 20.0, 0.1


class IdentityKind:
    """See `activities.changes.kinds.Kind`. The uid of the reference is that of the identity that must go."""

    undoable = False

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The old uid while it stands; and the account, whosever uid it has."""
        live = account(self._kubernetes, ref.namespace, ref.name)
        uid = live["metadata"]["uid"] if live is not None else None
        return {UID: uid if uid == ref.uid else None, ACCOUNT: fields_of(live) if live is not None else None}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Let the old identity go, and see that the account stands with its fields and another uid.

        Raises:
            Conflict: Finalizers keep the old account from going.
        """
        wanted = new[ACCOUNT]
        if now[UID] is not None:
            self._remove(ref)
        body = {"apiVersion": resource("ServiceAccount").api_version, "kind": "ServiceAccount", **wanted}
        try:
            self._kubernetes.create(list_path("ServiceAccount", ref.namespace), body)
        except Conflict:
            # Its controller was faster, as always with `default`: what it made lacks the fields.
            place = ref.model_copy(update={"kind": "ServiceAccount", "uid": ""})
            edit(self._kubernetes, place, lambda live: missing_fields(live, wanted))

    def _remove(self, ref: ResourceRef) -> None:
        path = object_path("ServiceAccount", ref.namespace, ref.name)
        try:
            # What names the account as its owner is not to go with the old uid.
            self._kubernetes.delete(path, uid=ref.uid, orphan=True)
        except (Conflict, TargetGone):
            # Another uid stands there, or nothing: either way the old identity is gone.
            return
        end = time.monotonic() + _PATIENCE
        while True:
            live = account(self._kubernetes, ref.namespace, ref.name)
            if live is None or live["metadata"]["uid"] != ref.uid:
                return
            if time.monotonic() >= end:
                names = listed([str(f) for f in live["metadata"].get("finalizers") or ()]) or "something"
                raise Conflict(f"{ref}: it is being deleted, and {names} keeps it; whoever set that must let it go")
            time.sleep(_PAUSE)


def account(kubernetes: Kubernetes, namespace: str, name: str) -> JsonObject | None:
    """The live account, or None."""
    try:
        return kubernetes.get(object_path("ServiceAccount", namespace, name))
    except TargetGone:
        return None


def fields_of(live: JsonObject) -> JsonObject:
    """All that is kept of an account, which holds no secret values: only names of Secrets."""
    kept = plain(live)
    kept["metadata"] = {k: v for k, v in kept["metadata"].items() if k not in _DYING}
    return kept


def missing_fields(live: JsonObject, wanted: JsonObject) -> dict[str, Any]:
    """What an account lacks of what it had; labels and annotations that others have added stay."""
    values = {p: field_value(wanted, p) for p in _REPLACED}
    values |= {p: {**(field_value(live, p) or {}), **(field_value(wanted, p) or {})} for p in _ADDED_TO}
    return {p: value for p, value in values.items() if not same(field_value(live, p), value)}


register(IDENTITY, IdentityKind)
