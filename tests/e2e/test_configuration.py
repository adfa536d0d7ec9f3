"""Settings that let somebody in are closed, and opened again by release (guide C1, C2)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from contracts.states import Containment, IncidentState
from devstack.kube import KubeApi
from tests.assess.support import raw_finding
from tests.e2e.incident import step_state
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
