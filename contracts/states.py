"""The states that people and machines see. Compared with `is`; the wire carries their values."""

from __future__ import annotations

from enum import StrEnum


class IncidentState(StrEnum):
    """The lifecycle of an incident, shown as the search attribute `State`."""

    ASSESSING = "Assessing"
    CONTAINING = "Containing"
    AWAITING_APPROVAL = "AwaitingApproval"
    REMEDIATING = "Remediating"
    REMEDIATED = "Remediated"
    DENIED = "Denied"
    RELEASED = "Released"
    FAILED = "Failed"
    PLAN_ONLY = "PlanOnly"


class Containment(StrEnum):
    """Whether what is compromised is cut off: the second axis, independent of the lifecycle."""

    NONE = "none"
    INCOMPLETE = "incomplete"
    VERIFIED = "verified"
    RELEASED = "released"
    NOT_APPLICABLE = "not-applicable"


WORST_FIRST = (
    Containment.INCOMPLETE,
    Containment.NONE,
    Containment.VERIFIED,
    Containment.RELEASED,
    Containment.NOT_APPLICABLE,
)
"""Of several verdicts the first that is among them counts for all."""


class GateState(StrEnum):
    """Where one gate of an incident stands."""

    WAITING = "waiting"
    """For a decision."""
    OPEN = "open"
    """Passed: automatic, or approved by as many people as the policy asks for."""
    DENIED = "denied"
    EXPIRED = "expired"
    """The deadline passed; a later approve reopens the gate."""
    CLOSED = "closed"
    """By cancellation or release; nothing more will be carried out behind it."""


class StepState(StrEnum):
    """Where one step of the plan stands."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Its outcome was already true, or its targets are gone: the reason stands with it."""


class Verb(StrEnum):
    """What a person decides at a gate."""

    APPROVE = "approve"
    DENY = "deny"


class ObservationKind(StrEnum):
    """Why an incident is asked to look again."""

    REPEAT = "repeat"
    """GuardDuty reported the same finding again."""
    DRIFT = "drift"
    """The sweep found an object that is not what containment left."""
