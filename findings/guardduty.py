"""Reading a finding in GuardDuty's own shape, in either spelling.

What must be right is what an incident is known by and judged by: id, type, severity, account and region. A time that
is no time, or an account that is not 12 digits, is kept as a warning on the finding. Every other member may be absent,
but must have its type and a name that can be true (text.py).
"""

from __future__ import annotations

import re
from typing import Any, Final

from errors import InputError
from findings.model import Cluster, Finding, FindingSource, Sequence
from findings.sections import (
    read_access_key,
    read_api_call,
    read_cluster,
    read_container,
    read_permission,
    read_process,
    read_remote_ips,
    read_role,
    read_role_binding,
    read_sample,
    read_threats,
    read_user,
    read_workload,
)
from findings.sequences import read_sequence
from findings.text import ACCOUNT, FINDING_ID, LONG, NAME, REGION, TYPE, Text, describe
from findings.wire import Node

_ARN: Final = re.compile(r"arn:[a-z-]+:(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):(?P<account>\d*):.*", re.DOTALL)
MAX_WARNINGS: Final = 50
_ACTIONS: Final = ("kubernetesApiCallAction", "networkConnectionAction", "awsApiCallAction")


def read_guardduty(node: Node, source: FindingSource, envelope: Node | None = None) -> Finding:
    """Read one finding.

    Args:
        node: The finding.
        source: The shape it came in.
        envelope: The EventBridge event around it, whose account and region stand in where the finding has none.

    Raises:
        InputError: A member is missing, of the wrong type or not valid; ``field`` is its path.
    """
    identity = {
        "id": required(node, "id", FINDING_ID),
        "type": required(node, "type", TYPE),
        "severity": read_severity(node, "severity"),
    }
    arn = node.text("arn")
    written = _ARN.fullmatch(arn)
    if written is not None and written["service"] != "guardduty":
        raise InputError(node.at("arn"), "the ARN of a GuardDuty finding", describe(arn))
    resource, service = node.child("resource"), node.child("service")
    sample = read_sample(service.child("additionalInfo")) or read_sample(node.child("additionalInfo"))
    title = node.text("title")
    sections = read_service(service)
    return build(
        node,
        **identity,
        account=_place(node, "accountId", ACCOUNT, envelope, "account", written["account"] if written else ""),
        region=_place(node, "region", REGION, envelope, "region", written["region"] if written else ""),
        partition=node.text("partition") or "aws",
        arn=arn,
        title=title,
        description=node.text("description", LONG),
        created_at=node.time("createdAt"),
        updated_at=node.time("updatedAt"),
        attack_sequence_arn=node.text("associatedAttackSequenceArn"),
        # GuardDuty titles its samples so, whatever the annex says.
        # https://docs.aws.amazon.com/guardduty/latest/ug/sample_findings.html
        sample=sample or title.startswith("[SAMPLE]"),
        source=source,
        **_read_resource(resource, sections["sequence"]),
        **sections,
    )


def required(node: Node, name: str, rule: Text) -> str:
    """A text that must be there.

    Raises:
        InputError: It is absent or not valid.
    """
    text = node.text(name, rule)
    if not text:
        raise InputError(node.at(name), rule.expected, "nothing")
    return text


def read_severity(node: Node, name: str) -> float:
    """A severity from 0.0 to 10.0.

    Raises:
        InputError: It is absent, no number, or outside of the range.
    """
    severity = node.number(name)
    if severity is None or not 0.0 <= severity <= 10.0:
        raise InputError(node.at(name), "a severity from 0 to 10", describe(severity))
    return severity


def read_service(service: Node) -> dict[str, Any]:
    """The fields of ``Finding`` that ``service`` holds, under their names in the model."""
    action = service.child("action")
    count = service.integer("count")
    remote = [ip for name in _ACTIONS for ip in read_remote_ips(action.child(name))]
    call = read_api_call(action.child("kubernetesApiCallAction"))
    return {
        "detector_id": service.text("detectorId"),
        "first_seen": service.time("eventFirstSeen"),
        "last_seen": service.time("eventLastSeen"),
        "count": count if count is not None and count > 0 else 1,
        "archived": service.flag("archived") or False,
        "feature": service.text("featureName"),
        "action_type": action.text("actionType"),
        "api_call": call,
        "permission_checked": read_permission(action.child("kubernetesPermissionCheckedDetails")),
        "role_binding": read_role_binding(action.child("kubernetesRoleBindingDetails")),
        "role": read_role(action.child("kubernetesRoleDetails")),
        "process": read_process(service.child("runtimeDetails").child("process")),
        "remote_ips": tuple(dict.fromkeys([*remote, *(call.source_ips if call else ())])),
        "domain": action.child("dnsRequestAction").text("domain"),
        "sequence": read_sequence(service.child("detection").child("sequence")),
        "threats": read_threats(service),
    }


def build(node: Node, **fields: Any) -> Finding:
    """Make the finding, with a warning for an identity that AWS itself would not write."""
    if not re.fullmatch(r"\d{12}", fields["account"]):
        member = "awsAccountId" if "AwsAccountId" in node.value else "accountId"
        node.warn(member, f"not 12 digits: {describe(fields['account'])}")
    if not re.fullmatch(r"[a-z]{2,3}(-[a-z]+){1,3}-\d{1,2}", fields["region"]):
        node.warn("region", f"no region of AWS: {describe(fields['region'])}")
    return Finding(**fields, warnings=tuple(node.warnings[:MAX_WARNINGS]))


def _read_resource(resource: Node, sequence: Sequence | None) -> dict[str, Any]:
    kubernetes = resource.child("kubernetesDetails")
    return {
        "resource_type": resource.text("resourceType"),
        "cluster": read_cluster(resource.child("eksClusterDetails")) or _cluster_of(sequence),
        "user": read_user(kubernetes.child("kubernetesUserDetails")),
        "workload": read_workload(kubernetes.child("kubernetesWorkloadDetails")),
        "access_key": read_access_key(resource.child("accessKeyDetails")),
        "instance_id": resource.child("instanceDetails").text("instanceId", NAME),
        "containers": tuple(read_container(c) for c in resource.children("containerDetails")),
    }


def _cluster_of(sequence: Sequence | None) -> Cluster | None:
    """The cluster of an attack sequence, which need not stand in ``resource``."""
    clusters = sequence.resources_of("EKS_CLUSTER") if sequence else ()
    if not clusters:
        return None
    arn = clusters[0].arn or clusters[0].uid
    last = arn.rpartition("/")[2]
    return Cluster(name=clusters[0].name or (last if NAME.obeyed(last) else ""), arn=arn, vpc_id=clusters[0].vpc_id)


def _place(node: Node, name: str, rule: Text, envelope: Node | None, outer: str, in_arn: str) -> str:
    """The finding's own word, else its ARN's, else the event's."""
    if text := node.text(name, rule):
        return text
    if in_arn and rule.obeyed(in_arn):
        return in_arn
    if envelope is not None and (text := envelope.text(outer, rule)):
        return text
    return required(node, name, rule)
