"""Settings that let somebody in are closed, and opened again by release (guide C1 to C4)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from contracts.incidents import Observation
from contracts.names import Handler
from contracts.states import Containment, IncidentState, ObservationKind
from devstack.kube import KubeApi
from tests.assess.support import pod_spec, raw_finding
from tests.e2e.incident import eventually, step_state
from tests.e2e.workloads import Json
from tests.e2e.world import World

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ANONYMOUS = {"Username": "system:anonymous", "Groups": ["system:unauthenticated"]}
OTHER = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}
NOBODY = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:anonymous"}
EVERYBODY = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"}


@pytest.fixture
def binding(admin: KubeApi) -> Iterator[str]:
    """A binding that opens the cluster's discovery to anonymous users, and to one who may stay."""
    name = f"open-{uuid.uuid4().hex[:8]}"
    body = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [NOBODY, OTHER, EVERYBODY],
    }
    admin.request("POST", f"{RBAC}/clusterrolebindings", body)
    yield name
    admin.request("DELETE", f"{RBAC}/clusterrolebindings/{name}")


def subjects(admin: KubeApi, name: str) -> list[Json]:
    found: list[Json] = admin.request("GET", f"{RBAC}/clusterrolebindings/{name}").get("subjects", [])
    return found


async def test_anonymous_users_are_unbound_and_nobody_else(world: World, admin: KubeApi, binding: str) -> None:
    raw = raw_finding(
        uuid.uuid4().hex,
        finding_type="Policy:Kubernetes/AnonymousAccessGranted",
        user=ANONYMOUS,
    )
    world.publish(raw)
    incident = await world.start(raw)

    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED, view
    assert view.containment is Containment.VERIFIED
    assert step_state(view, "configuration.unbind_anonymous") == "done"
    assert subjects(admin, binding) == [OTHER]
    public = admin.request("GET", f"{RBAC}/clusterrolebindings/system:public-info-viewer")["subjects"]
    assert EVERYBODY in public

    released = await world.firebreak("release", incident.id, "--reason", "it was meant to be open")
    assert released["done"] and not released["failures"]
    assert subjects(admin, binding) == [NOBODY, OTHER, EVERYBODY]


def dashboard(namespace: str) -> Json:
    """A Service that opens the dashboard to the world, under its usual name."""
    ports = [{"name": "tls", "port": 443, "targetPort": 8443}]
    return {
        "kind": "Service",
        "metadata": {"name": "kubernetes-dashboard", "namespace": namespace},
        "spec": {"type": "LoadBalancer", "selector": {"app": "dashboard"}, "ports": ports},
    }


async def test_an_open_dashboard_from_finding_to_the_release_of_the_closed_incident(
    world: World, admin: KubeApi, binding: str
) -> None:
    opened = world.create(dashboard(world.namespace))["spec"]
    raw = raw_finding(uuid.uuid4().hex, finding_type="Policy:Kubernetes/ExposedDashboard", user=ANONYMOUS)
    world.publish(raw)
    incident = await world.start(raw)
    view = await incident.contained()
    assert subjects(admin, binding) == [OTHER]
    assert world.get("Service", "kubernetes-dashboard")["spec"] == opened, "that waits for a person"
    view = await incident.until(lambda v: bool(v.previews), "the approver sees what would change")
    assert "Service" in view.previews["configuration.close_service"][0]

    # Somebody lets everybody in again while the incident is open.
    path = f"{RBAC}/clusterrolebindings/{binding}"
    admin.request("PATCH", path, {"subjects": [OTHER, EVERYBODY]}, content_type="application/merge-patch+json")
    await incident.handle.signal(Handler.OBSERVE.value, Observation(kind=ObservationKind.DRIFT, reason="bound again"))
    await eventually(lambda: subjects(admin, binding) == [OTHER], "everybody is out again")

    await incident.approve("eradicate")
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED)
    closed = world.get("Service", "kubernetes-dashboard")["spec"]
    assert closed["type"] == "ClusterIP" and "nodePort" not in closed["ports"][0]

    released = await world.firebreak("release", incident.id, "--reason", "it was meant to be open")
    assert released["done"] and not released["failures"]
    assert world.get("Service", "kubernetes-dashboard")["spec"] == opened
    assert {json.dumps(s, sort_keys=True) for s in subjects(admin, binding)} >= {
        json.dumps(s, sort_keys=True) for s in (OTHER, EVERYBODY)
    }


async def test_the_default_account_waits_for_a_person_who_sees_which_pods_lose_its_rights(
    world: World, admin: KubeApi
) -> None:
    ours = {"kind": "ServiceAccount", "namespace": world.namespace, "name": "default"}
    name = f"admin-{uuid.uuid4().hex[:8]}"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    made = admin.request(
        "POST", f"{RBAC}/clusterrolebindings", {"metadata": {"name": name}, "roleRef": role, "subjects": [ours, OTHER]}
    )
    world.create({"kind": "Pod", "metadata": {"name": "worker"}, "spec": pod_spec()})
    raw = raw_finding(
        uuid.uuid4().hex,
        finding_type="Policy:Kubernetes/AdminAccessToDefaultServiceAccount",
        user={"Username": "system:kube-controller-manager", "Groups": ["system:authenticated"]},
    )
    details = {"Kind": "ClusterRoleBinding", "Name": name, "Uid": made["metadata"]["uid"]}
    raw["Service"]["Action"] = {"ActionType": "KUBERNETES_API_CALL", "KubernetesRoleBindingDetails": details}
    try:
        world.publish(raw)
        incident = await world.start(raw)
        view = await incident.until(lambda v: bool(v.previews), "the approver sees what would change")
        assert any("worker" in line for line in view.previews["configuration.unbind_default_account"])
        assert (view.containment, view.changes, subjects(admin, name)) == (Containment.NONE, (), [ours, OTHER])
        await incident.approve("contain")
        view = await incident.result()
        assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED)
        assert subjects(admin, name) == [OTHER]
        await world.firebreak("release", incident.id, "--reason", "it was meant")
        assert subjects(admin, name) == [ours, OTHER]
    finally:
        admin.request("DELETE", f"{RBAC}/clusterrolebindings/{name}")
