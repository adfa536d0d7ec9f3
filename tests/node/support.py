"""Nodes of the tests' own: each an instance of the stand-in and an object that kwok plays, so that it can be spared."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from contracts.common import PodTarget
from devstack.aws.machines import GROUP, run_instances
from devstack.kube import KubeApi, KubeError
from devstack.stack import StackInfo
from plans.model import ResourceRef, Target, TargetKind
from tests.assess.support import eventually
from tests.devstack.test_aws import client

Json = dict[str, Any]
TAINT = {"key": "firebreak.test/only", "effect": "NoSchedule"}
TOLERATION = {"key": "firebreak.test/only", "operator": "Exists"}
"""Whoever is to land on a node of a test carries it; nobody else's pods do."""


@dataclasses.dataclass(frozen=True)
class TestNode:
    """One node and its machine."""

    __test__ = False

    name: str
    uid: str
    instance_id: str

    @property
    def target(self) -> Target:
        """As a plan names it."""
        instance = ResourceRef(kind="Instance", name=self.instance_id)
        return Target(kind=TargetKind.NODE, name=self.name, uid=self.uid, node=self.name, owner=instance)


class Fleet:
    """Makes nodes, and looks at their machines as somebody who trusts nobody's report."""

    def __init__(self, stack: StackInfo, admin: KubeApi) -> None:
        self.stack = stack
        self.admin = admin
        self.ec2: Any = client(stack, "ec2")
        self.scaling: Any = client(stack, "autoscaling")
        self._made: list[str] = []

    def node(
        self,
        *,
        spot: bool = False,
        group: bool = True,
        tagged: bool = True,
        labels: Mapping[str, str] | None = None,
        prefix: str = "n",
        fargate: bool = False,
    ) -> TestNode:
        """A new node with a machine of its own."""
        (instance,) = run_instances(self.ec2, self.stack.cluster, 1, spot=spot)
        if group:
            self.scaling.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[instance.instance_id])
        if not tagged:
            keys = (f"kubernetes.io/cluster/{self.stack.cluster}", "eks:cluster-name")
            self.ec2.delete_tags(Resources=[instance.instance_id], Tags=[{"Key": k} for k in keys])
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        machine = f"0123456789-{uuid.uuid4().hex}/{name}" if fargate else instance.instance_id
        body = _node(name, f"aws:///{instance.zone}/{machine}", instance.private_ip, labels or {})
        made = self.admin.request("POST", "/api/v1/nodes", body)
        self._made.append(name)
        # New nodes are tainted until their kubelet has reported.
        eventually(lambda: self._is_ready(name), "the node is ready")
        return TestNode(name, made["metadata"]["uid"], instance.instance_id)

    def _is_ready(self, name: str) -> bool:
        live = self.admin.request("GET", f"/api/v1/nodes/{name}")
        conditions = {c["type"]: c["status"] for c in live.get("status", {}).get("conditions", [])}
        return conditions.get("Ready") == "True" and [t["key"] for t in live["spec"]["taints"]] == [TAINT["key"]]

    def live(self, node: TestNode) -> Json:
        """The node's object."""
        return self.admin.request("GET", f"/api/v1/nodes/{node.name}")

    def exists(self, node: TestNode) -> bool:
        """Whether it has one."""
        return self.admin.exists(f"/api/v1/nodes/{node.name}")

    def patch(self, node: TestNode, body: Json) -> None:
        """Merge something into it, as the cluster's administrator."""
        path = f"/api/v1/nodes/{node.name}"
        self.admin.request("PATCH", path, body, content_type="application/merge-patch+json")

    def instance(self, node: TestNode) -> Json:
        """The machine as EC2 describes it."""
        answer = self.ec2.describe_instances(InstanceIds=[node.instance_id])
        return cast(Json, answer["Reservations"][0]["Instances"][0])

    def state(self, node: TestNode) -> str:
        """Of the machine."""
        return str(self.instance(node)["State"]["Name"])

    def protected(self, node: TestNode) -> bool:
        """Whether the API refuses to end it."""
        answer = self.ec2.describe_instance_attribute(InstanceId=node.instance_id, Attribute="disableApiTermination")
        return bool(answer["DisableApiTermination"]["Value"])

    def member(self, node: TestNode) -> Json | None:
        """The machine as its group knows it."""
        found = self.scaling.describe_auto_scaling_instances(InstanceIds=[node.instance_id])["AutoScalingInstances"]
        return found[0] if found else None

    def group(self) -> Json:
        """The Auto Scaling group."""
        return cast(
            Json, self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]
        )

    def groups_of(self, node: TestNode) -> list[str]:
        """The names of the security groups of all its interfaces."""
        return sorted(g["GroupName"] for i in self.instance(node)["NetworkInterfaces"] for g in i["Groups"])

    def snapshots(self, node: TestNode) -> list[Json]:
        """Of the volumes that the machine has, or had."""
        filters = [{"Name": "tag:firebreak.dev:node", "Values": [node.uid]}]
        return list(self.ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"])

    def summary(self, node: TestNode) -> Json:
        """All that the response to an incident may change of a node and its machine."""
        live = self.live(node)
        keys = ("cluster-autoscaler.kubernetes.io/scale-down-disabled", "karpenter.sh/do-not-disrupt")
        annotations = live["metadata"].get("annotations") or {}
        tags = {t["Key"] for t in self.instance(node).get("Tags", [])}
        profile = self.instance(node).get("IamInstanceProfile") or {}
        return {
            "cordoned": bool(live["spec"].get("unschedulable")),
            "annotations": {k: annotations[k] for k in keys if k in annotations},
            "protected": self.protected(node),
            "scale-in": bool((self.member(node) or {}).get("ProtectedFromScaleIn")),
            "groups": self.groups_of(node),
            "profile": profile.get("Arn", "").rpartition("/")[2],
            "tagged": "firebreak.dev:contained" in tags,
        }

    def close(self) -> None:
        """Take the nodes away."""
        for name in self._made:
            with suppress(KubeError):
                self.admin.request("DELETE", f"/api/v1/nodes/{name}")


def pod_on(node: TestNode, name: str, **metadata: Any) -> Json:
    """A pod that nothing owns, bound to a node."""
    containers = [{"name": "app", "image": "registry.example/app:1"}]
    spec = {
        "nodeName": node.name,
        "containers": containers,
        "tolerations": [TOLERATION],
        "terminationGracePeriodSeconds": 0,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def create_pod(admin: KubeApi, space: str, node: TestNode, name: str, **metadata: Any) -> PodTarget:
    """The same, created; as an incident names it."""
    made = admin.request("POST", f"/api/v1/namespaces/{space}/pods", pod_on(node, name, **metadata))
    return PodTarget(namespace=space, name=name, uid=made["metadata"]["uid"], node=node.name)


def deployment_near(node: TestNode, name: str, replicas: int) -> Json:
    """A Deployment whose pods prefer a node, and may run elsewhere."""
    near = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}]}
    affinity = {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": near}]}
    }
    pod = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "affinity": affinity,
            "containers": [{"name": "app", "image": "registry.example/app:1"}],
            "tolerations": [TOLERATION],
            "terminationGracePeriodSeconds": 0,
        },
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _node(name: str, provider_id: str, address: str, labels: Mapping[str, str]) -> Json:
    resources = {"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": "250"}
    # Any network will do: kwok only hands out addresses of it.
    cidr = f"10.{200 + int(name[-4:-2], 16) % 50}.{int(name[-2:], 16)}.16/24"
    return {
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **labels},
        },
        "spec": {"providerID": provider_id, "podCIDR": cidr, "podCIDRs": [cidr], "taints": [TAINT]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "allocatable": resources,
            "capacity": resources,
        },
    }


def fleet(stack: StackInfo, admin: KubeApi) -> Iterator[Fleet]:
    """The nodes of one test."""
    made = Fleet(stack, admin)
    yield made
    made.close()
