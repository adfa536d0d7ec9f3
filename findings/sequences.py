"""Reading ``service.detection.sequence``: the actors, resources and signals of an attack sequence."""

from __future__ import annotations

from findings.sequence import Sequence, SequenceActor, SequenceResource, SequenceSignal
from findings.text import IDENTITY, LONG, NAME
from findings.wire import Node
from findings.workload import WorkloadKind


def read_sequence(node: Node) -> Sequence | None:
    """The sequence of a finding, None where there is none."""
    if not node:
        return None
    return Sequence(
        uid=node.text("uid"),
        description=node.text("description", LONG),
        actors=tuple(_actor(a) for a in node.children("actors")),
        resources=tuple(_resource(r) for r in node.children("resources")),
        signals=tuple(_signal(s) for s in node.children("signals")),
    )


def _actor(node: Node) -> SequenceActor:
    user, session, process = node.child("user"), node.child("session"), node.child("process")
    return SequenceActor(
        id=node.text("id"),
        user_name=user.text("name", IDENTITY),
        user_uid=user.text("uid", IDENTITY),
        user_type=user.text("type"),
        credential_uid=user.text("credentialUid", IDENTITY),
        account=user.child("account").text("uid"),
        session_uid=session.text("uid"),
        session_issuer=session.text("issuer"),
        process_name=process.text("name"),
        process_path=process.text("path", LONG),
        process_sha256=process.text("sha256"),
    )


def _resource(node: Node) -> SequenceResource:
    data = node.child("data")
    workload, container = data.child("kubernetesWorkload"), data.child("container")
    cluster, key = data.child("eksCluster"), data.child("accessKey")
    type_ = node.text("resourceType")
    return SequenceResource(
        uid=node.text("uid"),
        type=type_,
        # Only these two are names of Kubernetes and EKS objects; other resources have names of other kinds.
        name=node.text("name", NAME) if type_ in ("KUBERNETES_WORKLOAD", "EKS_CLUSTER") else node.text("name"),
        account=node.text("accountId"),
        region=node.text("region"),
        arn=cluster.text("arn"),
        vpc_id=cluster.text("vpcId"),
        namespace=workload.text("namespace", NAME),
        kind=WorkloadKind.of(workload.text("type")),
        container_uids=workload.texts("containerUids"),
        image=container.text("image"),
        image_uid=container.text("imageUid"),
        principal_id=key.text("principalId", IDENTITY),
        user_name=key.text("userName", IDENTITY),
        user_type=key.text("userType"),
    )


def _signal(node: Node) -> SequenceSignal:
    return SequenceSignal(
        uid=node.text("uid"),
        name=node.text("name"),
        type=node.text("type"),
        severity=node.number("severity"),
        first_seen=node.time("firstSeenAt"),
        last_seen=node.time("lastSeenAt"),
        resource_uids=node.texts("resourceUids"),
        actor_ids=node.texts("actorIds"),
    )
