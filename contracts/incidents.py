"""Messages of the workflows: inputs, decisions, progress of a path, and the view that `firebreak show` prints."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from contracts.activities import Assessment
from contracts.common import EvidenceState, Failure, IncidentKey, PodTargets, Timings
from contracts.states import Containment, GateState, IncidentState, ObservationKind, StepState
from contracts.steps import Task, TaskView
from findings.model import Finding
from plans.model import WIRE, Change, Gate, Path, Plan, Step


class IncidentInput(BaseModel):
    """Starts RemediateFinding."""

    model_config = WIRE

    finding: Finding
    received: datetime
    act_on_sample: bool = False
    requested_by: str = ""


class GateOpened(BaseModel):
    """The parent tells a path that a gate is open."""

    model_config = WIRE

    gate: Gate
    image: str = ""
    """The fixed image by digest, given with the approval of `eradicate`."""


class StepStatus(BaseModel):
    """Where one step stands, with a sentence for people."""

    model_config = WIRE

    step: str
    state: StepState
    detail: str = ""


class StepVerdict(BaseModel):
    """What one step has proved about what its path contains."""

    model_config = WIRE

    containment: Containment
    reasons: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()


class PathProgress(BaseModel):
    """What a path has reached; the newest replaces the older ones, except `changes`, which are added."""

    model_config = WIRE

    path: Path
    containment: Containment = Containment.NONE
    contained_at: datetime | None = None
    reasons: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    steps: tuple[StepStatus, ...] = ()
    changes: tuple[Change, ...] = ()
    """Changes begun since the last report."""
    undone: tuple[str, ...] = ()
    """Keys of changes undone since the last report."""
    failures: tuple[Failure, ...] = ()
    """Failures that stand now."""
    evidence: EvidenceState = EvidenceState()
    failed_step: str = ""
    """A step that failed just now: the parent reopens its gate."""
    holding: bool = False
    """Whether anything of the path's containment still stands in the cluster."""
    held: dict[str, bool] = {}
    """By what held it: whether that part of the containment still stands."""
    verdicts: dict[str, StepVerdict] = {}
    """What each step that proves something has proved; `containment`, `reasons` and `proposals` sum them up."""
    tasks: tuple[Task, ...] = ()
    previews: dict[str, tuple[str, ...]] = {}
    """What the steps that wait for approval would change and what the approver should know, a sentence each."""
    repeated: tuple[str, ...] = ()
    """Steps that were carried out once more after what they depend on (contracts.steps.AGAIN_AFTER)."""
    finished: bool = False
    """Nothing is left to do, and the path only looks after what was done until the incident ends it."""
    number: int = 0
    """Counts the reports of a path: two that were sent at once may arrive in either order."""


class StepsEnded(BaseModel):
    """The parent tells its paths which steps of the whole incident have ended, and how."""

    model_config = WIRE

    steps: dict[str, StepState] = {}
    number: int = 0
    """Counts what the parent tells: two signals sent close together may arrive the other way round."""


class PathInput(BaseModel):
    """Starts the workflow of one path, or continues it in a new run."""

    model_config = WIRE

    incident: IncidentKey
    path: Path
    assessment: Assessment
    """With the changes that the proof has added to the plan's, when the path continues."""
    finding: Finding | None = None
    """None only in histories of before the other paths were built."""
    open_gates: tuple[GateOpened, ...] = ()
    """Gates that are open already, so that automatic containment needs no signal."""
    ended: StepsEnded = StepsEnded()
    """Steps of the whole incident that have ended already."""
    reached: PathProgress | None = None
    """What the run before had reached. Its changes are known to the incident."""


class Decision(BaseModel):
    """What a person decides. Every field may be missing: an incomplete decision is recorded, never counted."""

    model_config = WIRE

    incident: str = ""
    gate: str = ""
    digest: str = ""
    nonce: str = ""
    decision: str = ""
    by: str = ""
    reason: str = ""
    expires: datetime | None = None
    image: str = ""


class DecisionAnswer(BaseModel):
    """What became of a decision."""

    model_config = WIRE

    accepted: bool
    message: str
    gate: str = ""
    state: GateState | None = None


class DecisionRecord(BaseModel):
    """One decision as it was received, counted or not."""

    model_config = WIRE

    by: str
    decision: str
    reason: str
    at: datetime
    gate: str = ""
    counted: bool = False
    note: str = ""
    """Why it was not counted, or empty."""
    channel: str = "update"
    proven: bool = False
    """Whether the identity was proven; always False while the installation's identity is `none`."""


class GateView(BaseModel):
    """One gate as people see it."""

    model_config = WIRE

    gate: Gate
    state: GateState
    digest: str = ""
    nonce: str = ""
    approvals: int = 1
    approved_by: tuple[str, ...] = ()
    deadline: datetime | None = None
    decisions: tuple[DecisionRecord, ...] = ()
    steps: tuple[str, ...] = ()
    """The steps that wait for the decision; those that the policy opens by themselves are not among them."""
    needs_image: bool = False


class Observation(BaseModel):
    """Asks an incident to look again."""

    model_config = WIRE

    kind: ObservationKind = ObservationKind.REPEAT
    reason: str = ""
    severity: float | None = None
    count: int = 0
    last_seen: datetime | None = None


class RetryRequest(BaseModel):
    """One failed step again, or a denied gate's step reopened."""

    model_config = WIRE

    step: str = ""
    by: str = ""
    reason: str = ""


class ReleaseOrder(BaseModel):
    """Undo everything that the incident changed."""

    model_config = WIRE

    by: str = ""
    reason: str = ""


class ReleaseInput(BaseModel):
    """Starts ReleaseContainment."""

    model_config = WIRE

    incident: IncidentKey
    changes: tuple[Change, ...] = ()
    pods: PodTargets = PodTargets()
    image_pods: PodTargets = PodTargets()
    """Those of the image path, where they are too many for the history to carry the change of each."""
    unreported: bool = False
    """What the incident holds and was never told of is undone too: by a path that was ended, or a suppression rule."""
    by: str = ""
    reason: str = ""


class SuppressInput(BaseModel):
    """Starts SuppressFinding."""

    model_config = WIRE

    incident: IncidentKey
    finding: Finding
    step: Step
    """Its only target names the filter that was approved; its reason says by whom and why."""


class IncidentView(BaseModel):
    """Everything that `show` prints: the answer of the query `status` and the result of the workflow."""

    model_config = WIRE

    incident: str
    run_id: str = ""
    finding_id: str
    finding_type: str = ""
    severity: float = 0.0
    cluster: str = ""
    state: IncidentState
    containment: Containment
    paths: tuple[Path, ...] = ()
    plan: Plan | None = None
    pods: PodTargets = PodTargets()
    image_pods: PodTargets = PodTargets()
    """The pods that run a compromised image beside those that the finding means."""
    steps: tuple[StepStatus, ...] = ()
    gates: tuple[GateView, ...] = ()
    changes: tuple[Change, ...] = ()
    undone: tuple[str, ...] = ()
    """Keys of the changes that were undone."""
    evidence: EvidenceState = EvidenceState()
    failures: tuple[Failure, ...] = ()
    reasons: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    rejected: tuple[DecisionRecord, ...] = ()
    """Decisions that named no gate of this incident."""
    notes: tuple[str, ...] = ()
    """What happened besides: repeats, drift, retries, cancellation; newest last, at most 50."""
    tasks: tuple[TaskView, ...] = ()
    previews: dict[str, tuple[str, ...]] = {}
    """By step: what would be changed, and what the approver should know."""
    report_key: str = ""
    last_observed: datetime | None = None
    timings: Timings = Timings()
