"""The Plan and its parts: what `firebreak plan` shows and what an incident carries out."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue

from findings.subject import Subject

WIRE = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
"""Every message is frozen and tolerant: histories outlive code, so unknown fields of a newer worker are ignored."""


class Path(StrEnum):
    """The ways a finding can be remediated (guide G1); `triage` is for what only a person can sort out (G5)."""

    CONFIGURATION = "configuration"
    USER = "user"
    POD = "pod"
    IMAGE = "image"
    NODE = "node"
    TRIAGE = "triage"


class Gate(StrEnum):
    """The points where a plan can wait for a person, in the order in which they are passed (guide: Default gates)."""

    CONTAIN = "contain"
    CREDENTIALS = "credentials"
    ERADICATE = "eradicate"
    TERMINATE = "terminate"


class Verdict(StrEnum):
    """What the policy says of a step: carried out at once, after approval, or not at all."""

    AUTO = "auto"
    APPROVAL = "approval"
    NEVER = "never"


class TargetKind(StrEnum):
    """What a step acts on."""

    POD = "pod"
    WORKLOAD = "workload"
    NODE = "node"
    IMAGE = "image"
    SERVICE_ACCOUNT = "service-account"
    SUBJECT = "subject"
    BINDING = "binding"
    SERVICE = "service"
    FILTER = "filter"


class ResourceRef(BaseModel):
    """One object of the cluster. `uid` is empty only in plans made offline, where the finding did not name it."""

    model_config = WIRE

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""

    def __str__(self) -> str:
        """`Kind namespace/name`, as people write it."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Target(BaseModel):
    """What one step acts on, named so that another object under the same name is never taken for it."""

    model_config = WIRE

    kind: TargetKind
    name: str
    namespace: str = ""
    uid: str = ""
    node: str = ""
    owner: ResourceRef | None = None
    """The controller at the top of the ownership chain, for a pod that has one."""


class Step(BaseModel):
    """One action of one path. `step` is its stable name within the incident, for `firebreak retry`."""

    model_config = WIRE

    step: str
    """`<path>.<action>`, for example `pod.quarantine`."""
    path: Path
    action: str
    targets: tuple[Target, ...] = ()
    target_count: int = 0
    """How many targets there are; greater than `len(targets)` when the list lives in the evidence store."""
    targets_sha256: str = ""
    """Of the whole list of targets, when `targets` is only its beginning (`plans.digest.targets_sha256`)."""
    gate: Gate | None = None
    """The gate that guards the step; None for a step that only reads."""
    decision: Verdict
    reason: str
    """Why this decision: the default, the rule of the policy, or what turned `auto` into `approval`."""
    undo: str
    """What undoes the step, or that nothing does."""
    proves: bool = False
    """Whether containment of the path rests on this step: without it nothing is called verified."""


class GateTerms(BaseModel):
    """What it takes to pass one gate of one plan."""

    model_config = WIRE

    gate: Gate
    decision: Verdict
    reasons: tuple[str, ...] = ()
    approvals: int = 1
    """How many different people must approve: 1 or 2."""
    deadline_seconds: int = 86_400
    """From the moment at which the gate starts to wait until it expires."""
    digest: str = ""
    """`sha256:…` of the canonical JSON of the gate's steps; a decision must name it."""


class FindingSummary(BaseModel):
    """The part of a finding that a plan repeats."""

    model_config = WIRE

    id: str
    type: str
    severity: float
    account: str
    region: str
    cluster: str
    sample: bool


class Plan(BaseModel):
    """What would be done about one finding; computed in `assess`, never again for the same incident."""

    model_config = WIRE

    finding: FindingSummary
    subject: Subject
    paths: tuple[Path, ...]
    steps: tuple[Step, ...]
    gates: tuple[GateTerms, ...] = ()
    warnings: tuple[str, ...] = ()
    """What it would take down, and what the plan could not find out: one sentence each."""
    plan_only: bool = False
    """True when nothing is to be done whatever is approved: a sample finding, or a path that is not built yet."""

    def steps_of(self, path: Path) -> tuple[Step, ...]:
        """The steps of one path, in order."""
        return tuple(s for s in self.steps if s.path is path)

    def terms(self, gate: Gate) -> GateTerms | None:
        """The terms of one gate, or None when no step of the plan needs it."""
        return next((g for g in self.gates if g.gate is gate), None)


class Change(BaseModel):
    """One mutation of one object, with the fields before and after; written to history before it is made.

    Keys of `before` and `after` are JSON pointers (RFC 6901) into the object; None means that the field is absent. The
    pointer "" stands for the whole object: before None is a creation, after None a deletion. `release` puts a field
    back only where it still holds the value of `after`.
    """

    model_config = WIRE

    step: str
    resource: ResourceRef
    summary: str
    before: dict[str, JsonValue]
    after: dict[str, JsonValue]
    held: bool = False
    """Whether the change is kept by a record that several incidents can hold, so that the last release undoes it.

    The changes on pods and NetworkPolicies are held by an annotation on the object itself instead.
    """
    aims: tuple[str, ...] = ()
    """What the change is for, `<action>:<target>`: how another incident with the same aim finds it already made."""

    @property
    def key(self) -> str:
        """Identity of the change within its incident: the same change made twice is one record."""
        r = self.resource
        where = r.uid or f"{r.namespace}/{r.name}"
        return f"{self.step}:{r.kind}:{where}:{','.join(sorted(self.after))}"
