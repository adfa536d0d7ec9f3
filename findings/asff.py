"""Reading a GuardDuty finding that came through Security Hub, in the AWS Security Finding Format (ASFF).

Security Hub keeps GuardDuty's members under flat keys, with every leaf a string: ``ProductFields`` holds
``aws/guardduty/service/action/…`` and ``Resources[].Details.Other`` holds ``kubernetesDetails/…``; the n-th item of a
list is ``key.n_``. Both are unfolded, and then read like GuardDuty's own shape.

Source: https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format-syntax.html
"""

from __future__ import annotations

import re
from typing import Any, Final

from errors import InputError
from findings.guardduty import build, read_service, read_severity, required
from findings.model import AccessKey, Cluster, Container, Finding, FindingSource
from findings.sections import read_sample, read_user, read_workload
from findings.text import ACCOUNT, FINDING_ID, IDENTITY, LONG, NAME, REGION, Text, describe
from findings.wire import Node

_PREFIX: Final = "aws/guardduty/"
_ITEM: Final = re.compile(r"(?P<name>[^/]+)\.(?P<index>\d{1,3})_")
_DEEPEST: Final = 16
_RESOURCE_TYPES: Final = {
    "AwsEksCluster": "EKSCluster",
    "AwsEc2Instance": "Instance",
    "Container": "Container",
    "AwsIamAccessKey": "AccessKey",
}


def is_asff(value: dict[str, object]) -> bool:
    """Whether an object is an ASFF finding, of whichever product."""
    return any(key in value for key in ("ProductArn", "AwsAccountId", "ProductFields"))


def read_asff(node: Node, source: FindingSource) -> Finding:
    """Read one ASFF finding.

    Raises:
        InputError: It is of another product, or a member is missing, of the wrong type or not valid.
    """
    _require_guardduty(node)
    identity = _read_identity(node)
    service = _unfold(node, "ProductFields", _PREFIX).child("service")
    resources = node.children("resources")
    eks = next((r for r in resources if r.text("type") == "AwsEksCluster"), Node({}, node.at("resources")))
    kubernetes = _unfold(eks.child("details"), "other", "").child("kubernetesDetails")
    written = {_RESOURCE_TYPES.get(r.text("type"), "") for r in resources}
    sections = read_service(service)
    title = node.text("title")
    sample = node.flag("sample") or read_sample(service.child("additionalInfo")) or title.startswith("[SAMPLE]")
    # Security Hub's own record outlives an archived finding, so either mark counts.
    sections["archived"] = sections["archived"] or node.text("recordState") == "ARCHIVED"
    sections["first_seen"] = sections["first_seen"] or node.time("firstObservedAt")
    sections["last_seen"] = sections["last_seen"] or node.time("lastObservedAt")
    return build(
        node,
        **identity,
        title=title,
        description=node.text("description", LONG),
        created_at=node.time("createdAt"),
        updated_at=node.time("updatedAt"),
        sample=sample,
        resource_type=next((t for t in _RESOURCE_TYPES.values() if t in written), ""),
        cluster=_cluster(eks),
        user=read_user(kubernetes.child("kubernetesUserDetails")),
        workload=read_workload(kubernetes.child("kubernetesWorkloadDetails")),
        access_key=_access_key(resources),
        instance_id=_instance_id(resources),
        containers=tuple(_container(r) for r in resources if r.text("type") == "Container"),
        source=source,
        **sections,
    )


def _require_guardduty(node: Node) -> None:
    """Security Hub carries many products; the product's ARN decides, its display name only where there is no ARN."""
    arn, name = node.text("productArn"), node.text("productName")
    if arn and not arn.endswith(":product/aws/guardduty"):
        raise InputError(node.at("productArn"), "the product aws/guardduty", describe(arn))
    if not arn and name != "GuardDuty":
        raise InputError(node.at("productName"), "GuardDuty", describe(name or None))


def _read_identity(node: Node) -> dict[str, Any]:
    arn = required(node, "id", Text(1024, "the ARN of a GuardDuty finding", str.isprintable))
    finding_id = arn.rpartition("/")[2]
    if not FINDING_ID.obeyed(finding_id):
        raise InputError(node.at("id"), "the ARN of a GuardDuty finding, ending in its id", describe(arn))
    parts = arn.split(":")
    return {
        "id": finding_id,
        "type": _finding_type(node),
        "severity": _severity(node.child("severity")),
        "account": required(node, "awsAccountId", ACCOUNT),
        "region": _region_of(node, parts),
        "partition": parts[1] if len(parts) > 5 and parts[1] else "aws",
        "arn": arn,
    }


def _severity(node: Node) -> float:
    """GuardDuty's own number, else a tenth of Security Hub's, whose scale goes to 100.

    https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Severity.html
    """
    normalized = node.number("normalized")
    if node.number("product") is not None or normalized is None:
        return read_severity(node, "product")
    if not 0.0 <= normalized <= 100.0:
        raise InputError(node.at("normalized"), "a severity from 0 to 100", describe(normalized))
    return normalized / 10


def _region_of(node: Node, arn: list[str]) -> str:
    """The finding's own region, else the one in its ARN, because the member came late to ASFF."""
    if region := node.text("region", REGION):
        return region
    if len(arn) > 5 and REGION.obeyed(arn[3]):
        return arn[3]
    return required(node, "region", REGION)


def _finding_type(node: Node) -> str:
    """``TTPs/Discovery/Discovery:Kubernetes-MaliciousIPCaller`` is ``Discovery:Kubernetes/MaliciousIPCaller``."""
    types = node.texts("types") or node.child("findingProviderFields").texts("types")
    if not types:
        raise InputError(node.at("types"), "a list with the finding type", "nothing")
    purpose, colon, rest = types[0].rpartition("/")[2].partition(":")
    return f"{purpose}{colon}{rest.replace('-', '/', 1)}"


def _cluster(eks: Node) -> Cluster | None:
    if not eks:
        return None
    details = eks.child("details").child("awsEksCluster")
    arn = details.text("arn") or eks.text("id")
    last = arn.rpartition("/")[2]
    name = details.text("name", NAME) or (last if NAME.obeyed(last) else "")
    return Cluster(name=name, arn=arn, vpc_id=details.child("resourcesVpcConfig").text("vpcId"))


def _access_key(resources: list[Node]) -> AccessKey | None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/asff-resourcedetails-awsiam.html ."""
    for resource in resources:
        if resource.text("type") == "AwsIamAccessKey":
            details = resource.child("details").child("awsIamAccessKey")
            return AccessKey(
                access_key_id=details.text("accessKeyId", NAME) or resource.text("id").rpartition(":")[2],
                principal_id=details.text("principalId", IDENTITY),
                user_name=details.text("principalName", IDENTITY) or details.text("userName", IDENTITY),
                user_type=details.text("principalType"),
            )
    return None


def _instance_id(resources: list[Node]) -> str:
    arns = (r.text("id").rpartition("/")[2] for r in resources if r.text("type") == "AwsEc2Instance")
    return next((i for i in arns if NAME.obeyed(i)), "")


def _container(resource: Node) -> Container:
    details = resource.child("details").child("container")
    return Container(
        name=details.text("name"),
        image=details.text("imageName"),
        id=resource.text("id"),
        runtime=details.text("containerRuntime"),
        privileged=details.flag("privileged"),
    )


def _unfold(node: Node, name: str, prefix: str) -> Node:
    """The tree that flat keys stand for; keys of other products, and keys too deep to be true, are left out."""
    flat = node.child(name)
    tree: dict[str, object] = {}
    for key, value in flat.value.items():
        segments = key.removeprefix(prefix).split("/")
        if key.startswith(prefix) and len(segments) <= _DEEPEST:
            _put(tree, segments, value)
    path = flat.path + (f".{prefix.rstrip('/')}" if prefix else "")
    unfolded = _listed(tree)
    return Node(unfolded if isinstance(unfolded, dict) else {}, path, node.warnings, flat=True)


def _put(tree: dict[str, object], segments: list[str], value: object) -> None:
    """Store a leaf; the items of a list are kept in an ``_Items`` until all of them are known."""
    for segment in segments[:-1]:
        holder, key = _slot(tree, segment)
        inner = holder.get(key)
        if isinstance(inner, _Items):
            # The same key as a list and as an object: the list stands.
            return
        # An empty leaf ("kubernetesWorkloadDetails": "") gives way to members under the same name.
        if not isinstance(inner, dict):
            inner = {}
            holder[key] = inner
        tree = inner
    holder, key = _slot(tree, segments[-1])
    if not isinstance(holder.get(key), dict):
        holder[key] = value


class _Items(dict[Any, object]):
    """The items of a list by their number."""


def _slot(tree: dict[Any, object], segment: str) -> tuple[dict[Any, object], Any]:
    match = _ITEM.fullmatch(segment)
    if match is None:
        return tree, segment
    items = tree.get(match["name"])
    if not isinstance(items, _Items):
        items = _Items()
        tree[match["name"]] = items
    return items, int(match["index"])


def _listed(value: object) -> object:
    if isinstance(value, _Items):
        return [_listed(value[number]) for number in sorted(value)]
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return value
