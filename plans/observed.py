"""What the world looked like when a plan was made: read by `assess`, given to the planner as plain data."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, JsonValue

from plans.model import WIRE, ResourceRef


class Provenance(BaseModel):
    """Whether GuardDuty itself, asked with our own credentials, stands behind the finding (design: Provenance)."""

    model_config = WIRE

    confirmed: bool
    reason: str
    """One sentence: what was asked and what was answered."""


class ContainerFacts(BaseModel):
    """One container of a pod: its name, the image as written, and the digest that runs."""

    model_config = WIRE

    name: str
    image: str = ""
    image_id: str = ""
    privileged: bool = False
    kind: str = "container"
    """container, init or ephemeral."""


class PodFacts(BaseModel):
    """One pod, reduced to what planning and containment need."""

    model_config = WIRE

    namespace: str
    name: str
    uid: str
    node: str = ""
    phase: str = ""
    service_account: str = "default"
    labels: dict[str, str] = {}
    owner: ResourceRef | None = None
    """The direct controller (ownerReference with controller=true)."""
    workload: ResourceRef | None = None
    """The controller at the top of the chain: the Deployment behind a ReplicaSet, the CronJob behind a Job."""
    containers: tuple[ContainerFacts, ...] = ()
    host_network: bool = False
    static: bool = False
    """A mirror of a manifest on the node (annotation kubernetes.io/config.mirror)."""
    fargate: bool = False
    windows: bool = False
    terminating: bool = False
    holders: tuple[str, ...] = ()
    """Incidents that hold the pod already (annotation firebreak.dev/incidents)."""
    ip: str = ""
    takes_role: bool = False
    """Whether it carries a token by which it takes an IAM role (IRSA or Pod Identity)."""
    holds_token: bool = False
    """Whether it carries a token of its account for anybody else, as for the API server."""


class NodeManager(StrEnum):
    """Who runs the machine behind a node, and so how it is replaced."""

    EC2 = "ec2"
    """An instance of EC2, in an Auto Scaling group (a managed node group has one) or alone."""
    KARPENTER = "karpenter"
    AUTO = "eks-auto-mode"
    FARGATE = "fargate"


class NodeFacts(BaseModel):
    """One node, reduced to what planning needs; or why a node that the finding means is none to act on."""

    model_config = WIRE

    name: str
    uid: str = ""
    instance_id: str = ""
    manager: NodeManager = NodeManager.EC2
    cordoned: bool = False
    missing: str = ""
    """One sentence: why there is nothing to act on (gone, no node of this cluster, Fargate), or empty."""


class WorkloadFacts(BaseModel):
    """A controller whose template would be patched in `eradicate`."""

    model_config = WIRE

    ref: ResourceRef
    replicas: int = 0
    ready: int = 0
    strategy: str = ""
    """RollingUpdate, Recreate or OnDelete."""
    images: dict[str, str] = {}
    """Container name to image, init containers included."""
    paused: bool = False


class PolicyFacts(BaseModel):
    """A NetworkPolicy of the targets' namespace that selects one of them, other than our own."""

    model_config = WIRE

    ref: ResourceRef
    pod_selector: dict[str, JsonValue] = {}
    managed_by: str = ""
    """Who would revert a change: the value of app.kubernetes.io/managed-by, an owner, or a GitOps tracking label."""


class ImageFacts(BaseModel):
    """One suspected image, by digest, and how the cluster uses it."""

    model_config = WIRE

    name: str
    """`repository@sha256:…`, as the status of the pods names it."""
    tags: tuple[str, ...] = ()
    """References by tag under which it runs, as written in the pods."""
    moved_tags: tuple[str, ...] = ()
    """Those of them under which another digest runs too: the tag was moved, and its other pods are no targets."""


VPC_CNI = "Amazon VPC CNI"
"""How `ClusterFacts.cni` names EKS' own network plugin, when no other one enforces policies beside it."""


class ClusterFacts(BaseModel):
    """What the cluster can do about isolation (design: Isolation, 5 and 6)."""

    model_config = WIRE

    enforces_policies: bool | None = None
    """True or False when the CNI was recognised, None when it was not."""
    cni: str = ""
    foreign_policies: tuple[str, ...] = ()
    """Cilium, Calico or admin-tier policies present, which our evaluation does not cover."""
    admission_ready: bool = False
    """Whether Firebreak's ValidatingAdmissionPolicies and their bindings are installed."""


class Observed(BaseModel):
    """Everything that a plan rests on beside the finding and the policy."""

    model_config = WIRE

    provenance: Provenance
    cluster: ClusterFacts = ClusterFacts()
    pods: tuple[PodFacts, ...] = ()
    """The pods that the finding names, by uid, by ownership, or by service account; at most the first 200."""
    pod_count: int = 0
    targets_sha256: str = ""
    """Of the uids of all pods, when `pods` is only their beginning (`plans.digest.targets_sha256`)."""
    uid_mismatch: bool = False
    """Another uid stands under the name in the finding."""
    vanished: bool = False
    """What the finding names is gone; `pods` then holds what its owner runs now, as a proposal."""
    unresolved: str = ""
    """Why no pods could be determined, or empty."""
    workloads: tuple[WorkloadFacts, ...] = ()
    policies: tuple[PolicyFacts, ...] = ()
    terminating_namespaces: tuple[str, ...] = ()
    services_left_empty: tuple[str, ...] = ()
    """`namespace/name` of Services whose every ready endpoint is a target."""
    shared: tuple[str, ...] = ()
    """Sentences: which other workloads share the service account, image or node of the targets."""
    nodes: tuple[NodeFacts, ...] = ()
    """The nodes that the finding means and that its pods run on; read where the node path is open."""
    node_count: int = 0
    """All nodes of the cluster; 0 when nobody counted them."""
    nodes_cordoned: int = 0
    """How many nodes beside `nodes` take no new pods already."""
    images: tuple[ImageFacts, ...] = ()
    """The suspected images, where the image path is open and the cluster was searched for them."""
    images_counted: bool = False
    """Whether every pod and template of the cluster was searched."""
    image_pods: tuple[PodFacts, ...] = ()
    """The pods of the whole cluster that run one of the images and are not among `pods`; at most the first 200."""
    image_pod_count: int = 0
    image_pod_namespaces: tuple[str, ...] = ()
    """The namespaces of all of them."""
    image_targets_sha256: str = ""
    """As `targets_sha256`, for `image_pods`."""
    image_workloads: tuple[WorkloadFacts, ...] = ()
    """The controllers, other than those of `pods`, whose template would start one of the images again."""
    bound_accounts: tuple[str, ...] = ()
    """`namespace/name` of the accounts of all these pods that some binding names, alone or with their namespace."""
    budget_refusal: str = ""
    """Why the budget does not allow automatic containment, or empty."""
