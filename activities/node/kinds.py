"""How machines are read and changed: kinds of the change engine beside the objects of Kubernetes.

================  ====================  ============================================================================
kind              named by              fields
================  ====================  ============================================================================
Instance          instance id           `/DisableApiTermination`, `/Tags/<key>`
ScalingInstance   group, instance id    `/ProtectedFromScaleIn`
NetworkInterface  interface id          `/Groups`: ids of security groups, or the names of our own
InstanceProfile   instance id           `/Arn` of the profile that the instance carries
RunningMachine    node, with instance   `/State`: it can only end, and nothing brings it back
================  ====================  ============================================================================

A terminated instance reads as gone, so that what was changed of it counts as undone.
"""

from __future__ import annotations

from typing import Any, Final

from activities.changes.kinds import Values, register
from activities.doors import Doors
from activities.node.groups import ISOLATION_GROUP, UNTRACKED_GROUP, Groups
from activities.node.machine import ENDING, tags_of
from clients.kubernetes import JsonObject
from contracts.changes import pointer_parts
from errors import Conflict, FirebreakError, InputError, TargetGone
from plans.model import ResourceRef

PROTECTED: Final = "/DisableApiTermination"
SCALE_IN: Final = "/ProtectedFromScaleIn"
GROUPS: Final = "/Groups"
PROFILE: Final = "/Arn"
_TAG: Final = "/Tags/"


class InstanceKind:
    """Protection and tags of an instance."""

    undoable = True

    def __init__(self, doors: Doors) -> None:
        self._ec2 = doors.aws.ec2

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The fields of the instance."""
        instance = living(self._ec2.instance(ref.name))
        tags = tags_of(instance)
        found: dict[str, Any] = {}
        for field in fields:
            if field == PROTECTED:
                found[field] = self._ec2.termination_protected(ref.name)
            else:
                found[field] = tags.get(_tag(field))
        return found

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """One call a field; EC2 takes no conditions."""
        for field, value in new.items():
            if field == PROTECTED:
                self._ec2.protect_from_termination(ref.name, bool(value))
            else:
                self._ec2.tag(ref.name, _tag(field), value)


class ScalingInstanceKind:
    """Protection from scale-in."""

    undoable = True

    def __init__(self, doors: Doors) -> None:
        self._scaling = doors.aws.autoscaling

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The protection; an instance that left its group is gone."""
        instance = self._scaling.instance(ref.name)
        if instance is None or instance["AutoScalingGroupName"] != ref.namespace:
            raise TargetGone(f"{ref}: the instance is not in this group any more")
        return {SCALE_IN: bool(instance["ProtectedFromScaleIn"])}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Switch it."""
        self._scaling.protect_from_scale_in(ref.namespace, ref.name, bool(new[SCALE_IN]))


class NetworkInterfaceKind:
    """The security groups of one interface. Our own go by their names, because they may not exist yet."""

    undoable = True

    def __init__(self, doors: Doors) -> None:
        self._ec2 = doors.aws.ec2
        self._groups = Groups(doors)

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The groups, sorted."""
        interface = self._ec2.interface(ref.name)
        attached = (interface.get("Attachment") or {}).get("InstanceId")
        if attached:
            living(self._ec2.instance(attached))
        return {GROUPS: groups_of(interface)}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Isolate in two steps, or give the old groups back.

        A change of groups leaves tracked connections alive. Under a group that allows everything they are not tracked
        any more, and so the empty one cuts them.
        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html
        """
        wanted: list[str] = list(new[GROUPS] or ())
        if wanted != [ISOLATION_GROUP]:
            self._ec2.set_groups(ref.name, wanted)
            return
        vpc = str(self._ec2.interface(ref.name)["VpcId"])
        untracked, empty = self._groups.untracked(vpc), self._groups.isolation(vpc)
        self._ec2.set_groups(ref.name, [untracked])
        try:
            self._ec2.set_groups(ref.name, [empty])
        except FirebreakError:
            # Nothing may stay open to everything because the second step was refused.
            if not self.ours(now[GROUPS]):
                self._ec2.set_groups(ref.name, list(now[GROUPS]))
            raise

    def covers(self, now: Any, wanted: Any) -> bool:
        """Nothing but the group itself will do."""
        return bool(now == wanted)

    def ours(self, now: Any) -> bool:
        """Whether an attempt that was killed between the two steps, or any other of ours, left it so."""
        return now in ([ISOLATION_GROUP], [UNTRACKED_GROUP])


class InstanceProfileKind:
    """The profile, and so the role, that an instance carries."""

    undoable = True

    def __init__(self, doors: Doors) -> None:
        self._ec2 = doors.aws.ec2

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The ARN of the profile, or None."""
        living(self._ec2.instance(ref.name))
        association = self._ec2.profile(ref.name)
        return {PROFILE: None if association is None else association["IamInstanceProfile"]["Arn"]}

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Take the profile away, or give it back to an instance that has none."""
        association = self._ec2.profile(ref.name)
        held = None if association is None else association["IamInstanceProfile"]["Arn"]
        if held != now[PROFILE]:
            raise Conflict(f"{ref}: the profile changed between two reads")
        if association is not None:
            self._ec2.take_profile(association["AssociationId"])
        if new[PROFILE]:
            self._ec2.give_profile(ref.name, str(new[PROFILE]))


def living(instance: JsonObject) -> JsonObject:
    """The instance, unless it is at its end.

    Raises:
        TargetGone: It is.
    """
    state = (instance.get("State") or {}).get("Name")
    if state in ENDING:
        raise TargetGone(f"the instance {instance.get('InstanceId')} is {state}")
    return instance


def groups_of(interface: JsonObject) -> list[str]:
    """The security groups of an interface by id, our own by their names."""
    found = interface.get("Groups") or ()
    ours = (ISOLATION_GROUP, UNTRACKED_GROUP)
    return sorted(str(g["GroupName"] if g.get("GroupName") in ours else g["GroupId"]) for g in found)


def _tag(field: str) -> str:
    if not field.startswith(_TAG):
        raise InputError("field", f"{PROTECTED} or {_TAG}<key>", field)
    return pointer_parts(field)[-1]


register("Instance", InstanceKind)
register("ScalingInstance", ScalingInstanceKind)
register("NetworkInterface", NetworkInterfaceKind)
register("InstanceProfile", InstanceProfileKind)
