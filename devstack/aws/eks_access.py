"""Access entries and the access policies that are associated with them.

Source: https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from devstack.aws.eks_clusters import Clusters, in_use, invalid, missing, page, refused
from devstack.aws.registry import Call, Handler

_POLICY_ARN: Final = "arn:aws:eks::aws:cluster-access-policy/"
_POLICIES: Final = ("AmazonEKSAdminPolicy", "AmazonEKSClusterAdminPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy")
_TYPES: Final = ("STANDARD", "EC2", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX", "HYPERPOD_LINUX")
_PRINCIPAL: Final = re.compile(r"arn:aws:iam::(\d{12}):(user|role)/(?:[\w+=,.@/-]+/)?([\w+=,.@-]+)")
_RESERVED: Final = ("system:", "eks:", "aws:", "amazon:", "iam:")


class AccessEntries:
    """The entries of every cluster, by principal."""

    def __init__(self) -> None:
        self.clusters = Clusters()

    def handlers(self) -> Mapping[str, Handler]:
        """By operation."""
        return {
            "ListAccessEntries": self._list,
            "DescribeAccessEntry": lambda call: {"accessEntry": _shown(self._entry(call))},
            "CreateAccessEntry": self._create,
            "UpdateAccessEntry": self._update,
            "DeleteAccessEntry": self._delete,
            "ListAssociatedAccessPolicies": self._associated,
            "AssociateAccessPolicy": self._associate,
            "DisassociateAccessPolicy": self._disassociate,
            "ListAccessPolicies": _list_policies,
        }

    def _list(self, call: Call) -> dict[str, Any]:
        policy = call.parameters.get("associatedPolicyArn")
        entries = self.clusters.of(call)
        names = [arn for arn, entry in entries.items() if policy is None or policy in entry["policies"]]
        shown, more = page(call, names)
        return {"accessEntries": shown, **more}

    def _create(self, call: Call) -> dict[str, Any]:
        asked, entries = call.parameters, self.clusters.of(call)
        arn, kind = asked["principalArn"], asked.get("type", "STANDARD")
        match = _PRINCIPAL.fullmatch(arn)
        if match is None or "/aws-service-role/" in arn:
            raise invalid("The specified principalArn is invalid: invalid principal.")
        if kind not in _TYPES:
            raise invalid("The specified type is invalid.")
        if arn in entries:
            raise in_use("The specified access entry resource is already in use on this cluster.")
        if kind != "STANDARD" and (asked.get("kubernetesGroups") or asked.get("username")):
            raise invalid(f"The type {kind} takes neither kubernetesGroups nor username.")
        now, where = datetime.now(UTC), f"arn:aws:eks:{call.region}:{call.account}:access-entry"
        entries[arn] = {
            "clusterName": asked["clusterName"],
            "principalArn": arn,
            "kubernetesGroups": _groups(asked.get("kubernetesGroups", [])) if kind == "STANDARD" else ["system:nodes"],
            "accessEntryArn": f"{where}/{asked['clusterName']}/{match[2]}/{match[1]}/{match[3]}/{uuid.uuid4()}",
            "createdAt": now,
            "modifiedAt": now,
            "tags": dict(asked.get("tags", {})),
            "username": _username(asked.get("username", "")) or _default_username(match, kind),
            "type": kind,
            "policies": {},
        }
        return {"accessEntry": _shown(entries[arn])}

    def _update(self, call: Call) -> dict[str, Any]:
        entry, asked = self._entry(call), call.parameters
        _check_standard(entry, "updated")
        if (groups := asked.get("kubernetesGroups")) is not None:
            entry["kubernetesGroups"] = _groups(groups)
        if username := asked.get("username"):
            entry["username"] = _username(username)
        entry["modifiedAt"] = datetime.now(UTC)
        return {"accessEntry": _shown(entry)}

    def _delete(self, call: Call) -> dict[str, Any]:
        entry = self._entry(call)
        # Of any type: that nodes cannot join any more is the caller's affair.
        del self.clusters.of(call)[entry["principalArn"]]
        return {}

    def _associated(self, call: Call) -> dict[str, Any]:
        entry = self._entry(call)
        shown, more = page(call, list(entry["policies"].values()))
        return {
            "clusterName": entry["clusterName"],
            "principalArn": entry["principalArn"],
            "associatedAccessPolicies": shown,
            **more,
        }

    def _associate(self, call: Call) -> dict[str, Any]:
        entry, asked = self._entry(call), call.parameters
        _check_standard(entry, "given a policy")
        arn, scope = asked["policyArn"], dict(asked["accessScope"])
        if arn.removeprefix(_POLICY_ARN) not in _POLICIES:
            raise invalid("The specified policyArn is invalid: invalid policy.")
        if (scope.get("type") == "namespace") != bool(scope.get("namespaces")):
            raise invalid("The accessScope is invalid.")
        now = datetime.now(UTC)
        old = entry["policies"].get(arn, {"associatedAt": now})
        entry["policies"][arn] = {**old, "policyArn": arn, "accessScope": scope, "modifiedAt": now}
        return {
            "clusterName": entry["clusterName"],
            "principalArn": entry["principalArn"],
            "associatedAccessPolicy": entry["policies"][arn],
        }

    def _disassociate(self, call: Call) -> dict[str, Any]:
        entry, arn = self._entry(call), call.parameters["policyArn"]
        if arn not in entry["policies"]:
            raise missing("The specified policyArn is not associated with the access entry.")
        del entry["policies"][arn]
        return {}

    def _entry(self, call: Call) -> dict[str, Any]:
        found: dict[str, Any] | None = self.clusters.of(call).get(call.parameters["principalArn"])
        if found is None:
            raise missing("The specified principalArn could not be found.")
        return found


def _list_policies(call: Call) -> dict[str, Any]:
    shown, more = page(call, [{"name": name, "arn": f"{_POLICY_ARN}{name}"} for name in _POLICIES])
    return {"accessPolicies": shown, **more}


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "policies"}


def _check_standard(entry: Mapping[str, Any], what: str) -> None:
    if entry["type"] != "STANDARD":
        raise refused(f"An access entry of type {entry['type']} cannot be {what}.")


def _groups(groups: list[str]) -> list[str]:
    for group in groups:
        if group.startswith(_RESERVED):
            raise invalid(f"The kubernetes group name {group} is invalid, it cannot start with a reserved prefix.")
    return list(groups)


def _username(username: str) -> str:
    if username.startswith(_RESERVED):
        raise invalid(f"The username {username} is invalid, it cannot start with a reserved prefix.")
    if "{{SessionName" in username and ":" not in username.partition("{{SessionName")[0]:
        raise invalid(f"The username {username} is invalid, it must have a colon before the session name.")
    return username


def _default_username(match: re.Match[str], kind: str) -> str:
    """What EKS makes of a principal when nobody says how it shall be called."""
    if kind != "STANDARD":
        return "system:node:{{EC2PrivateDNSName}}" if kind != "FARGATE_LINUX" else "system:node:{{SessionName}}"
    if match[2] == "user":
        return match[0]
    return f"arn:aws:sts::{match[1]}:assumed-role/{match[3]}/{{{{SessionName}}}}"
