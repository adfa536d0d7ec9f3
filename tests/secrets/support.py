"""Secrets of every origin in a real cluster; the tests play the controllers that a cluster has for them."""

from __future__ import annotations

from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from activities.secrets.rotate import SecretActivities
from contracts.steps import StepOutcome, StepPlan, StepRequest
from devstack.kube import KubeApi, KubeError
from tests.accounts.support import path, plan
from tests.isolation.support import eventually

Json = dict[str, Any]
CERTIFICATES = "/apis/cert-manager.io/v1"
EXTERNAL = "/apis/external-secrets.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
_KINDS = (
    ("cert-manager.io", "certificates", "Certificate", "Namespaced"),
    ("external-secrets.io", "externalsecrets", "ExternalSecret", "Namespaced"),
    ("external-secrets.io", "secretstores", "SecretStore", "Namespaced"),
    ("external-secrets.io", "clustersecretstores", "ClusterSecretStore", "Cluster"),
)


def install_kinds(admin: KubeApi) -> None:
    """Definitions that allow everything: the fields that matter are those that the product reads and writes."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for group, plural, kind, scope in _KINDS:
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}},
        }
        names = {"plural": plural, "kind": kind, "singular": kind.lower()}
        body = {
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": scope, "names": names, "versions": [version]},
        }
        try:
            admin.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
        except KubeError as error:
            # Other tests of the session may have installed them.
            if error.status != 409:
                raise
        eventually(lambda group=group, plural=plural: _served(admin, group, plural))  # type: ignore[misc]


def _served(admin: KubeApi, group: str, plural: str) -> bool:
    try:
        admin.request("GET", f"/apis/{group}/v1/{plural}")
    except KubeError:
        return False
    return True


def make_secret(admin: KubeApi, namespace: str, name: str, **metadata: Any) -> Json:
    body = {"metadata": {"name": name, **metadata}, "stringData": {"password": f"the value of {name}"}}
    return admin.request("POST", path(namespace, "secrets"), body)


def make_certificate(admin: KubeApi, namespace: str, name: str, *, policy: str = "Always", revision: int = 3) -> Json:
    """A Certificate that was issued some times, and its Secret."""
    make_secret(admin, namespace, f"{name}-tls", annotations={"cert-manager.io/certificate-name": name})
    root = f"{CERTIFICATES}/namespaces/{namespace}/certificates"
    spec: Json = {"secretName": f"{name}-tls"}
    if policy:
        spec["privateKey"] = {"rotationPolicy": policy}
    body = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": name}, "spec": spec}
    made = admin.request("POST", root, body)
    ready = {"type": "Ready", "status": "True", "reason": "Ready"}
    made["status"] = {"revision": revision, "conditions": [ready]}
    return admin.request("PUT", f"{root}/{name}/status", made)


def certificate(admin: KubeApi, namespace: str, name: str) -> Json:
    return admin.request("GET", f"{CERTIFICATES}/namespaces/{namespace}/certificates/{name}")


def marked(live: Json) -> bool:
    conditions = live["status"]["conditions"]
    return any(c["type"] == "Issuing" and c["status"] == "True" for c in conditions)


def issue(admin: KubeApi, namespace: str, name: str) -> None:
    """What cert-manager does with a Certificate that is marked."""
    live = certificate(admin, namespace, name)
    assert marked(live)
    conditions = [c for c in live["status"]["conditions"] if c["type"] != "Issuing"]
    live["status"] = {"revision": live["status"]["revision"] + 1, "conditions": conditions}
    admin.request("PUT", f"{CERTIFICATES}/namespaces/{namespace}/certificates/{name}/status", live)


def allow(admin: KubeApi, namespace: str, subject: Json, *names: str, verbs: tuple[str, ...] = ("get",)) -> str:
    """A Role on Secrets, all of the namespace or some by name, and its binding; returns the name of both."""
    name = f"reads-{len(names)}-{subject['name']}".lower().replace(":", "-")
    rule: Json = {"apiGroups": [""], "resources": ["secrets"], "verbs": list(verbs)}
    if names:
        rule["resourceNames"] = list(names)
    admin.request("POST", f"{RBAC}/namespaces/{namespace}/roles", {"metadata": {"name": name}, "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    body = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
    admin.request("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", body)
    return name


def account_subject(namespace: str, name: str) -> Json:
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def plan_secrets(doors: Doors, request: StepRequest) -> StepPlan:
    return plan(doors, request, room=SecretActivities)


def rotate(doors: Doors, request: StepRequest, *, planned: StepPlan | None = None, **options: Any) -> StepOutcome:
    changes = (planned or plan_secrets(doors, request)).changes
    room = SecretActivities(doors, **options)
    return ActivityEnvironment().run(room.rotate_secrets, request.model_copy(update={"changes": changes}))
