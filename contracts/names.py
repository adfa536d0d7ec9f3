"""Every name that crosses a process boundary: queues, workflows, activities, handlers, search attributes, labels.

A name here is a promise to running incidents and to what stands in clusters: it is never changed, only added to.
"""

from __future__ import annotations

from enum import StrEnum

from temporalio.common import SearchAttributeKey

HOT_QUEUE = "firebreak"
"""Workflows and the containment path."""
SLOW_QUEUE = "firebreak-slow"
"""Collection, rollouts and everything else that may take minutes, so that evidence never starves containment."""


class WorkflowName(StrEnum):
    """Workflow types."""

    REMEDIATE_FINDING = "RemediateFinding"
    REMEDIATE_PODS = "RemediatePods"
    RELEASE_CONTAINMENT = "ReleaseContainment"
    SWEEP_CONTAINMENT = "SweepContainment"


class ActivityName(StrEnum):
    """Activity types, verb first."""

    ASSESS = "assess"
    ISOLATE_PODS = "isolate_pods"
    VERIFY_CONTAINMENT = "verify_containment"
    COLLECT_PODS = "collect_pods"
    SEAL_EVIDENCE = "seal_evidence"
    ACQUIRE_LEASE = "acquire_lease"
    RELEASE_LEASE = "release_lease"
    LIFT_HOLD = "lift_hold"
    PLAN_REDEPLOY = "plan_redeploy"
    REDEPLOY_WORKLOADS = "redeploy_workloads"
    WATCH_ROLLOUT = "watch_rollout"
    DELETE_PODS = "delete_pods"
    RESTORE_CHANGES = "restore_changes"
    WRITE_REPORT = "write_report"
    SWEEP_HELD_OBJECTS = "sweep_held_objects"


class Handler(StrEnum):
    """Updates, signals and queries of the workflows."""

    DECIDE = "decide"
    APPROVE = "approve"
    DENY = "deny"
    OBSERVE = "observe"
    RETRY = "retry"
    RELEASE = "release"
    GATE_OPENED = "gate_opened"
    STOP = "stop"
    PROGRESS = "progress"
    STATUS = "status"


FINDING_ID = SearchAttributeKey.for_keyword("FirebreakFindingId")
FINDING_TYPE = SearchAttributeKey.for_keyword("FindingType")
CLUSTER = SearchAttributeKey.for_keyword("Cluster")
STATE = SearchAttributeKey.for_keyword("State")
GATE = SearchAttributeKey.for_keyword_list("Gate")
SEVERITY = SearchAttributeKey.for_float("Severity")

QUARANTINED_LABEL = "firebreak.dev/quarantined"
"""On a pod: the deny-all policy selects it. The switch of the isolation (design: Isolation, 1)."""
HOLD_LABEL = "firebreak.dev/hold"
"""On a pod: the admission policies keep everybody but Firebreak from deleting or entering it (design: Isolation, 4)."""
MANAGED_LABEL = "firebreak.dev/managed"
"""On objects that Firebreak created."""
LABEL_ON = "true"
INCIDENTS_ANNOTATION = "firebreak.dev/incidents"
"""On every object that Firebreak changed: the JSON list of the incidents that hold it."""
QUARANTINE_POLICY = "firebreak-quarantine"
"""The name of the deny-all NetworkPolicy, one a namespace."""
CONTROL_CONFIGMAP = "firebreak-control"
"""In Firebreak's namespace: the budget's reservations and the pause switch."""


def incident_id(account: str, region: str, finding_id: str) -> str:
    """The workflow id of a finding's incident."""
    return f"gd/{account}/{region}/{finding_id}"
