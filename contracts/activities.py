"""Requests and results of the activities, in the order in which an incident uses them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from contracts.common import EvidenceState, Failure, IncidentKey, PodTargets, StoredList
from contracts.states import Containment
from findings.model import Finding
from plans.model import WIRE, Change, Path, Plan, ResourceRef
from plans.observed import ClusterFacts, Provenance, WorkloadFacts


class AssessRequest(BaseModel):
    """Find out what the finding means here and now."""

    model_config = WIRE

    incident: IncidentKey
    finding: Finding
    act_on_sample: bool = False


class Assessment(BaseModel):
    """The plan with everything it rests on: the write-ahead log of containment."""

    model_config = WIRE

    plan: Plan
    provenance: Provenance
    cluster: ClusterFacts = ClusterFacts()
    pods: PodTargets = PodTargets()
    changes: tuple[Change, ...] = ()
    """Containment's changes of NetworkPolicies with before-state, in order: deny-all policies, then the selectors of
    other policies. The labels of the pods follow from `pods` alone (`contracts.changes.quarantine_change`)."""
    workloads: tuple[WorkloadFacts, ...] = ()
    policy_digest: str = ""
    evidence_store: str = ""
    rollout_timeout_seconds: int = 600
    image_pods: PodTargets = PodTargets()
    """The pods that run from a compromised image and are not among `pods`: those of the image path."""
    image_changes: tuple[Change, ...] = ()
    """As `changes`, for the image path."""
    image_workloads: tuple[WorkloadFacts, ...] = ()
    node_view_image: str = ""
    """As the policy names it (`evidence.node_view.image`), or empty."""

    def of_path(self, path: Path) -> Assessment:
        """The same as one path sees it: the image path has pods of its own, so that no pod is treated twice."""
        if path is not Path.IMAGE:
            return self
        return self.model_copy(
            update={"pods": self.image_pods, "changes": self.image_changes, "workloads": self.image_workloads}
        )


class IsolateRequest(BaseModel):
    """Carry out containment's changes: policies first, the label on each pod last."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    pods: PodTargets
    changes: tuple[Change, ...]
    """Of NetworkPolicies only."""


class StepResult(BaseModel):
    """What became of one mutating step. Every change not listed in `failures` or `gone` stands."""

    model_config = WIRE

    done: int = 0
    gone: int = 0
    """Targets that no longer exist, or under whose name another object stands."""
    gone_targets: tuple[str, ...] = ()
    """Up to 20 of them, for people."""
    failures: tuple[Failure, ...] = ()
    """Up to 50."""
    notes: tuple[str, ...] = ()
    """What people should know although the step was done: an object of ours that had to be repaired, for example."""


class VerifyRequest(BaseModel):
    """Prove that the pods are cut off, from live objects only."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    pods: PodTargets
    changes: tuple[Change, ...]


class Proof(BaseModel):
    """What verification found. `containment` is verified only when nothing at all speaks against it."""

    model_config = WIRE

    containment: Containment
    at: datetime
    """The clock of the worker when the last read had been evaluated, UTC."""
    verified: int = 0
    gone: int = 0
    reasons: tuple[str, ...] = ()
    """Why containment is incomplete, up to 20 sentences."""
    proposals: tuple[str, ...] = ()
    """The next stronger steps, up to 20 sentences."""
    missing: tuple[Change, ...] = ()
    """Changes that would close an opening found now, with before-state; the next round of isolation makes them."""


class CollectRequest(BaseModel):
    """Collect what is known about the pods, before anything is deleted (guide P6)."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    pods: PodTargets
    node_view_image: str = ""
    """What containers are looked at with from their node; empty where the policy names none."""
    first_seen: datetime | None = None
    """When the activity of the finding was first seen: audit events around it are kept."""
    last_seen: datetime | None = None


class CollectProgress(BaseModel):
    """How far a collection is: what its heartbeat says. Numbers and words of our own only, because Temporal shows it.

    An older worker knows fewer of them; what is not known is None.
    """

    model_config = WIRE

    wave: str = ""
    waves: tuple[str, ...] = ()
    """All waves of this collection, in their order."""
    pods: int | None = None
    nodes: int | None = None
    parts: int | None = None
    """What was finished: one for each pod and wave, or for each node."""
    artefacts: int | None = None
    bytes: int | None = None
    failures: int | None = None


class CollectResult(BaseModel):
    """Artefacts are in the store; the list of entries travels by reference."""

    model_config = WIRE

    entries: StoredList | None = None
    artefacts: int = 0
    bytes: int = 0
    failures: tuple[Failure, ...] = ()
    """One for each collector that failed, up to 50; all of them stand among the entries."""
    proposals: tuple[str, ...] = ()
    """What was seen that containment does not end, up to 50, each with what would."""


class SealRequest(BaseModel):
    """Chain the entries of one phase, and the changes so far, into the next numbered manifest."""

    model_config = WIRE

    incident: IncidentKey
    phase: str
    entries: tuple[StoredList, ...] = ()
    changes: tuple[Change, ...] = ()
    undone: tuple[str, ...] = ()
    """Keys of the changes that were undone (`Change.key`)."""


class LeaseRequest(BaseModel):
    """Take or give back the exclusive right to carry out destructive steps on targets (design: Incidents)."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    resources: tuple[ResourceRef, ...]


class HoldRequest(BaseModel):
    """Lift the hold of the pods; the quarantine stays (design: Isolation, 4)."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    pods: PodTargets


class RedeployRequest(BaseModel):
    """Find the changes that put the fixed image into the templates; nothing is changed yet (guide P8)."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    workloads: tuple[WorkloadFacts, ...]
    image: str
    """`repository@sha256:…`, from the approval."""


class RedeployPlan(BaseModel):
    """The changes with before-state, and what cannot be changed."""

    model_config = WIRE

    changes: tuple[Change, ...] = ()
    failures: tuple[Failure, ...] = ()


class ChangeRequest(BaseModel):
    """Make recorded changes. Each is conditioned on the uid and on the old value of every field."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    changes: tuple[Change, ...]


class RolloutRequest(BaseModel):
    """Wait until the changed workloads run the new template, or fail."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    workloads: tuple[ResourceRef, ...]
    timeout_seconds: int = 600


class RolloutResult(BaseModel):
    """`complete` only when every workload reports all replicas updated and available."""

    model_config = WIRE

    complete: bool
    failures: tuple[Failure, ...] = ()
    summary: str = ""


class DeletePodsRequest(BaseModel):
    """Delete the vulnerable pods, each by uid, and wait until they are gone."""

    model_config = WIRE

    incident: IncidentKey
    step: str
    pods: PodTargets


class RestoreRequest(BaseModel):
    """Undo changes backwards, each only where the fields are still what we left and no other incident holds them."""

    model_config = WIRE

    incident: IncidentKey
    changes: tuple[Change, ...] = ()
    pods: PodTargets = PodTargets()
    """Pods whose labels come off; their changes need not be listed."""
    step: str = "release"
    unreported: bool = False
    """Undo also what is recorded as held by the incident and is not listed: a path ended before it could report it."""


class RestoreResult(BaseModel):
    """What was undone."""

    model_config = WIRE

    undone: tuple[str, ...] = ()
    """Keys of the changes undone or found gone (`Change.key`)."""
    kept: tuple[str, ...] = ()
    """Sentences: what was left as it is, and why (another incident holds it, somebody changed it)."""
    pods_restored: int = 0
    """Pods that the incident had changed and that are as before; those that it never touched are not among them."""
    failures: tuple[Failure, ...] = ()


class ReportRequest(BaseModel):
    """Write the incident's report into the evidence; `view` is the JSON document of `firebreak show --json`."""

    model_config = WIRE

    incident: IncidentKey
    view_json: str
    assessment: Assessment
    finding: Finding


class ReportResult(BaseModel):
    """Where the report stands, as Markdown and as HTML, and the chain after it."""

    model_config = WIRE

    key: str
    sha256: str
    evidence: EvidenceState
    html_key: str = ""
    """Empty in histories of before there was one."""
    html_sha256: str = ""


class SweepRequest(BaseModel):
    """Look for held objects whose containment broke (design: Drift)."""

    model_config = WIRE

    cluster: str


class SweepResult(BaseModel):
    """Incidents that must look again, each with the reason."""

    model_config = WIRE

    held: int = 0
    broken: dict[str, str] = {}
