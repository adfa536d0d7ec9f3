"""What the tests of containment and eradication share: pods in a real cluster, and activities run as a worker would."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from contracts.common import IncidentKey, PodTarget, PodTargets, StoredList
from contracts.names import HOLD_LABEL, INCIDENTS_ANNOTATION, QUARANTINED_LABEL
from devstack.kube import KubeApi, KubeError
from evidence.store import EvidenceStore

T = TypeVar("T")
R = TypeVar("R")

NETWORKING = "/apis/networking.k8s.io/v1/namespaces"


class Killed(Exception):
    """The worker dies here."""


def incident(name: str) -> IncidentKey:
    return IncidentKey(workflow_id=f"gd/123456789012/us-east-1/{name}", run_id="run-1")


def run(work: Callable[[T], R], request: T, beats: Sequence[Any] = (), log: list[Any] | None = None) -> R:
    """Run an activity; `beats` is what the last attempt's heartbeat said, `log` takes this one's."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, heartbeat_details=list(beats))
    if log is not None:
        environment.on_heartbeat = lambda *details: log.append(details[0] if details else None)
    return environment.run(work, request)


def killed_after(doors: Doors, mutations: int) -> Doors:
    """The same doors, of a worker that dies when it is about to change something once more."""
    left = [mutations]

    def before() -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1

    return dataclasses.replace(doors, kubernetes=doors.kubernetes.guarded_by(before))


def counting(doors: Doors, calls: list[str]) -> Doors:
    """The same doors, with every call to the API server written down."""
    kubernetes = doors.kubernetes.guarded_by(lambda: None)
    send = kubernetes._send

    def noted(method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(f"{method} {path}")
        return send(method, path, *args, **kwargs)

    kubernetes._send = noted  # type: ignore[method-assign]
    return dataclasses.replace(doors, kubernetes=kubernetes)


def eventually(probe: Callable[[], T | None], seconds: float = 20.0) -> T:
    """Ask until the answer is truthy: what a controller does takes a moment that nobody announces."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def make_pod(admin: KubeApi, namespace: str, name: str, *, owned: bool = True, **spec: Any) -> PodTarget:
    """A pod with labels app and name; with an owner that does nothing, because the VPC CNI asks for one."""
    body: dict[str, Any] = {
        "metadata": {"name": name, "labels": {"app": spec.pop("app", "web"), "name": name}},
        "spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}], **spec},
    }
    # No pod can be created before the controller manager has made the namespace's account.
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    uid = eventually(lambda: read(admin, account))["metadata"]["uid"]
    if owned:
        owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "default", "uid": uid, "controller": True}
        body["metadata"]["ownerReferences"] = [owner]
    made = admin.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)
    return PodTarget(namespace=namespace, name=name, uid=made["metadata"]["uid"])


def make_pods(admin: KubeApi, namespace: str, count: int, **spec: Any) -> list[PodTarget]:
    return [make_pod(admin, namespace, f"web-{i}", **spec) for i in range(count)]


def inline(*pods: PodTarget) -> PodTargets:
    return PodTargets(count=len(pods), inline=pods)


def stored(store: EvidenceStore, pods: Sequence[PodTarget], key: str = "incidents/t/targets.jsonl") -> PodTargets:
    data = b"".join(p.model_dump_json().encode() + b"\n" for p in pods)
    store.create(key, data)
    reference = StoredList(key=key, sha256=hashlib.sha256(data).hexdigest(), count=len(pods), size=len(data))
    return PodTargets(count=len(pods), reference=reference)


def pod(admin: KubeApi, target: PodTarget) -> dict[str, Any]:
    return admin.request("GET", f"/api/v1/namespaces/{target.namespace}/pods/{target.name}")


def marks(admin: KubeApi, target: PodTarget) -> tuple[bool, bool, list[str]]:
    """Quarantined, held, and by whom."""
    metadata = pod(admin, target)["metadata"]
    labels = metadata.get("labels") or {}
    return labels.get(QUARANTINED_LABEL) == "true", labels.get(HOLD_LABEL) == "true", holders(metadata)


def holders(metadata: dict[str, Any]) -> list[str]:
    text = (metadata.get("annotations") or {}).get(INCIDENTS_ANNOTATION)
    return [] if text is None else cast(list[str], json.loads(text))


def make_policy(admin: KubeApi, namespace: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name, **metadata}, "spec": spec}
    return admin.request("POST", f"{NETWORKING}/{namespace}/networkpolicies", body)


def policy(admin: KubeApi, namespace: str, name: str) -> dict[str, Any] | None:
    return read(admin, f"{NETWORKING}/{namespace}/networkpolicies/{name}")


def read(admin: KubeApi, path: str) -> dict[str, Any] | None:
    """An object, or None when there is none."""
    try:
        return admin.request("GET", path)
    except KubeError as error:
        if error.status == 404:
            return None
        raise


def json_patch(api: KubeApi, path: str, *operations: dict[str, Any]) -> dict[str, Any]:
    return api.request("PATCH", path, list(operations), content_type="application/json-patch+json")
