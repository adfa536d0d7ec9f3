"""Findings, pods and observations for the tests of `plans`: everything is in order unless a test changes it."""

from __future__ import annotations

from typing import Any

from findings.model import AccessKey, Cluster, Container, Finding, KubernetesUser, Volume, VolumeMount, Workload
from findings.subject import SubjectKind
from findings.workload import WorkloadKind
from plans.model import ResourceRef
from plans.observed import ClusterFacts, ContainerFacts, Observed, PodFacts, Provenance, WorkloadFacts

POD_TYPE = "Execution:Runtime/ReverseShell"
USER_TYPE = "Impact:Kubernetes/MaliciousIPCaller"
CONFIRMED = Provenance(confirmed=True, reason="GetFindings returned it.")
UNCONFIRMED = Provenance(confirmed=False, reason="GetFindings does not know it.")
WEB = ResourceRef(kind="Deployment", namespace="shop", name="web", uid="d-1")


def a_workload(**more: Any) -> Workload:
    fields: dict[str, Any] = {
        "kind": WorkloadKind.POD,
        "type": "pods",
        "namespace": "shop",
        "name": "web-0",
        "uid": "p-0",
        "service_account": "web",
        "containers": (Container(name="app", image="nginx:1.27"),),
    }
    return Workload(**{**fields, **more})


def a_finding(**more: Any) -> Finding:
    fields: dict[str, Any] = {
        "id": "f-1",
        "type": POD_TYPE,
        "severity": 8.0,
        "account": "111122223333",
        "region": "eu-central-1",
        "cluster": Cluster(name="payments"),
        "workload": a_workload(),
    }
    return Finding(**{**fields, **more})


def a_pod(index: int = 0, **more: Any) -> PodFacts:
    fields: dict[str, Any] = {
        "namespace": "shop",
        "name": f"web-{index}",
        "uid": f"p-{index}",
        "node": "node-a",
        "service_account": "web",
        "owner": ResourceRef(kind="ReplicaSet", namespace="shop", name="web-7d", uid="rs-1"),
        "workload": WEB,
        "containers": (ContainerFacts(name="app", image="nginx:1.27", image_id="nginx@sha256:aa"),),
    }
    return PodFacts(**{**fields, **more})


def an_observed(**more: Any) -> Observed:
    fields: dict[str, Any] = {
        "provenance": CONFIRMED,
        "cluster": ClusterFacts(enforces_policies=True, cni="vpc-cni", admission_ready=True),
        "pods": (a_pod(),),
        "pod_count": len(more.get("pods", (1,))),
        "workloads": (WorkloadFacts(ref=WEB, replicas=1, ready=1, strategy="RollingUpdate"),),
    }
    return Observed(**{**fields, **more})


PRIVILEGED = a_workload(containers=(Container(name="app", image="nginx:1.27", privileged=True),))
MOUNTING = a_workload(
    containers=(Container(name="app", image="nginx:1.27", volume_mounts=(VolumeMount(name="v", mount_path="/m"),)),),
    volumes=(Volume(name="v", host_path="/etc"),),
)

USERS: dict[SubjectKind, tuple[KubernetesUser | None, AccessKey | None]] = {
    SubjectKind.SERVICE_ACCOUNT: (KubernetesUser(username="system:serviceaccount:shop:web"), None),
    SubjectKind.IAM_USER: (
        KubernetesUser(username="alice"),
        AccessKey(access_key_id="AKIAEXAMPLE", principal_id="AIDAEXAMPLE", user_name="alice", user_type="IAMUser"),
    ),
    SubjectKind.IAM_ROLE: (
        KubernetesUser(username="arn:aws:sts::111122223333:assumed-role/deployer/ci"),
        AccessKey(access_key_id="ASIAEXAMPLE", principal_id="AROAEXAMPLE:ci", user_name="deployer"),
    ),
    SubjectKind.CLUSTER_ADMIN: (KubernetesUser(username="kubernetes-admin", groups=("system:masters",)), None),
    SubjectKind.OIDC_USER: (KubernetesUser(username="bob@example.com"), None),
    SubjectKind.NODE: (KubernetesUser(username="system:node:node-a", groups=("system:nodes",)), None),
    SubjectKind.ANONYMOUS: (KubernetesUser(username="system:anonymous"), None),
    SubjectKind.SYSTEM: (KubernetesUser(username="system:kube-controller-manager"), None),
    SubjectKind.UNRESOLVED: (KubernetesUser(username="carol"), None),
    SubjectKind.NONE: (None, None),
}
"""A user and access key for every kind of subject."""
