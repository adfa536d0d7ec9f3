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
    REMEDIATE_USER = "RemediateUser"
    REMEDIATE_IMAGE = "RemediateImage"
    REMEDIATE_NODE = "RemediateNode"
    REMEDIATE_CONFIGURATION = "RemediateConfiguration"
    RELEASE_CONTAINMENT = "ReleaseContainment"
    SWEEP_CONTAINMENT = "SweepContainment"
    SUPPRESS_FINDING = "SuppressFinding"


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
    PLAN_STEP = "plan_step"
    UNBIND_SUBJECT = "unbind_subject"
    REVERT_BINDING = "revert_binding"
    CLOSE_SERVICE = "close_service"
    CUT_OFF_SUBJECT = "cut_off_subject"
    DEACTIVATE_KEY = "deactivate_key"
    REVIEW_ACCOUNT = "review_account"
    REVOKE_SESSIONS = "revoke_sessions"
    CUT_POD_ROLES = "cut_pod_roles"
    RECREATE_ACCOUNT = "recreate_account"
    ROTATE_SECRETS = "rotate_secrets"
    INVESTIGATE_SUBJECT = "investigate_subject"
    DELETE_KEY = "delete_key"
    DISASSOCIATE_PROVIDER = "disassociate_provider"
    BLOCK_IMAGE = "block_image"
    EXPORT_IMAGE = "export_image"
    SCAN_IMAGE = "scan_image"
    ARCHIVE_IMAGE = "archive_image"
    DELETE_IMAGE = "delete_image"
    DENY_REPOSITORY = "deny_repository"
    CORDON_NODE = "cordon_node"
    PROTECT_NODE = "protect_node"
    ISOLATE_NODE = "isolate_node"
    COLLECT_NODE = "collect_node"
    REVIEW_ACCOUNTS = "review_accounts"
    SNAPSHOT_NODE = "snapshot_node"
    ROTATE_ACCOUNTS = "rotate_accounts"
    REPLACE_PROFILE = "replace_profile"
    DRAIN_NODE = "drain_node"
    TERMINATE_NODE = "terminate_node"
    SUPPRESS_FINDING = "suppress_finding"
    COLLECT_SUBJECT = "collect_subject"


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
    END = "end"
    PROGRESS = "progress"
    STEPS_ENDED = "steps_ended"
    TASK_DONE = "task_done"
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
VIEW_NAMESPACE = "firebreak-view"
"""Where the pods stand that look at containers from their node (deploy/node-view.yaml)."""
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
HELD_LABEL = "firebreak.dev/held"
"""On ConfigMaps in Firebreak's namespace: each records one change outside of pods and which incidents hold it."""


def incident_id(account: str, region: str, finding_id: str) -> str:
    """The workflow id of a finding's incident."""
    return f"gd/{account}/{region}/{finding_id}"


def path_id(incident: str, path: str) -> str:
    """The workflow id of one path of an incident."""
    return f"{incident}/{path}"
