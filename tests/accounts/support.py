"""Accounts, their tokens and their pods in a real cluster, and steps run as a worker would."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.accounts.recreate import AccountActivities
from activities.doors import Doors
from activities.steps import PlanningActivities
from contracts.common import IncidentKey, PodTargets
from contracts.steps import StepOutcome, StepPlan, StepRequest
from devstack.kube import KubeApi
from findings.model import Finding
from plans.model import Gate, Path, Step, Target, TargetKind, Verdict
from tests.assess.support import account_user, raw_finding, read
from tests.isolation.support import Killed, eventually
from tests.isolation.support import read as find

Json = dict[str, Any]
INCIDENT = IncidentKey(workflow_id="gd/123456789012/us-east-1/accounts", run_id="run-1")
BY_NAME = "kubernetes.io/service-account.name"


def path(namespace: str, plural: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def make_account(admin: KubeApi, namespace: str, name: str, **fields: Any) -> Json:
    metadata = {"name": name, **fields.pop("metadata", {})}
    return admin.request("POST", path(namespace, "serviceaccounts"), {"metadata": metadata, **fields})


def account(admin: KubeApi, namespace: str, name: str) -> Json:
    return eventually(lambda: find(admin, path(namespace, "serviceaccounts", name)))


def make_token_secret(admin: KubeApi, namespace: str, account_name: str, name: str = "") -> str:
    """A legacy token Secret, filled by its controller; returns the token."""
    name = name or f"{account_name}-token"
    # As somebody applied it with kubectl, which keeps the manifest in an annotation.
    annotations = {BY_NAME: account_name, "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    body = {
        "metadata": {"name": name, "annotations": annotations, "labels": {"team": "shop"}},
        "type": "kubernetes.io/service-account-token",
    }
    admin.request("POST", path(namespace, "secrets"), body)
    return legacy_token(admin, namespace, name)


def legacy_token(admin: KubeApi, namespace: str, name: str) -> str:
    def filled() -> str:
        data = (find(admin, path(namespace, "secrets", name)) or {}).get("data") or {}
        return base64.b64decode(data.get("token", "")).decode()

    return eventually(filled)


def bound_token(admin: KubeApi, namespace: str, name: str) -> str:
    """A token as the kubelet asks for it."""
    answer = admin.request("POST", path(namespace, "serviceaccounts", name) + "/token", {"spec": {}})
    return str(answer["status"]["token"])


def honoured(admin: KubeApi, token: str) -> bool:
    """What the API server says of a token."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = admin.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    return bool(answer["status"].get("authenticated"))


def request_for(
    namespace: str,
    name: str,
    *,
    step: str = "user.recreate_account",
    targets: tuple[Target, ...] = (),
    pods: PodTargets | None = None,
    **more: Any,
) -> StepRequest:
    target = Target(kind=TargetKind.SERVICE_ACCOUNT, namespace=namespace, name=name)
    path_, _, action = step.partition(".")
    return StepRequest(
        incident=INCIDENT,
        step=Step(
            step=step,
            path=Path(path_),
            action=action,
            targets=targets or (target,),
            gate=Gate.CREDENTIALS,
            decision=Verdict.APPROVAL,
            reason="test",
            undo="nothing",
        ),
        finding=more.pop("finding", None) or finding_of(namespace, name),
        pods=pods or PodTargets(),
        **more,
    )


def finding_of(namespace: str, name: str) -> Finding:
    return read(raw_finding("f-1", user=account_user(namespace, name)))


def plan(doors: Doors, request: StepRequest, *, room: Any = AccountActivities) -> StepPlan:
    return ActivityEnvironment().run(PlanningActivities(doors, (room(doors),)).plan_step, request)


def carry_out(doors: Doors, request: StepRequest, *, planned: StepPlan | None = None) -> StepOutcome:
    """Make what was planned, as the workflow has it done."""
    changes = (planned or plan(doors, request)).changes
    room = AccountActivities(doors)
    verb = room.rotate_accounts if request.step.path is Path.NODE else room.recreate_account
    return ActivityEnvironment().run(verb, request.model_copy(update={"changes": changes}))


def killed_after(doors: Doors, mutations: int) -> Doors:
    """The same doors, both of them, of a worker that dies when it is about to change something once more."""
    left = [mutations]

    def before() -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1

    return dataclasses.replace(
        doors, kubernetes=doors.kubernetes.guarded_by(before), bindings=doors.bindings.guarded_by(before)
    )
