"""A dashboard that the world can reach is closed, and opened again as it was (guide C4)."""

from __future__ import annotations

import pytest

from devstack.kube import KubeApi
from plans.model import Gate
from tests.assess.support import template
from tests.configuration.conftest import Make
from tests.configuration.support import Json, Room, finding, fresh, path_of, request

EXPOSED = "Policy:Kubernetes/ExposedDashboard"
UNSEEN = ("resourceVersion", "managedFields", "generation", "creationTimestamp", "uid")


def service(app: str, kind: str = "LoadBalancer", **more: object) -> Json:
    ports = [{"name": "web", "port": 80, "targetPort": 8080}, {"name": "tls", "port": 443, "targetPort": 8443}]
    spec = {"type": kind, "selector": {"app": app}, "ports": ports, **more}
    return {"kind": "Service", "metadata": {"name": fresh("s")}, "spec": spec}


def ingress(*backends: str) -> Json:
    paths = [
        {"path": f"/{name}", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}}
        for name in backends
    ]
    return {"kind": "Ingress", "metadata": {"name": fresh("i")}, "spec": {"rules": [{"http": {"paths": paths}}]}}


@pytest.fixture
def dashboard(make: Make, namespace: str) -> Json:
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "board"}}, "template": template("board")}
    live = make({"kind": "Deployment", "metadata": {"name": "board"}, "spec": spec}, namespace)
    return {"Name": "board", "Namespace": namespace, "Type": "deployments", "Uid": live["metadata"]["uid"]}


def seen(admin: KubeApi, kind: str, live: Json) -> Json | None:
    metadata = live["metadata"]
    items = admin.request("GET", path_of(kind, metadata["namespace"]))["items"]
    found = next((i for i in items if i["metadata"]["name"] == metadata["name"]), None)
    if found is None:
        return None
    found["metadata"] = {k: v for k, v in found["metadata"].items() if k not in UNSEEN}
    return {k: v for k, v in found.items() if k != "status"}


def test_what_leads_to_the_dashboard_is_closed_and_opened_again_as_it_was(
    room: Room, make: Make, admin: KubeApi, dashboard: Json, namespace: str
) -> None:
    balanced = make(service("board", externalTrafficPolicy="Local", loadBalancerSourceRanges=["0.0.0.0/0"]), namespace)
    on_nodes = make(service("board", "NodePort"), namespace)
    inside = make(service("board", "ClusterIP"), namespace)
    neighbour = make(service("shop"), namespace)
    shared = make(ingress(inside["metadata"]["name"], neighbour["metadata"]["name"]), namespace)
    own = make(ingress(inside["metadata"]["name"]), namespace)
    objects = [("Service", s) for s in (balanced, on_nodes, inside, neighbour)]
    objects += [("Ingress", i) for i in (shared, own)]
    before = [seen(admin, kind, live) for kind, live in objects]

    asked = request(finding(EXPOSED, workload=dashboard), "close_service", Gate.ERADICATE)
    outcome, changes = room.carry_out(asked)
    assert (outcome.complete, outcome.failures) == (True, ())
    closed = seen(admin, "Service", balanced)
    assert closed is not None and closed["spec"]["type"] == "ClusterIP"
    assert not [p for p in closed["spec"]["ports"] if "nodePort" in p] and "externalTrafficPolicy" not in closed["spec"]
    assert seen(admin, "Service", neighbour) == before[3] and seen(admin, "Service", inside) == before[2]
    rest = seen(admin, "Ingress", shared)
    assert rest is not None
    assert [p["path"] for p in rest["spec"]["rules"][0]["http"]["paths"]] == [f"/{neighbour['metadata']['name']}"]
    assert seen(admin, "Ingress", own) is None
    # Killed at any point and run again: the same end.
    assert room.carry_out(asked)[0].complete

    assert not room.release(asked.incident, changes).failures
    assert [seen(admin, kind, live) for kind, live in objects] == before


def test_a_dashboard_that_is_not_open_needs_nothing(room: Room, make: Make, dashboard: Json, namespace: str) -> None:
    make(service("board", "ClusterIP"), namespace)
    make(service("shop"), namespace)
    assert room.plan(request(finding(EXPOSED, workload=dashboard), "close_service", Gate.ERADICATE)).skip


def test_where_the_finding_names_nothing_the_usual_name_must_be_the_only_one(
    room: Room, make: Make, admin: KubeApi, namespace: str
) -> None:
    board = service("any")
    board["metadata"]["name"] = "kubernetes-dashboard"
    make(board, namespace)
    asked = request(finding(EXPOSED), "close_service", Gate.ERADICATE)
    planned = room.plan(asked)
    assert [c.resource.namespace for c in planned.changes] == [namespace] and "usual name" in planned.notes[-1]
    other = fresh("t")
    make({"kind": "Namespace", "metadata": {"name": other}})
    make(board, other)
    planned = room.plan(asked)
    assert planned.blocked and other in planned.failures[0].message
