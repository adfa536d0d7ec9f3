"""How a machine ends: through whatever runs it, so that another one comes in its place.

Deleting only the node's object would leave the machine running under Auto Scaling.
Sources: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html,
https://karpenter.sh/docs/concepts/nodeclaims/
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from activities.changes.kinds import Values, register
from activities.doors import Doors
from activities.node.machine import live_node
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import group_path, object_path
from errors import InputError, TargetGone
from plans.model import ResourceRef, Target, TargetKind

STATE: Final = "/State"
REGISTERED: Final = "/registered"
TERMINATED: Final = "terminated"
_GROUP, _VERSION, _PLURAL = "karpenter.sh", "v1", "nodeclaims"


class Way(NamedTuple):
    """Who ends a machine: `group`, `nodeclaim` or `ec2`, and its name."""

    kind: str
    name: str = ""

    def ref(self, instance_id: str) -> ResourceRef:
        """The machine with its way, so that what people approve is what is done."""
        return ResourceRef(kind="RunningMachine", namespace=f"{self.kind}:{self.name}".rstrip(":"), name=instance_id)

    @property
    def words(self) -> str:
        """For a sentence."""
        if self.kind == "group":
            return f"through its Auto Scaling group {self.name}, which starts another"
        if self.kind == "nodeclaim":
            return f"through its NodeClaim {self.name}, which Karpenter replaces as pods need it"
        return "by EC2: no group and no NodeClaim has it, so nothing replaces it"


def way_of(doors: Doors, instance_id: str) -> Way:
    """Who ends the instance: its NodeClaim where it has one, whatever the node's labels say; a group; or nobody."""
    if (claim := claim_of(doors.kubernetes, instance_id)) is not None:
        return Way("nodeclaim", str(claim["metadata"]["name"]))
    member = doors.aws.autoscaling.instance(instance_id)
    return Way("ec2") if member is None else Way("group", str(member["AutoScalingGroupName"]))


def claim_of(kubernetes: Kubernetes, instance_id: str) -> JsonObject | None:
    """The NodeClaim behind an instance, or None, also where Karpenter is not installed."""
    try:
        for claim in kubernetes.items(group_path(_GROUP, _VERSION, _PLURAL)):
            if str((claim.get("status") or {}).get("providerID") or "").endswith(f"/{instance_id}"):
                return claim
    except TargetGone:
        pass
    return None


class RunningMachineKind:
    """The life of an instance: it can be ended, and nothing brings it back."""

    undoable = False

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes
        self._aws = doors.aws

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """What EC2 calls its state; `terminated` as soon as it is on the way there."""
        try:
            state = str((self._aws.ec2.instance(ref.name).get("State") or {}).get("Name"))
        except TargetGone:
            state = TERMINATED
        return {STATE: TERMINATED if state == "shutting-down" else state}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """End it, the way that the plan found and people approved."""
        kind, _, name = ref.namespace.partition(":")
        if kind == "group":
            self._aws.autoscaling.replace(ref.name)
        elif kind == "ec2":
            self._aws.ec2.terminate(ref.name)
        elif kind == "nodeclaim":
            self._delete_claim(ref.name, name)
        else:
            raise InputError("way", "group, nodeclaim or ec2", kind)

    def _delete_claim(self, instance_id: str, name: str) -> None:
        claim = claim_of(self._kubernetes, instance_id)
        if claim is None or claim["metadata"]["name"] != name:
            raise TargetGone(f"the NodeClaim {name} of {instance_id} is gone")
        if not claim["metadata"].get("deletionTimestamp"):
            path = group_path(_GROUP, _VERSION, _PLURAL, name=name)
            self._kubernetes.delete(path, uid=claim["metadata"]["uid"])


class RegisteredNodeKind:
    """The object of a node whose machine has ended: Kubernetes keeps it until somebody takes it away."""

    undoable = False

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """True while it stands."""
        node = self._live(ref)
        return {REGISTERED: True if node is not None else None}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Delete it by its uid. Its pods, held ones too, go with it."""
        node = self._live(ref)
        if node is not None and not node["metadata"].get("deletionTimestamp"):
            self._kubernetes.delete(object_path("Node", "", ref.name), uid=node["metadata"]["uid"])

    def _live(self, ref: ResourceRef) -> JsonObject | None:
        return live_node(self._kubernetes, Target(kind=TargetKind.NODE, name=ref.name, uid=ref.uid))


register("RunningMachine", RunningMachineKind)
register("RegisteredNode", RegisteredNodeKind)
