"""A node and the machine behind it, as both are now.

Nothing is done to an instance that does not carry the tag of the cluster, whatever a node's object says of it: whoever
registers a node writes its providerID.
Source: https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from activities.assess.nodes import instance_of, manager_of
from activities.doors import Doors
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import object_path
from errors import Forbidden, InputError, TargetGone
from plans.model import ResourceRef, Target
from plans.observed import NodeManager
from plans.situation import words

ENDING: Final = ("shutting-down", "terminated")
_CLUSTER_TAGS: Final = ("eks:cluster-name", "eks:eks-cluster-name", "aws:eks:cluster-name")
_THEIRS: Final = {
    NodeManager.AUTO: "EKS Auto Mode runs the machine of {name}, and EC2 refuses changes of it to anybody else.",
    NodeManager.FARGATE: "{name} is a pod's machine on Fargate, which nobody but AWS can reach.",
}


class Machine(NamedTuple):
    """One node.

    Attributes:
        target: As the plan names it.
        node: The live object; None when it is gone, or another one stands under its name.
        instance_id: The instance behind it, or empty.
        instance: As EC2 describes it; None when EC2 does not know it, or it is not looked at.
        manager: Who runs the machine.
        closed: One sentence: why nothing is done to the machine itself; empty where it can be.
        denied: Whether that is because EC2 refuses to tell of it, which somebody can change.
    """

    target: Target
    node: JsonObject | None
    instance_id: str
    instance: JsonObject | None
    manager: NodeManager
    closed: str = ""
    denied: bool = False

    @property
    def name(self) -> str:
        """The node's name, fit for a sentence."""
        return words(self.target.name)

    @property
    def ref(self) -> ResourceRef:
        """The node as a resource."""
        return ResourceRef(kind="Node", name=self.target.name, uid=self.target.uid)

    @property
    def state(self) -> str:
        """What EC2 calls the state of the instance; `terminated` also when EC2 has forgotten it."""
        if self.instance is None:
            return "" if self.closed else "terminated"
        return str((self.instance.get("State") or {}).get("Name") or "")

    @property
    def ended(self) -> bool:
        """Whether the machine runs no more, as far as EC2 was asked."""
        return self.state in ENDING

    @property
    def spot(self) -> bool:
        """Whether it is a Spot instance."""
        return (self.instance or {}).get("InstanceLifecycle") == "spot"

    @property
    def tags(self) -> dict[str, str]:
        """Of the instance."""
        return tags_of(self.instance or {})


def look(doors: Doors, target: Target) -> Machine:
    """Read a node and its instance.

    Raises:
        Forbidden: Our identity may not read nodes.
        Throttled, Unavailable: Kubernetes or EC2 does not answer.
    """
    node = live_node(doors.kubernetes, target)
    manager = manager_of(node) if node is not None else NodeManager.EC2
    instance_id = instance_of(node) if node is not None else ""
    if not instance_id and target.owner is not None and target.owner.kind == "Instance":
        instance_id = target.owner.name
    found = Machine(target, node, instance_id, None, manager)
    if manager in _THEIRS:
        return found._replace(closed=_THEIRS[manager].format(name=found.name))
    if not instance_id:
        return found._replace(closed=f"No EC2 instance is known behind the node {found.name}.")
    try:
        instance = doors.aws.ec2.instance(instance_id)
    except TargetGone:
        return found
    except (Forbidden, InputError) as error:
        # What concerns the node's object can be done all the same.
        return found._replace(closed=f"The instance {instance_id} could not be read: {error.message}", denied=True)
    if (instance.get("Operator") or {}).get("Managed"):
        return found._replace(closed=_THEIRS[NodeManager.AUTO].format(name=found.name))
    if not _is_of(instance, doors.settings.cluster):
        closed = f"The instance {instance_id} has no tag of the cluster, so Firebreak leaves it alone."
        return found._replace(instance=None, closed=closed)
    return found._replace(instance=instance)


def look_at_all(doors: Doors, targets: Sequence[Target]) -> list[Machine]:
    """The nodes of a step, in the order of the plan."""
    return [look(doors, t) for t in targets]


def live_node(kubernetes: Kubernetes, target: Target) -> JsonObject | None:
    """The node's object, or None when it is gone or another one stands under its name."""
    try:
        node = kubernetes.get(object_path("Node", "", target.name))
    except TargetGone:
        return None
    return node if not target.uid or node["metadata"]["uid"] == target.uid else None


def tags_of(resource: JsonObject) -> dict[str, str]:
    """Tags of something in EC2."""
    return {str(t.get("Key")): str(t.get("Value")) for t in resource.get("Tags") or ()}


def _is_of(instance: JsonObject, cluster: str) -> bool:
    tags = tags_of(instance)
    return f"kubernetes.io/cluster/{cluster}" in tags or any(tags.get(k) == cluster for k in _CLUSTER_TAGS)
