"""What deploy/admission.yaml denies and allows, asked of the real API server."""

import secrets
import subprocess
from collections.abc import Callable
from functools import partial

import pytest

from devstack.demo_workload import deploy_demo_workload
from devstack.kube import KubeApi, KubeError
from devstack.processes import poll
from devstack.stack import StackInfo
from devstack.tools import ensure_tools

pytestmark = pytest.mark.stack

QUARANTINED = "firebreak.dev/quarantined"
HOLD = "firebreak.dev/hold"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

Action = Callable[[KubeApi, str], object]


def pods_path(namespace: str, pod: str = "", subresource: str = "") -> str:
    return "/".join(part for part in (f"/api/v1/namespaces/{namespace}/pods", pod, subresource) if part)


def patch_labels(api: KubeApi, path: str, labels: dict[str, str | None]) -> object:
    return api.request("PATCH", path, {"metadata": {"labels": labels}}, content_type=MERGE)


def is_denied_by(policy: str, action: Callable[[], object]) -> bool:
    try:
        action()
    except KubeError as error:
        return error.status == 403 and f"ValidatingAdmissionPolicy '{policy}'" in error.message
    return False


def assert_denied(policy: str, action: Callable[[], object]) -> None:
    with pytest.raises(KubeError) as caught:
        action()
    assert caught.value.status == 403, caught.value
    assert f"ValidatingAdmissionPolicy '{policy}'" in caught.value.message


def contain(firebreak: KubeApi, namespace: str, pod: str) -> None:
    # A ReplicaSet that must delete some of its pods chooses one again and again, even when it may not delete it. The
    # cost makes it choose the others; without it a rollout may stand still until the hold is released.
    annotations = {"controller.kubernetes.io/pod-deletion-cost": "2147483647"}
    metadata = {"labels": {QUARANTINED: "true", HOLD: "true"}, "annotations": annotations}
    firebreak.request("PATCH", pods_path(namespace, pod), {"metadata": metadata}, content_type=MERGE)


@pytest.fixture
def pods(admin: KubeApi, namespace: str) -> list[str]:
    return [pod.name for pod in deploy_demo_workload(admin, namespace=namespace, replicas=2).pods]


@pytest.fixture
def held(firebreak: KubeApi, namespace_admin: KubeApi, namespace: str, pods: list[str]) -> str:
    contain(firebreak, namespace, pods[0])
    poll(
        "denied exec into the held pod",
        lambda: is_denied_by(
            "firebreak-hold-access", lambda: enter("exec")(namespace_admin, pods_path(namespace, pods[0]))
        ),
        10,
    )
    return pods[0]


def enter(subresource: str) -> Action:
    # Without the headers of an upgrade the server admits the request first and refuses its form afterwards.
    query = {"exec": {"command": "id"}, "portforward": {"ports": "80"}}.get(subresource)
    return lambda api, path: api.request("GET", f"{path}/{subresource}", query=query)


def evict(api: KubeApi, path: str) -> object:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": path.rsplit("/", 1)[1]}}
    return api.request("POST", f"{path}/eviction", eviction)


def add_ephemeral_container(api: KubeApi, path: str) -> object:
    container = {"name": "debug", "image": "busybox", "terminationMessagePolicy": "File"}
    body = {"spec": {"ephemeralContainers": [container]}}
    return api.request("PATCH", f"{path}/ephemeralcontainers", body, content_type=STRATEGIC)


def change_image(api: KubeApi, path: str) -> object:
    body = {"spec": {"containers": [{"name": "checkout", "image": "busybox"}]}}
    return api.request("PATCH", path, body, content_type=STRATEGIC)


def set_label(name: str, value: str | None, subresource: str = "") -> Action:
    return lambda api, path: patch_labels(api, path + subresource, {name: value})


def annotate(api: KubeApi, path: str) -> object:
    body = {"metadata": {"annotations": {"firebreak.dev/incidents": "none"}}}
    return api.request("PATCH", path, body, content_type=MERGE)


def drop_owner(api: KubeApi, path: str) -> object:
    return api.request("PATCH", path, {"metadata": {"ownerReferences": None}}, content_type=MERGE)


def delete(api: KubeApi, path: str) -> object:
    return api.request("DELETE", path)


def delete_by_force(api: KubeApi, path: str) -> object:
    return api.request("DELETE", path, {"gracePeriodSeconds": 0})


DENIED_WHEN_HELD: list[tuple[str, str, Action]] = [
    ("remove quarantine", "firebreak-pod-marks", set_label(QUARANTINED, None)),
    ("change quarantine", "firebreak-pod-marks", set_label(QUARANTINED, "false")),
    ("remove hold", "firebreak-pod-marks", set_label(HOLD, None)),
    ("remove hold through status", "firebreak-pod-marks", set_label(HOLD, None, "/status")),
    ("rewrite the list of incidents", "firebreak-pod-marks", annotate),
    ("relabel out of its owner", "firebreak-quarantine-selection", set_label("app", "other")),
    ("drop its owner", "firebreak-quarantine-selection", drop_owner),
    ("delete", "firebreak-hold-delete", delete),
    ("delete by force", "firebreak-hold-delete", delete_by_force),
    ("change its image", "firebreak-hold-change", change_image),
    ("add an ephemeral container", "firebreak-hold-change", add_ephemeral_container),
    ("evict", "firebreak-hold-access", evict),
    ("exec", "firebreak-hold-access", enter("exec")),
    ("attach", "firebreak-hold-access", enter("attach")),
    ("port-forward", "firebreak-hold-access", enter("portforward")),
    ("proxy", "firebreak-hold-access", enter("proxy")),
]


def test_nobody_undoes_a_quarantine_or_enters_a_held_pod(
    namespace_admin: KubeApi, admin: KubeApi, namespace: str, held: str
) -> None:
    path = pods_path(namespace, held)
    before = admin.request("GET", path)
    for person in (namespace_admin, admin):
        for _, policy, action in DENIED_WHEN_HELD:
            assert_denied(policy, partial(action, person, path))
    after = admin.request("GET", path)
    assert (after["metadata"]["uid"], after["metadata"]["labels"], after["spec"]) == (
        before["metadata"]["uid"],
        before["metadata"]["labels"],
        before["spec"],
    )


def test_the_same_is_allowed_on_a_pod_beside_it(
    namespace_admin: KubeApi, namespace: str, held: str, pods: list[str]
) -> None:
    other = pods_path(namespace, pods[1])
    for subresource in ("exec", "attach", "portforward"):
        with pytest.raises(KubeError, match="Upgrade request required"):
            enter(subresource)(namespace_admin, other)
    add_ephemeral_container(namespace_admin, other)
    change_image(namespace_admin, other)
    patch_labels(namespace_admin, other, {"team": "shop"})
    evict(namespace_admin, other)
    poll("eviction", lambda: is_gone(namespace_admin, other), 20)


def is_gone(api: KubeApi, path: str) -> bool:
    try:
        return "deletionTimestamp" in api.request("GET", path)["metadata"]
    except KubeError as error:
        return error.status == 404


def test_kubectl_shows_the_reason(stack: StackInfo, namespace: str, held: str, pods: list[str]) -> None:
    def kubectl_exec(pod: str) -> str:
        kubeconfig = stack.kubeconfigs["namespace-admin"]
        command = [
            str(ensure_tools()["kubectl"]),
            f"--kubeconfig={kubeconfig}",
            "-n",
            namespace,
            "exec",
            pod,
            "--",
            "id",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stderr

    assert "this pod is held as evidence" in kubectl_exec(held)
    # Admitted: it is kwok, which runs no containers, that refuses.
    assert "no exec found for container" in kubectl_exec(pods[1])


def test_firebreak_itself_may(firebreak: KubeApi, namespace: str, held: str) -> None:
    path = pods_path(namespace, held)
    patch_labels(firebreak, path, {HOLD: None})
    patch_labels(firebreak, path, {HOLD: "true"})
    annotate(firebreak, path)
    delete(firebreak, path)
    poll("deletion", lambda: is_gone(firebreak, path), 20)


def test_marks_cannot_be_set_by_others(namespace_admin: KubeApi, namespace: str, pods: list[str]) -> None:
    path = pods_path(namespace, pods[0])
    assert_denied("firebreak-pod-marks", lambda: set_label(QUARANTINED, "true")(namespace_admin, path))
    assert_denied("firebreak-pod-marks", lambda: set_label(HOLD, "true", "/status")(namespace_admin, path))
    assert_denied("firebreak-pod-marks", lambda: annotate(namespace_admin, path))
    pod = {
        "metadata": {"name": "smuggled", "labels": {HOLD: "true"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    assert_denied("firebreak-pod-marks", lambda: namespace_admin.request("POST", pods_path(namespace), pod))


def test_a_template_cannot_smuggle_marks(admin: KubeApi, namespace_admin: KubeApi, namespace: str) -> None:
    labels = {"app": "smuggler", QUARANTINED: "true"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {
        "metadata": {"name": "smuggler"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "smuggler"}}, "template": template},
    }
    path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    namespace_admin.request("POST", path, body)

    def has_failed() -> bool:
        conditions = admin.request("GET", f"{path}/smuggler")["status"].get("conditions", [])
        return any(c["type"] == "ReplicaFailure" and "only Firebreak sets" in c["message"] for c in conditions)

    poll("refusal in the ReplicaSet's status", has_failed, 20)
    assert admin.request("GET", pods_path(namespace), query={"labelSelector": "app=smuggler"})["items"] == []


def test_a_held_pod_outlives_collections_restarts_scaling_and_its_owner(
    admin: KubeApi, namespace_admin: KubeApi, namespace: str, held: str
) -> None:
    path = pods_path(namespace, held)
    uid = admin.request("GET", path)["metadata"]["uid"]
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/checkout"

    def others() -> set[str]:
        items = admin.request("GET", pods_path(namespace))["items"]
        return {item["metadata"]["name"] for item in items if item["metadata"]["name"] != held}

    first = others()
    assert_denied("firebreak-hold-delete", lambda: namespace_admin.request("DELETE", pods_path(namespace)))

    restart = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    namespace_admin.request("PATCH", deployment, restart, content_type=MERGE)
    poll("rollout of the other pods", lambda: len(others()) == 2 and not others() & first, 30)

    namespace_admin.request("PATCH", deployment, {"spec": {"replicas": 0}}, content_type=MERGE)
    poll("scaling to zero", lambda: not others(), 30)

    namespace_admin.request("DELETE", deployment)
    poll("deleted owner", lambda: is_gone(admin, deployment), 30)
    assert admin.request("GET", path)["metadata"]["uid"] == uid


def test_a_namespace_with_a_held_pod_can_be_deleted(admin: KubeApi, firebreak: KubeApi) -> None:
    name = f"t-{secrets.token_hex(4)}"
    pod = deploy_demo_workload(admin, namespace=name, replicas=1).pods[0]
    contain(firebreak, name, pod.name)
    firebreak.request("POST", policies_path(name), quarantine_policy())
    admin.request("DELETE", f"/api/v1/namespaces/{name}")

    def is_away() -> bool:
        try:
            admin.request("GET", f"/api/v1/namespaces/{name}")
        except KubeError as error:
            return error.status == 404
        return False

    poll("finalised namespace", is_away, 60)


def policies_path(namespace: str, name: str = "") -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies" + (f"/{name}" if name else "")


def quarantine_policy(name: str = "firebreak-quarantine", managed: bool = True) -> dict[str, object]:
    metadata: dict[str, object] = {"name": name}
    if managed:
        metadata["labels"] = {"firebreak.dev/managed": "true"}
    selector = {"matchLabels": {QUARANTINED: "true"}}
    return {"metadata": metadata, "spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"]}}


def test_only_firebreak_touches_its_network_policies(
    firebreak: KubeApi, namespace_admin: KubeApi, namespace: str
) -> None:
    policy = "firebreak-network-policies"
    all_policies, path = policies_path(namespace), policies_path(namespace, "firebreak-quarantine")
    create = [quarantine_policy(managed=False), quarantine_policy(name="mine", managed=True)]
    for body in create:
        assert_denied(policy, partial(namespace_admin.request, "POST", all_policies, body))

    firebreak.request("POST", all_policies, quarantine_policy())
    opened: dict[str, object] = {"spec": {"ingress": [{}]}}
    assert_denied(policy, lambda: namespace_admin.request("PATCH", path, opened, content_type=MERGE))
    assert_denied(policy, lambda: set_label("firebreak.dev/managed", None)(namespace_admin, path))
    assert_denied(policy, lambda: namespace_admin.request("DELETE", path))

    namespace_admin.request("POST", all_policies, quarantine_policy(name="mine", managed=False))
    assert_denied(
        policy, lambda: set_label("firebreak.dev/managed", "true")(namespace_admin, policies_path(namespace, "mine"))
    )
    namespace_admin.request("DELETE", policies_path(namespace, "mine"))
    firebreak.request("DELETE", path)


def test_detaching_by_firebreak_still_frees_the_pod_from_its_owner(
    firebreak: KubeApi, admin: KubeApi, namespace: str, held: str
) -> None:
    path = pods_path(namespace, held)
    patch_labels(firebreak, path, {"app": None})
    poll("release by the ReplicaSet", lambda: "ownerReferences" not in admin.request("GET", path)["metadata"], 20)


@pytest.mark.slow
def test_the_record_of_a_held_pod_goes_with_its_node(admin: KubeApi, firebreak: KubeApi, namespace: str) -> None:
    node = f"gone-{secrets.token_hex(4)}"
    metadata = {"name": node, "annotations": {"kwok.x-k8s.io/node": "fake"}}
    # Unschedulable, so that no other test's pod comes here.
    admin.request("POST", "/api/v1/nodes", {"metadata": metadata, "spec": {"unschedulable": True}})
    try:
        # It tolerates everything, so that it stays until the collector comes, which is whom this test is about.
        spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}], "tolerations": [{"operator": "Exists"}]}
        admin.request("POST", pods_path(namespace), {"metadata": {"name": "lonely"}, "spec": spec})
        path = pods_path(namespace, "lonely")
        poll("running pod", lambda: admin.request("GET", path)["status"]["phase"] == "Running", 30)
        contain(firebreak, namespace, "lonely")
        assert_denied("firebreak-hold-delete", partial(delete, admin, path))
    finally:
        admin.request("DELETE", f"/api/v1/nodes/{node}")
    # The collector waits 40 seconds for a node to come back, and looks every 20.
    poll("collected pod", lambda: is_gone(admin, path), 120)
