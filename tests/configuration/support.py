"""Bindings, Services and Ingresses, and the steps that close them."""

from __future__ import annotations

import uuid
from typing import Any

from activities.configuration.close import CloseActivities
from activities.configuration.revert import RevertActivities
from activities.configuration.suppress import SuppressActivities
from activities.configuration.unbind import UnbindActivities
from clients.paths import list_path
from contracts.common import IncidentKey
from contracts.steps import StepRequest
from findings.model import Finding
from plans.model import Gate, Path, Step, Target, TargetKind, Verdict
from tests.assess.support import ACCOUNT, raw_finding, read
from tests.step_rooms import StepRooms

Json = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"


def path_of(kind: str, namespace: str = "") -> str:
    return list_path(kind, namespace)


def fresh(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:8]}"


def a_binding(*subjects: Json, role: str = "view", kind: str = "ClusterRoleBinding", role_kind: str = "") -> Json:
    return {
        "kind": kind,
        "metadata": {"name": fresh("b")},
        "roleRef": {"apiGroup": RBAC, "kind": role_kind or "ClusterRole", "name": role},
        "subjects": [*subjects],
    }


def account(namespace: str, name: str = "default") -> Json:
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def user(name: str) -> Json:
    return {"kind": "User", "apiGroup": RBAC, "name": name}


def group(name: str) -> Json:
    return {"kind": "Group", "apiGroup": RBAC, "name": name}


def finding(finding_type: str, **more: Any) -> Finding:
    raw = raw_finding(fresh("f"), finding_type=finding_type, workload=more.pop("workload", None))
    return read(raw).model_copy(update=more)


def request(about: Finding, action: str, gate: Gate = Gate.CONTAIN, target: str = "") -> StepRequest:
    step = Step(
        step=f"configuration.{action}",
        path=Path.CONFIGURATION,
        action=action,
        targets=(Target(kind=TargetKind.BINDING, name=target or fresh("named")),),
        gate=gate,
        decision=Verdict.APPROVAL,
        reason="a test",
        undo="a test",
        proves=gate is Gate.CONTAIN,
    )
    key = IncidentKey(workflow_id=f"gd/{ACCOUNT}/us-east-1/{fresh('i')}", run_id="run-1")
    return StepRequest(incident=key, step=step, finding=about)


class Room(StepRooms):
    """The rooms of the configuration path."""

    kinds = (UnbindActivities, RevertActivities, CloseActivities, SuppressActivities)
