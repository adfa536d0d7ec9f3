"""Attack sequences: what GuardDuty's Extended Threat Detection puts into ``service.detection.sequence``.

A sequence finding says little in ``resource``; its actors, resources and signals stand here.
Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_Sequence.html
"""

from __future__ import annotations

from pydantic import AwareDatetime

from findings.base import Frozen
from findings.workload import WorkloadKind


class SequenceActor(Frozen):
    """Who acted: an identity, or a process.

    Attributes:
        id: The actor's id inside the sequence; signals refer to it.
        user_name: The name of the IAM user, role or Kubernetes user.
        user_uid: The unique id of the user, an ARN or a principal id.
        user_type: IAMUser, AssumedRole, Role, Root, …; empty for a process.
        credential_uid: The access key id.
        session_issuer: What issued the session, for a role.
    """

    id: str
    user_name: str = ""
    user_uid: str = ""
    user_type: str = ""
    credential_uid: str = ""
    account: str = ""
    session_uid: str = ""
    session_issuer: str = ""
    process_name: str = ""
    process_path: str = ""
    process_sha256: str = ""


class SequenceResource(Frozen):
    """One resource that the sequence touches.

    Attributes:
        type: EKS_CLUSTER, KUBERNETES_WORKLOAD, CONTAINER, EC2_INSTANCE, ACCESS_KEY, …, as written.
        uid: The resource's unique id: an ARN where there is one, else GuardDuty's own.
        namespace, kind, container_uids: Of a KUBERNETES_WORKLOAD.
        image, image_uid: Of a CONTAINER.
        principal_id, user_name, user_type: Of an ACCESS_KEY.
        arn, vpc_id: Of an EKS_CLUSTER.
    """

    uid: str
    type: str
    name: str = ""
    account: str = ""
    region: str = ""
    arn: str = ""
    vpc_id: str = ""
    namespace: str = ""
    kind: WorkloadKind = WorkloadKind.UNKNOWN
    container_uids: tuple[str, ...] = ()
    image: str = ""
    image_uid: str = ""
    principal_id: str = ""
    user_name: str = ""
    user_type: str = ""


class SequenceSignal(Frozen):
    """One observation that the sequence rests on.

    Attributes:
        uid: For type FINDING the ARN or id of the member finding.
        type: FINDING, CLOUD_TRAIL, EKS_AUDIT_LOGS, RUNTIME_MONITORING, …, as written.
        name: For type FINDING the finding type, for a log the name of the call.
    """

    uid: str
    name: str
    type: str = ""
    severity: float | None = None
    first_seen: AwareDatetime | None = None
    last_seen: AwareDatetime | None = None
    resource_uids: tuple[str, ...] = ()
    actor_ids: tuple[str, ...] = ()


class Sequence(Frozen):
    """An attack sequence."""

    uid: str
    description: str = ""
    actors: tuple[SequenceActor, ...] = ()
    resources: tuple[SequenceResource, ...] = ()
    signals: tuple[SequenceSignal, ...] = ()

    def resources_of(self, type_: str) -> tuple[SequenceResource, ...]:
        """The resources of one type, e.g. ``KUBERNETES_WORKLOAD``."""
        return tuple(r for r in self.resources if r.type == type_)
