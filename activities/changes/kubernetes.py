"""Objects of the Kubernetes API: fields by JSON Patch with tests, whole objects by create and delete."""

from __future__ import annotations

from typing import Any

from activities.changes.kinds import Values
from activities.isolation.fields import field_value, patch_operations
from activities.isolation.objects import check_uid
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path, resource
from errors import Conflict, TargetGone
from plans.model import ResourceRef

_SERVER_OWNED = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


class KubernetesKind:
    """See `activities.changes.kinds.Kind`."""

    undoable = True

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The fields of the live object; or the object as a whole, whatever its uid.

        One that was deleted as a whole and stands there again under another uid was made anew by somebody.
        """
        try:
            live = self._live(ref.model_copy(update={"uid": ""}) if fields == ("",) else ref)
        except TargetGone:
            if fields == ("",):
                return {"": None}
            raise
        return self.seen(live, fields)

    def seen(self, live: JsonObject, fields: tuple[str, ...]) -> dict[str, Any]:
        """The fields of an object as they are compared and recorded."""
        return {field: plain(live) if field == "" else field_value(live, field) for field in fields}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> Values | None:
        """One patch with a test on the uid and on every old value; or one create, or one delete by uid."""
        path = object_path(ref.kind, ref.namespace, ref.name)
        if "" in new:
            return self._write_whole(ref, path, new[""])
        live = self._live(ref)
        for field, value in now.items():
            if field_value(live, field) != value:
                raise Conflict(f"{ref}: {field} changed between two reads")
        return self.seen(self._kubernetes.patch(path, patch_operations(live, new)), tuple(new))

    def _write_whole(self, ref: ResourceRef, path: str, body: Any) -> Values:
        if body is None:
            self._kubernetes.delete(path, uid=self._live(ref)["metadata"]["uid"])
            return {"": None}
        where = resource(ref.kind)
        made = self._kubernetes.create(
            list_path(ref.kind, ref.namespace), {"apiVersion": where.api_version, "kind": ref.kind, **body}
        )
        return self.seen(made, ("",))

    def _live(self, ref: ResourceRef) -> JsonObject:
        live = self._kubernetes.get(object_path(ref.kind, ref.namespace, ref.name))
        check_uid(live, ref)
        return live


def plain(live: JsonObject) -> JsonObject:
    """An object without what the API server writes into it, so that it can be compared and created again."""
    metadata = {k: v for k, v in live["metadata"].items() if k not in _SERVER_OWNED}
    return {k: v for k, v in live.items() if k not in ("status", "kind", "apiVersion")} | {"metadata": metadata}
