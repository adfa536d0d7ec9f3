"""The steps beside those on pods: what their activities are asked and answer, and how they depend on one another.

Each step is planned first, by the activity `plan_step`: the changes it returns stand in history before the step's own
activity makes them. That activity then says whether the step's outcome is true, as read again, not as asked for.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from contracts.common import Failure, IncidentKey, PodTargets, StoredList
from contracts.names import ActivityName
from contracts.states import Containment
from findings.model import Finding
from plans.model import WIRE, Change, Step
from plans.observed import WorkloadFacts

VERBS: Final = MappingProxyType(
    {
        "configuration.unbind_anonymous": ActivityName.UNBIND_SUBJECT,
        "configuration.unbind_default_account": ActivityName.UNBIND_SUBJECT,
        "configuration.revert_binding": ActivityName.REVERT_BINDING,
        "configuration.close_service": ActivityName.CLOSE_SERVICE,
        "configuration.collect": ActivityName.COLLECT_SUBJECT,
        "configuration.suppress": ActivityName.SUPPRESS_FINDING,
        "user.cut_off": ActivityName.CUT_OFF_SUBJECT,
        "user.cut_off_groups": ActivityName.CUT_OFF_SUBJECT,
        "user.deactivate_key": ActivityName.DEACTIVATE_KEY,
        "user.deactivate_caller_key": ActivityName.DEACTIVATE_KEY,
        "user.collect": ActivityName.COLLECT_SUBJECT,
        "user.review_account": ActivityName.REVIEW_ACCOUNT,
        "user.revoke_sessions": ActivityName.REVOKE_SESSIONS,
        "user.cut_pod_roles": ActivityName.CUT_POD_ROLES,
        "user.recreate_account": ActivityName.RECREATE_ACCOUNT,
        "user.rotate_secrets": ActivityName.ROTATE_SECRETS,
        "user.investigate": ActivityName.INVESTIGATE_SUBJECT,
        "user.delete_key": ActivityName.DELETE_KEY,
        "user.disassociate_provider": ActivityName.DISASSOCIATE_PROVIDER,
        "pod.cut_pod_roles": ActivityName.CUT_POD_ROLES,
        "pod.revoke_sessions": ActivityName.REVOKE_SESSIONS,
        "pod.recreate_account": ActivityName.RECREATE_ACCOUNT,
        "pod.rotate_secrets": ActivityName.ROTATE_SECRETS,
        "image.block": ActivityName.BLOCK_IMAGE,
        "image.export": ActivityName.EXPORT_IMAGE,
        "image.scan": ActivityName.SCAN_IMAGE,
        "image.cut_pod_roles": ActivityName.CUT_POD_ROLES,
        "image.revoke_sessions": ActivityName.REVOKE_SESSIONS,
        "image.recreate_account": ActivityName.RECREATE_ACCOUNT,
        "image.rotate_secrets": ActivityName.ROTATE_SECRETS,
        "image.archive": ActivityName.ARCHIVE_IMAGE,
        "image.delete": ActivityName.DELETE_IMAGE,
        "image.deny_repository": ActivityName.DENY_REPOSITORY,
        "node.cordon": ActivityName.CORDON_NODE,
        "node.protect": ActivityName.PROTECT_NODE,
        "node.isolate": ActivityName.ISOLATE_NODE,
        "node.collect": ActivityName.COLLECT_NODE,
        "node.review_accounts": ActivityName.REVIEW_ACCOUNTS,
        "node.snapshot": ActivityName.SNAPSHOT_NODE,
        "node.rotate_accounts": ActivityName.ROTATE_ACCOUNTS,
        "node.replace_profile": ActivityName.REPLACE_PROFILE,
        "node.drain": ActivityName.DRAIN_NODE,
        "node.terminate": ActivityName.TERMINATE_NODE,
    }
)
"""Which activity carries out which step. Those on pods themselves are not among them: their own chain knows them."""

_COLLECTED = ("pod.collect", "image.collect", "node.collect", "node.snapshot")

AFTER: Final[MappingProxyType[str, tuple[str, ...]]] = MappingProxyType(
    {
        # A holder of the source just gets a new session, so the source is contained first.
        "user.revoke_sessions": ("pod.quarantine", "image.quarantine", "user.cut_off", "user.cut_pod_roles"),
        "pod.revoke_sessions": ("pod.quarantine", "pod.cut_pod_roles"),
        "image.revoke_sessions": ("image.quarantine", "image.cut_pod_roles"),
        "user.delete_key": ("user.deactivate_key",),
        # An archived image cannot be copied or scanned; and only then is it certain that none of its pods came back.
        "image.archive": ("image.export", "image.scan", "image.delete_pods", "pod.delete"),
        "image.delete": ("image.export", "image.archive"),
        "image.deny_repository": ("image.export", "image.scan"),
        # Healthy pods are restarted, replacing the profile takes the kubelet's identity too, and draining takes the
        # pods: evidence comes first.
        "node.rotate_accounts": _COLLECTED,
        "node.replace_profile": _COLLECTED,
        "node.drain": _COLLECTED,
        "node.terminate": _COLLECTED,
    }
)
"""Steps, of any path, that must have ended before a step begins, failed or not; those not in the plan do not count."""

AGAIN_AFTER: Final[MappingProxyType[str, tuple[str, ...]]] = MappingProxyType(
    {
        # The kubelet renews a living pod's token for a new account too, and a living pod gets new role sessions.
        "user.recreate_account": ("pod.delete", "image.delete_pods"),
        "user.revoke_sessions": ("pod.delete", "image.delete_pods"),
        "pod.revoke_sessions": ("pod.delete", "image.delete_pods"),
        "pod.recreate_account": ("pod.delete", "image.delete_pods"),
        "image.revoke_sessions": ("image.delete_pods",),
        "image.recreate_account": ("image.delete_pods",),
    }
)
"""Steps that are carried out once more when one of these has been done after them."""


MOOT_AFTER: Final[MappingProxyType[str, tuple[str, ...]]] = MappingProxyType(
    {
        # A machine that has ended needs no isolation, whoever was asked for it.
        "node.cordon": ("node.terminate",),
        "node.protect": ("node.terminate",),
        "node.isolate": ("node.terminate",),
    }
)
"""Steps of containment that nobody has to approve any more when one of these, of the same path, has been done."""


class Task(BaseModel):
    """Something that only a person can do. The incident says that it is open until somebody says that it is done."""

    model_config = WIRE

    id: str
    """Stable within the incident and fit to be typed: `<step>-<number or hash>`."""
    step: str
    text: str
    """What is to be done, one sentence; names in it come from outside."""
    owner: str = ""
    """Whose task it is, as far as anything says so."""


def task_id(step: str, what: str) -> str:
    """A task's id: the same for the same thing, whenever it is planned, and fit to be typed."""
    return f"{step}-{hashlib.sha256(what.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"


class TaskDone(BaseModel):
    """A person says that a task is done."""

    model_config = WIRE

    task: str = ""
    by: str = ""
    reason: str = ""


class TaskView(BaseModel):
    """One task as people see it."""

    model_config = WIRE

    task: Task
    done: bool = False
    by: str = ""
    reason: str = ""
    at: datetime | None = None


class StepRequest(BaseModel):
    """Plan or carry out one step. `changes` are those that were planned; empty while planning."""

    model_config = WIRE

    incident: IncidentKey
    step: Step
    finding: Finding
    pods: PodTargets = PodTargets()
    """The pods that the incident contains: their evidence must survive whatever the step does."""
    workloads: tuple[WorkloadFacts, ...] = ()
    image: str = ""
    """The fixed image of the approval, `repository@sha256:…`, or empty."""
    changes: tuple[Change, ...] = ()
    made: tuple[Change, ...] = ()
    """What the path has changed so far, by any of its steps."""
    again: bool = False
    """The step was done before, and is carried out once more (AGAIN_AFTER)."""


class StepPlan(BaseModel):
    """What a step would change, with before-state. Nothing is changed yet."""

    model_config = WIRE

    changes: tuple[Change, ...] = ()
    failures: tuple[Failure, ...] = ()
    """What cannot be done. Where `blocked`, nothing of the step is done; else the rest is, and the step stays open."""
    blocked: bool = False
    skip: str = ""
    """Why there is nothing to do and nothing to prove, or empty."""
    notes: tuple[str, ...] = ()
    """What a person who approves should know: who else is hit, what cannot be undone."""

    def sentences(self) -> tuple[str, ...]:
        """The plan for people: what would change, what cannot, and what they should know."""
        said = [f"{c.resource}: {c.summary}" for c in self.changes]
        said += [f"cannot be done: {f.message}" for f in self.failures]
        said += [self.skip] if self.skip else []
        return tuple(dict.fromkeys((*said, *self.notes)))[:30]


class StepOutcome(BaseModel):
    """What became of a step, as read again."""

    model_config = WIRE

    complete: bool
    skipped: bool = False
    """Complete without doing anything: its outcome was already true, or its target is gone."""
    summary: str = ""
    """One sentence: what was done."""
    failures: tuple[Failure, ...] = ()
    containment: Containment | None = None
    """What the step proves about the subject of its path; None for a step that proves nothing of the kind."""
    at: datetime | None = None
    """When that was read, the worker's clock, UTC."""
    reasons: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    notes: tuple[str, ...] = ()
    entries: StoredList | None = None
    """Evidence to be sealed."""
    artefacts: int = 0
