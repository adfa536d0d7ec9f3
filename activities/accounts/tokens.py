"""Long-lived tokens of service accounts: Secrets of a type of their own, seen as metadata and never as values.

A Secret made anew under the same name for the same account holds the very same token: it is signed over the names and
the account's uid, and over no time. So a token Secret is only worth replacing together with the account's identity;
then the controller fills the new one for the new uid.

Source: https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from activities.changes.kinds import Values, register
from activities.doors import Doors
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from errors import Conflict, TargetGone
from plans.model import Change, ResourceRef

TOKEN_SECRET: Final = "TokenSecret"  # noqa: S105 - the name of a kind
TOKEN_TYPE: Final = "kubernetes.io/service-account-token"  # noqa: S105 - the name of a type
ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"
ACCOUNT_UID: Final = "kubernetes.io/service-account.uid"
_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl's copy of the manifest, which no change may show (activities.changes.secrecy); kubectl writes it anew."""
_LEGACY: Final = "kubernetes.io/legacy-token-"
_UID, _ANEW = "/metadata/uid", "/anew"
_PATIENCE, _PAUSE = 10.0, 0.1


class TokenKind:
    """See `activities.changes.kinds.Kind`: the Secret of that uid goes; with `/anew` an empty one takes its place."""

    undoable = False

    def __init__(self, doors: Doors) -> None:
        # The identity that edits bindings is the one that may list and delete Secrets (deploy/rbac.yaml).
        self._kubernetes = doors.bindings

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The uid while the Secret stands; and whatever stands under the name in its place."""
        live = self._live(ref)
        old = live is not None and live["metadata"]["uid"] == ref.uid
        read: dict[str, Any] = {_UID: ref.uid if old else None}
        if _ANEW in fields:
            read[_ANEW] = None if live is None or old else _anew(live)
        return read

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Delete by uid, then create without a value."""
        try:
            self._kubernetes.delete(object_path("Secret", ref.namespace, ref.name), uid=ref.uid)
        except (Conflict, TargetGone):
            # The controller deletes the Secrets of an account that goes, and may have been faster.
            pass
        if new.get(_ANEW) is None:
            return
        body = {"apiVersion": "v1", "kind": "Secret", "type": TOKEN_TYPE, "metadata": new[_ANEW]}
        try:
            self._kubernetes.create(list_path("Secret", ref.namespace), body)
        except Conflict:
            # Somebody keeps it as a manifest and has put it back already.
            return

    def _live(self, ref: ResourceRef) -> JsonObject | None:
        found = self._kubernetes.metadata(list_path("Secret", ref.namespace), fieldSelector=f"metadata.name={ref.name}")
        return next(iter(found), None)


def tokens_of(kubernetes: Kubernetes, namespace: str, name: str) -> Iterator[JsonObject]:
    """The metadata of an account's token Secrets, through the door that may list Secrets."""
    path = list_path("Secret", namespace)
    for secret in kubernetes.metadata(path, fieldSelector=f"type={TOKEN_TYPE}"):
        if annotations_of(secret).get(ACCOUNT_NAME) == name:
            yield secret


def annotations_of(secret: JsonObject) -> dict[str, str]:
    """The annotations of an object."""
    return secret["metadata"].get("annotations") or {}


def token_change(secret: JsonObject, step: str, *, renew: bool) -> Change:
    """The change that deletes a token Secret, or has it filled anew."""
    metadata = secret["metadata"]
    return Change(
        step=step,
        resource=ResourceRef(
            kind=TOKEN_SECRET, namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"]
        ),
        summary="is made anew, with a token for the new identity" if renew else "is deleted, and its token with it",
        before={_UID: metadata["uid"]},
        after={_UID: None, _ANEW: _anew(secret)} if renew else {_UID: None},
    )


def stale_tokens(kubernetes: Kubernetes, namespace: str, name: str, uid: str) -> list[str]:
    """Token Secrets of the account that are not for its uid, once its controller has had the time to remove them."""
    end = time.monotonic() + _PATIENCE
    while True:
        found = tokens_of(kubernetes, namespace, name)
        left = [str(s["metadata"]["name"]) for s in found if annotations_of(s).get(ACCOUNT_UID, uid) != uid]
        if not left or time.monotonic() >= end:
            return left
        time.sleep(_PAUSE)


def _anew(secret: JsonObject) -> JsonObject:
    metadata = secret["metadata"]
    # The API server's own marks say when the old token was used, or that it is too old to count.
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if not k.startswith(_LEGACY)}
    annotations = {k: v for k, v in annotations_of(secret).items() if k not in (ACCOUNT_UID, _APPLIED)}
    return {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels, "annotations": annotations}


register(TOKEN_SECRET, TokenKind)
