"""Changes of network policies in a real cluster, and workers that die at a chosen request."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

from activities.changes.engine import Engine
from activities.changes.kinds import Values
from activities.changes.records import record_name
from activities.doors import Doors
from clients.kubernetes import Kubernetes
from contracts.common import Failure
from devstack.kube import KubeApi
from errors import Conflict
from plans.model import Change, ResourceRef
from tests.isolation.support import NETWORKING, Killed, make_policy, read

Json = dict[str, Any]
ONE, TWO = "gd/123456789012/us-east-1/one", "gd/123456789012/us-east-1/two"
TYPES, LABEL = "/spec/policyTypes", "/metadata/labels/stage"
SPEC: Json = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}


class Thing:
    """Values by name and field, with a list of what was asked. `trouble` is raised instead of an answer."""

    undoable = True

    def __init__(self) -> None:
        self.values: dict[str, Json] = {}
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.trouble: dict[str, Exception] = {}
        self.conflicts = 0

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> Json:
        self.reads.append(ref.name)
        if ref.name in self.trouble:
            raise self.trouble[ref.name]
        return {f: self.values[ref.name].get(f) for f in fields}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody was faster")
        self.writes.append(ref.name)
        self.values[ref.name] |= new


def thing_change(thing: Thing, *, before: Any = "old", after: Any = "new") -> Change:
    """A change of a new thing."""
    name = f"thing-{uuid.uuid4().hex[:8]}"
    thing.values[name] = {"/x": before}
    return change(ResourceRef(kind="Thing", name=name), {"/x": before}, {"/x": after})


def change(ref: ResourceRef, before: Json, after: Json, *, step: str = "test.step", **more: Any) -> Change:
    return Change(step=step, resource=ref, summary="changed", before=before, after=after, held=True, **more)


def policy_ref(live: Json) -> ResourceRef:
    m = live["metadata"]
    return ResourceRef(kind="NetworkPolicy", namespace=m["namespace"], name=m["name"], uid=m["uid"])


def standing(admin: KubeApi, namespace: str, name: str = "web") -> Json:
    return make_policy(admin, namespace, name, SPEC, labels={"team": "shop"})


def fields_change(live: Json) -> Change:
    """Two fields of a policy: one that it has, one that it has not."""
    before = {TYPES: ["Ingress"], LABEL: None}
    return change(policy_ref(live), before, {TYPES: ["Ingress", "Egress"], LABEL: "held"})


def creation(namespace: str, name: str = "made") -> Change:
    """A policy that the API server writes otherwise than it is told: it fills in the protocol."""
    ref = ResourceRef(kind="NetworkPolicy", namespace=namespace, name=name)
    spec = {**SPEC, "ingress": [{"ports": [{"port": 80}, {"port": 443}]}]}
    return change(ref, {"": None}, {"": {"metadata": {"name": name, "namespace": namespace}, "spec": spec}})


def deletion(live: Json) -> Change:
    """A policy goes as a whole."""
    kept = {"name": live["metadata"]["name"], "namespace": live["metadata"]["namespace"], "labels": {"team": "shop"}}
    return change(policy_ref(live), {"": {"metadata": kept, "spec": SPEC}}, {"": None})


def make(engine: Engine, one: Change, incident: str = ONE) -> list[Failure]:
    """Make one change; returns what could not be made."""
    return engine.make([one], incident, "test.step", lambda: None)[1]


def seen(admin: KubeApi, namespace: str, name: str) -> Json | None:
    """A policy without what every write moves and without its uid, or None."""
    live = read(admin, f"{NETWORKING}/{namespace}/networkpolicies/{name}")
    if live is None:
        return None
    metadata = {k: v for k, v in live["metadata"].items() if k in ("name", "labels", "annotations") and v}
    return {"metadata": metadata, "spec": live["spec"]}


def record_path(one: Change) -> str:
    return f"/api/v1/namespaces/firebreak/configmaps/{record_name(one)}"


def record(admin: KubeApi, one: Change) -> Json | None:
    """The data of a change's record, or None."""
    live = read(admin, record_path(one))
    return None if live is None else live["data"]


def edited(admin: KubeApi, one: Change, **data: str | None) -> None:
    """Edit a record by hand."""
    admin.request("PATCH", record_path(one), {"data": data}, content_type="application/merge-patch+json")


class Calls:
    """What reached the API server and was made: `METHOD path`."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def doors(self, doors: Doors, *, dies_before: int = 0, dies_after: int = 0) -> Doors:
        """The same doors, of a worker that dies before its nth change is sent, or before it learns of the answer.

        Its own records count as changes too.
        """
        count = [0]
        return dataclasses.replace(
            doors,
            kubernetes=self._watched(doors.kubernetes, count, dies_before, dies_after),
            bindings=self._watched(doors.bindings, count, dies_before, dies_after),
        )

    def of(self, plural: str) -> list[str]:
        """The changes of one kind of object."""
        return [c for c in self.made if f"/{plural}" in c]

    def _watched(self, kubernetes: Kubernetes, count: list[int], dies_before: int, dies_after: int) -> Kubernetes:
        watched = kubernetes.guarded_by(lambda: None)
        send = watched._send

        def noted(method: str, path: str, *args: Any, **kwargs: Any) -> Any:
            if method == "GET":
                return send(method, path, *args, **kwargs)
            count[0] += 1
            if count[0] == dies_before:
                raise Killed
            answer = send(method, path, *args, **kwargs)
            self.made.append(f"{method} {path}")
            if count[0] == dies_after:
                raise Killed
            return answer

        watched._send = noted  # type: ignore[method-assign]
        return watched


Prepare = Callable[[KubeApi, str], Change]


def prepared_fields(admin: KubeApi, namespace: str) -> Change:
    return fields_change(standing(admin, namespace))


def prepared_creation(admin: KubeApi, namespace: str) -> Change:
    return creation(namespace)


def prepared_deletion(admin: KubeApi, namespace: str) -> Change:
    return deletion(standing(admin, namespace))
