"""The scene of the node path: a machine whose kubelet's identity is misused; it is kept as evidence, then replaced."""

from __future__ import annotations

from typing import Any, ClassVar

from cli.demo.account import service
from cli.demo.finding import made_up
from cli.demo.scene import Scene
from cli.demo.telling import State
from plans.model import Path

_NODES = "/api/v1/nodes"
_NEIGHBOUR = "demo-neighbour"


class NodeScene(Scene):
    """Guide N1 to N4."""

    path: ClassVar[Path] = Path.NODE
    attack: ClassVar[str] = "A node whose own identity is used from elsewhere"

    def prepare(self) -> dict[str, Any]:
        """A node with a machine of its own, and a workload that prefers it and can run elsewhere."""
        from devstack.aws.machines import GROUP, run_instances
        from devstack.processes import poll

        info = self.teller.info
        self._ec2, self._scaling = service("ec2"), service("autoscaling")
        [machine] = run_instances(self._ec2, info.cluster, 1)
        self._scaling.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[machine.instance_id])
        self._instance, self._name = machine.instance_id, machine.private_dns
        provider = f"aws:///{machine.zone}/{machine.instance_id}"
        self.admin.request("POST", _NODES, _node(self._name, provider, machine.private_ip))
        poll("the node to be ready", self._is_ready, 60.0)
        spaces = "/apis/apps/v1/namespaces/shop/deployments"
        if self.admin.exists(f"{spaces}/{_NEIGHBOUR}"):
            self.admin.request("DELETE", f"{spaces}/{_NEIGHBOUR}")
            poll("the pods of an earlier play to go", lambda: not self._neighbours(), 60.0)
        self.admin.request("POST", spaces, _neighbour(self._name))
        poll("the workload to run", lambda: bool(self._neighbours()), 60.0)
        self.teller.tell(f"node {self._name} is instance {self._instance} of Auto Scaling group {GROUP}")
        return made_up(
            info,
            "Discovery:Kubernetes/MaliciousIPCaller",
            user={"Username": f"system:node:{self._name}", "Groups": ["system:nodes", "system:authenticated"]},
        )

    def state(self) -> State:
        """The node, its machine, and who else runs on it."""
        live = self._live()
        machine = self._ec2.describe_instances(InstanceIds=[self._instance])["Reservations"][0]["Instances"][0]
        members = self._scaling.describe_auto_scaling_instances(InstanceIds=[self._instance])["AutoScalingInstances"]
        groups = sorted(g["GroupName"] for i in machine.get("NetworkInterfaces", []) for g in i["Groups"])
        spec = (live or {}).get("spec", {})
        return {
            "node": "gone" if live is None else "cordoned" if spec.get("unschedulable") else "takes new pods",
            "instance": str(machine["State"]["Name"]),
            "protected from termination": _yes(self._protected(machine)),
            "protected from scale-in": _yes(bool(members and members[0].get("ProtectedFromScaleIn"))),
            "security groups": ", ".join(groups) or "none",
            "role": "has its role" if machine.get("IamInstanceProfile") else "has no role",
            "the workload beside": self._beside(),
        }

    def clean(self) -> None:
        """The workload and the node that was released go."""
        self.admin.request("DELETE", f"/apis/apps/v1/namespaces/shop/deployments/{_NEIGHBOUR}")
        if self._live() is not None:
            self.admin.request("DELETE", f"{_NODES}/{self._name}")

    def _live(self) -> dict[str, Any] | None:
        path = f"{_NODES}/{self._name}"
        return self.admin.request("GET", path) if self.admin.exists(path) else None

    def _is_ready(self) -> bool:
        live = self._live() or {}
        conditions = {c["type"]: c["status"] for c in live.get("status", {}).get("conditions", [])}
        # New nodes are tainted until their kubelet has reported.
        return conditions.get("Ready") == "True" and not live["spec"].get("taints")

    def _protected(self, machine: dict[str, Any]) -> bool:
        if machine["State"]["Name"] == "terminated":
            return False
        asked = {"InstanceId": self._instance, "Attribute": "disableApiTermination"}
        return bool(self._ec2.describe_instance_attribute(**asked)["DisableApiTermination"].get("Value"))

    def _neighbours(self) -> list[str]:
        """The nodes on which the workload's pods run."""
        query = {"labelSelector": f"app={_NEIGHBOUR}"}
        pods = self.admin.request("GET", "/api/v1/namespaces/shop/pods", query=query)["items"]
        alive = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
        return [str(p["spec"]["nodeName"]) for p in alive if p["status"].get("phase") == "Running"]

    def _beside(self) -> str:
        nodes = self._neighbours()
        if not nodes:
            return "runs nowhere"
        return "runs on the node" if self._name in nodes else "runs on another node"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _neighbour(node: str) -> dict[str, Any]:
    labels = {"app": _NEIGHBOUR}
    wish = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    prefers = [{"weight": 100, "preference": {"matchExpressions": [wish]}}]
    pod = {
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": prefers}},
        "containers": [{"name": "app", "image": "registry.example/app:1"}],
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {"metadata": {"name": _NEIGHBOUR}, "spec": spec}


def _node(name: str, provider: str, address: str) -> dict[str, Any]:
    resources = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "eks.amazonaws.com/nodegroup": "demo",
            },
        },
        "spec": {"providerID": provider},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                # Where the API server finds kwok when somebody asks for logs.
                {"type": "ExternalDNS", "address": "localhost"},
            ],
            "allocatable": resources,
            "capacity": resources,
        },
    }
