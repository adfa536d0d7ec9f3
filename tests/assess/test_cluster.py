"""What the cluster can do about isolation, as it is and not as somebody says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from activities.assess.cluster import ClusterReader, network_plugin
from clients.kubernetes import Kubernetes
from clients.paths import group_path, list_path, object_path
from contracts.activities import Assessment
from errors import Conflict, TargetGone, Throttled
from plans.observed import VPC_CNI
from tests.assess.support import JsonObject, eventually, pod_spec, workload_of

ON = "--enable-network-policy=true"


def daemon_set(
    name: str, *, args: list[str] | None = None, namespace: str = "kube-system", ready: int = 3
) -> JsonObject:
    containers: list[JsonObject] = [{"name": name, "image": "plugin:1"}]
    if args is not None:
        containers.append({"name": "aws-eks-nodeagent", "image": "amazon/aws-network-policy-agent:v1", "args": args})
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": {"containers": containers}}},
        "status": {"numberReady": ready},
    }


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ([], (None, "")),
        ([daemon_set("aws-node")], (False, VPC_CNI)),
        ([daemon_set("aws-node", args=["--enable-network-policy=false"])], (False, VPC_CNI)),
        ([daemon_set("aws-node", args=[ON])], (True, VPC_CNI)),
        ([daemon_set("aws-node", args=[ON], ready=0)], (None, VPC_CNI)),
        ([daemon_set("aws-node", args=[ON], namespace="attacker")], (None, "")),
        ([daemon_set("cilium", namespace="attacker")], (None, "")),
        ([daemon_set("cilium")], (True, "Cilium")),
        ([daemon_set("calico-node", namespace="calico-system")], (True, "Calico")),
        ([daemon_set("aws-node"), daemon_set("calico-node")], (True, f"{VPC_CNI} with Calico")),
        ([daemon_set("kube-proxy")], (None, "")),
    ],
)
def test_the_network_plugin(sets: list[JsonObject], expected: tuple[bool | None, str]) -> None:
    assert network_plugin(sets) == expected


@pytest.fixture
def cilium(admin_door: Kubernetes) -> Iterator[None]:
    """The custom resource of Cilium's policies, as its installation leaves it."""
    name = "ciliumnetworkpolicies.cilium.io"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": "cilium.io",
            "scope": "Namespaced",
            "names": {"plural": "ciliumnetworkpolicies", "kind": "CiliumNetworkPolicy"},
            "versions": [{"name": "v2", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    made = admin_door.create(list_path("CustomResourceDefinition"), body)
    path = group_path("cilium.io", "v2", "ciliumnetworkpolicies")

    def served() -> bool:
        try:
            admin_door.get(path)
        except (TargetGone, Throttled):
            return False
        return True

    try:
        eventually(served, "the new kind")
        yield
    finally:
        admin_door.delete(object_path("CustomResourceDefinition", "", name), uid=made["metadata"]["uid"])


@pytest.mark.stack
def test_foreign_policies_count_where_the_pods_are(
    cilium: None, door: Kubernetes, admin_door: Kubernetes, space: str
) -> None:
    body = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "open"}}
    path = group_path("cilium.io", "v2", "ciliumnetworkpolicies", space)

    def created() -> bool:
        try:
            admin_door.create(path, body)
        except (TargetGone, Conflict, Throttled):
            return False
        return True

    eventually(created, "the policy")
    reader = ClusterReader(door)
    assert reader.facts([space]).foreign_policies == (f"ciliumnetworkpolicies.cilium.io {space}/open",)
    assert reader.facts(["elsewhere"]).foreign_policies == ()


@pytest.mark.stack
def test_the_facts_are_kept_for_a_minute(door: Kubernetes) -> None:
    now, reads = [0.0], []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            reads.append(name)
            return getattr(door, name)

    reader = ClusterReader(Counting(), clock=lambda: now[0])  # type: ignore[arg-type]  # It behaves as a door does.
    assert reader.facts([]).admission_ready
    first = len(reads)
    now[0] = 59
    reader.facts([])
    assert len(reads) == first
    now[0] = 61
    reader.facts([])
    assert len(reads) == 2 * first


@pytest.mark.stack
def test_a_plan_says_that_admission_is_missing(
    found: Callable[..., Assessment], make: Callable[..., JsonObject], admin_door: Kubernetes
) -> None:
    path = object_path("ValidatingAdmissionPolicyBinding", "", "firebreak-hold-access")
    binding = admin_door.get(path)
    admin_door.delete(path, uid=binding["metadata"]["uid"])
    try:
        assessment = found(workload=workload_of(make("Pod", "web", pod_spec()), "pods"))
    finally:
        kept = {k: binding["metadata"][k] for k in ("name", "labels")}
        admin_door.create(list_path("ValidatingAdmissionPolicyBinding"), {**binding, "metadata": kept})
    assert not assessment.cluster.admission_ready
    assert any("admission policies are not installed" in w for w in assessment.plan.warnings)
