"""The client against a real API server."""

from __future__ import annotations

import json

import kubernetes.client
import pytest

from clients.kubernetes import Kubernetes
from clients.paths import group_path, list_path, object_path
from devstack.stack import StackInfo
from errors import Conflict, Forbidden, InputError, TargetGone, Unavailable

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def door(stack: StackInfo) -> Kubernetes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(stack.kubeconfig_admin))
        return Kubernetes.from_environment()


@pytest.fixture(scope="module")
def limited(stack: StackInfo) -> Kubernetes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(stack.kubeconfigs["namespace-admin"]))
        return Kubernetes.from_environment()


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_the_life_of_an_object(door: Kubernetes, namespace: str) -> None:
    collection, path = list_path("ConfigMap", namespace), object_path("ConfigMap", namespace, "x")
    uid = door.create(collection, config_map("x", a="1"))["metadata"]["uid"]
    with pytest.raises(Conflict):
        door.create(collection, config_map("x"))
    same = {"op": "test", "path": "/metadata/uid", "value": uid}
    assert door.patch(path, [same, {"op": "add", "path": "/data/b", "value": "2"}])["data"] == {"a": "1", "b": "2"}
    old = door.get(path)
    door.replace(path, {**old, "data": {"c": "3"}})
    with pytest.raises(Conflict):
        door.replace(path, {**old, "data": {"d": "4"}})
    with pytest.raises(Conflict):
        door.delete(path, uid="another")
    with pytest.raises(Conflict):
        door.delete(path, uid=uid, resource_version=old["metadata"]["resourceVersion"])
    door.delete(path, uid=uid)
    for gone in (
        lambda: door.get(path),
        lambda: door.delete(path, uid=uid),
        lambda: door.patch(path, [same]),
        lambda: door.create(list_path("ConfigMap", "no-such-namespace"), config_map("x")),
        lambda: door.get(group_path("no.such.group", "v1", "things")),
    ):
        with pytest.raises(TargetGone):
            gone()


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "test", "path": "/metadata/uid", "value": "another"}, Conflict),
        ({"op": "test", "path": "/data/missing", "value": "x"}, Conflict),
        ({"op": "remove", "path": "/data/missing"}, Conflict),
        ({"op": "add", "path": "/metadata/annotations/x", "value": "y"}, Conflict),
        ({"op": "add", "path": "/metadata/labels", "value": {"a": "-- bad"}}, InputError),
        ({"op": "replace", "path": "/data", "value": "text"}, InputError),
    ],
)
def test_a_patch_that_does_not_fit_is_told_from_one_that_is_wrong(
    operation: dict[str, object], expected: type[Exception], door: Kubernetes, namespace: str
) -> None:
    door.create(list_path("ConfigMap", namespace), config_map("x", a="1"))
    with pytest.raises(expected):
        door.patch(object_path("ConfigMap", namespace, "x"), [operation])


def test_pages_are_small_and_complete(door: Kubernetes, namespace: str) -> None:
    names = {f"c-{n}" for n in range(7)}
    for name in sorted(names):
        door.create(list_path("ConfigMap", namespace), config_map(name))
    pages = list(door.pages(list_path("ConfigMap", namespace), limit=3))
    assert max(len(p) for p in pages) <= 3
    assert names <= {item["metadata"]["name"] for page in pages for item in page}


def test_the_log_of_a_missing_pod_is_gone(door: Kubernetes, namespace: str) -> None:
    with pytest.raises(TargetGone):
        list(door.stream(object_path("Pod", namespace, "ghost", "log")))


def test_what_we_may_not_do_is_forbidden(limited: Kubernetes) -> None:
    with pytest.raises(Forbidden, match="cannot list"):
        limited.get(list_path("Node"))


def test_what_admission_refuses_is_forbidden(door: Kubernetes, namespace: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "marked", "labels": {"firebreak.dev/quarantined": "true"}},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    with pytest.raises(Forbidden, match="only Firebreak"):
        door.create(list_path("Pod", namespace), pod)


def test_a_server_certificate_that_we_do_not_know_is_not_trusted(stack: StackInfo) -> None:
    host = json.loads(stack.kubeconfig_admin.read_text())["clusters"][0]["cluster"]["server"]
    door = Kubernetes(kubernetes.client.ApiClient(kubernetes.client.Configuration(host=host)))
    with pytest.raises(Unavailable, match=r"SSL|certificate"):
        door.get("/api/v1/pods")
