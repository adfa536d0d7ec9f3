"""The two security groups by which a machine is cut off: made once in a VPC, checked each time they are used.

Source: https://docs.aws.amazon.com/eks/latest/best-practices/incident-response-and-forensics.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html
"""

from __future__ import annotations

from typing import Any, Final

from activities.doors import Doors
from activities.node.machine import tags_of
from clients.kubernetes import JsonObject
from errors import PolicyRefusal

ISOLATION_GROUP: Final = "firebreak-isolation"
"""Without any rule: nothing comes in, nothing goes out."""
UNTRACKED_GROUP: Final = "firebreak-untracked"
"""Allows everything for a moment, so that no connection is tracked; see `kinds.NetworkInterfaceKind`."""
_TAG: Final = "firebreak.dev:managed"
_EVERYTHING: Final[list[JsonObject]] = [
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
]


class Groups:
    """Our groups in the VPCs of one account."""

    def __init__(self, doors: Doors) -> None:
        self._ec2 = doors.aws.ec2

    def isolation(self, vpc_id: str) -> str:
        """The group without rules; rules that somebody gave it are taken away. Returns its id.

        Raises:
            PolicyRefusal: A group of that name is not ours.
        """
        group = self._ours(vpc_id, ISOLATION_GROUP, "No traffic: attached by Firebreak to what it isolates.")
        self._ec2.revoke(group["GroupId"], ingress=_rules(group, "IpPermissions"), egress=_rules(group, _OUT))
        return str(group["GroupId"])

    def untracked(self, vpc_id: str) -> str:
        """The group that allows everything in both directions. Returns its id."""
        group = self._ours(vpc_id, UNTRACKED_GROUP, "Attached by Firebreak for a moment, to end tracked connections.")
        inward = [] if _allows_all(group, "IpPermissions") else _EVERYTHING
        self._ec2.allow(group["GroupId"], ingress=inward)
        if not _allows_all(group, _OUT):
            self._ec2.revoke(group["GroupId"], egress=_rules(group, _OUT))
            self._ec2.allow(group["GroupId"], egress=_EVERYTHING)
        return str(group["GroupId"])

    def is_empty(self, group_id: str) -> bool:
        """Whether a group is without any rule, read now."""
        return all(not _rules(g, "IpPermissions") and not _rules(g, _OUT) for g in self._ec2.groups([group_id]))

    def _ours(self, vpc_id: str, name: str, description: str) -> JsonObject:
        found = self._ec2.group_named(vpc_id, name)
        if found is None:
            self._ec2.create_group(vpc_id, name, description, {_TAG: "true"})
            found = self._ec2.group_named(vpc_id, name) or {}
        if _TAG not in tags_of(found):
            raise PolicyRefusal(f"the security group {name} in {vpc_id} was not made by Firebreak, so it is not used")
        return found


_OUT: Final = "IpPermissionsEgress"


def _rules(group: JsonObject, direction: str) -> list[JsonObject]:
    """Rules as EC2 takes them back: what it describes of them beside is left out."""
    kept: list[JsonObject] = []
    for rule in group.get(direction) or ():
        one: dict[str, Any] = {k: v for k, v in rule.items() if v not in ([], None)}
        kept.append(one)
    return kept


def _allows_all(group: JsonObject, direction: str) -> bool:
    rules = [r for r in group.get(direction) or () if r.get("IpProtocol") == "-1"]
    four = any(i.get("CidrIp") == "0.0.0.0/0" for r in rules for i in r.get("IpRanges") or ())
    six = any(i.get("CidrIpv6") == "::/0" for r in rules for i in r.get("Ipv6Ranges") or ())
    return four and six
