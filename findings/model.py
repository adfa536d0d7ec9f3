"""A GuardDuty finding, whatever shape it came in.

Every field but the finding's identity is optional in the GuardDuty API, so an absent text is "", an absent object is
None and an absent list is (). Nothing here is trusted: names and texts were partly written by an attacker.

Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_Finding.html
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from findings.base import Frozen
from findings.sequence import Sequence, SequenceActor, SequenceResource, SequenceSignal
from findings.workload import (
    SENSITIVE_HOST_PATHS,
    Container,
    SensitiveMount,
    Volume,
    VolumeMount,
    Workload,
    WorkloadKind,
    is_sensitive_host_path,
)

__all__ = [
    "SENSITIVE_HOST_PATHS",
    "AccessKey",
    "ApiCall",
    "Cluster",
    "Container",
    "Finding",
    "FindingSource",
    "ImpersonatedUser",
    "KubernetesUser",
    "PermissionCheck",
    "Process",
    "Role",
    "RoleBinding",
    "SensitiveMount",
    "Sequence",
    "SequenceActor",
    "SequenceResource",
    "SequenceSignal",
    "SeverityBand",
    "Volume",
    "VolumeMount",
    "Workload",
    "WorkloadKind",
    "is_sensitive_host_path",
]

# The three become parts of a workflow id, an object key and a label value: nothing that separates or climbs a path.
FindingId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,299}$")]
Account = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
Region = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class FindingSource(StrEnum):
    """The shape in which a finding arrived. None proves where it came from: only GetFindings asked by us does."""

    EVENTBRIDGE = "eventbridge"
    DETAIL = "detail"
    GET_FINDINGS = "get-findings"
    ASFF = "asff"
    SECURITY_HUB_EVENT = "security-hub-event"


class SeverityBand(StrEnum):
    """GuardDuty's severity levels: Low below 4, Medium below 7, High below 9, Critical from 9.

    Source: https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings-severity.html
    """

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class Cluster(Frozen):
    """The EKS cluster."""

    name: str = ""
    arn: str = ""
    vpc_id: str = ""


class ImpersonatedUser(Frozen):
    """Whom the caller impersonated. The caller chose these words, so they prove nothing about a person."""

    username: str = ""
    groups: tuple[str, ...] = ()


class KubernetesUser(Frozen):
    """The Kubernetes user that made the call, as the API server authenticated it."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    session_names: tuple[str, ...] = ()
    impersonated: ImpersonatedUser | None = None


class AccessKey(Frozen):
    """The IAM credentials behind the call.

    Attributes:
        access_key_id: AKIA… is long-lived, ASIA… a session.
        user_type: IAMUser, AssumedRole, Role, Root, FederatedUser, AWSService or AWSAccount, as written.
    """

    access_key_id: str = ""
    principal_id: str = ""
    user_name: str = ""
    user_type: str = ""


class ApiCall(Frozen):
    """The Kubernetes API call. The caller wrote the request, so its names need not be valid Kubernetes names."""

    verb: str = ""
    request_uri: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    resource_name: str = ""
    source_ips: tuple[str, ...] = ()
    user_agent: str = ""
    status_code: int | None = None


class PermissionCheck(Frozen):
    """A permission that the caller asked about (``Discovery:Kubernetes/AnomalousBehavior.PermissionChecked``)."""

    verb: str = ""
    resource: str = ""
    namespace: str = ""
    allowed: bool | None = None


class RoleBinding(Frozen):
    """The RoleBinding or ClusterRoleBinding that the call created or changed."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    role_ref_name: str = ""
    role_ref_kind: str = ""


class Role(Frozen):
    """The Role or ClusterRole that the call created or changed."""

    kind: str = ""
    name: str = ""
    uid: str = ""


class Process(Frozen):
    """The process that a runtime finding saw. Every text was written by whoever started it."""

    name: str = ""
    executable_path: str = ""
    executable_sha256: str = ""
    pid: int | None = None
    user: str = ""


class Finding(Frozen):
    """A GuardDuty finding.

    Attributes:
        severity: 0.0 to 10.0, the finding's own and not the documented default of its type.
        created_at, updated_at: When GuardDuty wrote it; UTC.
        first_seen, last_seen: When the activity was first and last seen; UTC.
        count: How often the activity was seen under this id.
        sample: Made by CreateSampleFindings; there is nothing behind it.
        resource_type: EKSCluster, Instance, Container, AccessKey, …, as written.
        cluster: The cluster; for an attack sequence the one among its resources.
        instance_id: The node, in runtime and malware findings.
        containers: What a runtime or malware finding saw running; the workload has containers of its own.
        remote_ips: Addresses at the other end of the API call or connection.
        domain: The name that a DNS finding saw queried.
        threats: Names of the malware that a scan found, or of the threats that an address or name is known for.
        warnings: What was unusual and was passed over, each as ``path: what``; the reader rejects what matters.
    """

    id: FindingId
    type: Annotated[str, Field(min_length=1)]
    severity: Annotated[float, Field(ge=0.0, le=10.0)]
    account: Account
    region: Region
    partition: str = "aws"
    arn: str = ""
    title: str = ""
    description: str = ""
    detector_id: str = ""
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None
    first_seen: AwareDatetime | None = None
    last_seen: AwareDatetime | None = None
    count: int = 1
    archived: bool = False
    sample: bool = False
    feature: str = ""
    action_type: str = ""
    resource_type: str = ""
    cluster: Cluster | None = None
    user: KubernetesUser | None = None
    workload: Workload | None = None
    access_key: AccessKey | None = None
    instance_id: str = ""
    containers: tuple[Container, ...] = ()
    api_call: ApiCall | None = None
    permission_checked: PermissionCheck | None = None
    role_binding: RoleBinding | None = None
    role: Role | None = None
    process: Process | None = None
    remote_ips: tuple[str, ...] = ()
    domain: str = ""
    sequence: Sequence | None = None
    attack_sequence_arn: str = ""
    threats: tuple[str, ...] = ()
    source: FindingSource = FindingSource.DETAIL
    warnings: tuple[str, ...] = ()

    @property
    def band(self) -> SeverityBand:
        """The severity level that the console shows."""
        if self.severity >= 9.0:
            return SeverityBand.CRITICAL
        if self.severity >= 7.0:
            return SeverityBand.HIGH
        return SeverityBand.MEDIUM if self.severity >= 4.0 else SeverityBand.LOW

    @property
    def last_activity(self) -> datetime | None:
        """When the activity was last seen, else when GuardDuty last wrote the finding."""
        return self.last_seen or self.updated_at
