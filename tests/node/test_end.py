"""The end of nodes: evidence and snapshots first, then the role, the pods, the machine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from activities.doors import Doors
from activities.node.drain import DrainActivities
from devstack.kube import KubeApi
from tests.assess.support import eventually
from tests.node.incident import Incident
from tests.node.support import Fleet, Json, TestNode, create_pod, deployment_near

POLICY = "/apis/policy/v1/namespaces"


@pytest.fixture
def karpenter(admin: KubeApi) -> Iterator[str]:
    """Karpenter's NodeClaims, as far as the API server needs to know them; returns their path."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "NodeClaim", "plural": "nodeclaims", "singular": "nodeclaim", "listKind": "NodeClaimList"}
    body = {
        "metadata": {"name": "nodeclaims.karpenter.sh"},
        "spec": {"group": "karpenter.sh", "scope": "Cluster", "names": names, "versions": [version]},
    }
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    admin.request("POST", crds, body)
    path = "/apis/karpenter.sh/v1/nodeclaims"
    eventually(lambda: admin.exists(path), "the API server serves NodeClaims")
    yield path
    admin.request("DELETE", f"{crds}/nodeclaims.karpenter.sh")


def pods_of(admin: KubeApi, space: str, **query: str) -> list[Json]:
    found: list[Json] = admin.request("GET", f"/api/v1/namespaces/{space}/pods", query=query or None)["items"]
    return found


def on_node(admin: KubeApi, space: str, node: TestNode) -> set[str]:
    found = pods_of(admin, space, fieldSelector=f"spec.nodeName={node.name}")
    return {p["metadata"]["name"] for p in found}


def budget(admin: KubeApi, space: str, app: str) -> None:
    """A disruption budget that never allows anything."""
    spec = {"minAvailable": "100%", "selector": {"matchLabels": {"app": app}}}
    admin.request("POST", f"{POLICY}/{space}/poddisruptionbudgets", {"metadata": {"name": "never"}, "spec": spec})


def test_the_role_is_taken_and_given_back(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    before = nodes.summary(node)
    assert before["profile"]
    incident = Incident(doors)
    assert any("kubelet" in n for n in incident.plan("replace_profile", node).notes)
    assert incident.carry_out("replace_profile", node).complete
    assert nodes.summary(node) == before | {"profile": ""}
    incident.release()
    assert nodes.summary(node) == before


def test_pods_leave_as_their_budgets_allow_and_evidence_stays(
    doors: Doors, nodes: Fleet, admin: KubeApi, space: str
) -> None:
    node = nodes.node()
    admin.request("POST", f"/apis/apps/v1/namespaces/{space}/deployments", deployment_near(node, "web", 3))
    eventually(lambda: len(on_node(admin, space, node)) == 3, "the pods run on the node")
    evidence = create_pod(admin, space, node, "evidence")
    create_pod(admin, space, node, "static", annotations={"kubernetes.io/config.mirror": "x"})
    create_pod(admin, space, node, "bare")
    incident = Incident(doors)
    notes = " ".join(incident.plan("drain", node, pods=(evidence,)).notes)
    assert "4 pods leave" in notes
    assert "ReplicaSet" in notes
    assert f"again elsewhere: {space}/bare" in notes
    outcome = incident.carry_out("drain", node, pods=(evidence,))

    assert outcome.complete, outcome
    assert on_node(admin, space, node) == {"evidence", "static"}
    assert nodes.summary(node)["cordoned"], "else the pods would come back"
    eventually(lambda: len(pods_of(admin, space, labelSelector="app=web")) == 3, "their owner starts others")


def test_a_budget_that_never_allows_it_is_named(doors: Doors, nodes: Fleet, admin: KubeApi, space: str) -> None:
    node = nodes.node()
    create_pod(admin, space, node, "kept", labels={"app": "kept"})
    budget(admin, space, "kept")
    room = DrainActivities(doors, within=timedelta(seconds=1))
    incident = Incident(doors, rooms=(room,))
    assert any("allow no disruption" in n and f"{space}/never" in n for n in incident.plan("drain", node).notes)
    outcome = incident.carry_out("drain", node)

    assert not outcome.complete
    (failure,) = outcome.failures
    assert (failure.target, failure.code) == (f"Pod {space}/kept", "Conflict")
    assert f"{space}/never" in failure.message
    assert on_node(admin, space, node) == {"kept"}
    incident.release()
    assert not nodes.summary(node)["cordoned"]


def test_a_machine_ends_through_its_group_when_nothing_of_it_is_needed(
    doors: Doors, nodes: Fleet, admin: KubeApi, space: str
) -> None:
    node = nodes.node()
    evidence = create_pod(admin, space, node, "evidence")
    desired = nodes.group()["DesiredCapacity"]
    incident = Incident(doors)
    incident.carry_out("protect", node)
    refused = incident.plan("terminate", node, pods=(evidence,))
    assert refused.blocked
    assert any("snapshot" in f.message for f in refused.failures)
    assert nodes.state(node) == "running"

    incident.carry_out("snapshot", node)
    create_pod(admin, space, node, "other")
    assert any("other pods" in f.message for f in incident.plan("terminate", node, pods=(evidence,)).failures)
    incident.carry_out("drain", node, pods=(evidence,))
    assert any(f"{space}/evidence" in n for n in incident.plan("terminate", node, pods=(evidence,)).notes)
    outcome = incident.carry_out("terminate", node, pods=(evidence,))

    assert outcome.complete, outcome
    assert nodes.state(node) == "terminated"
    assert not nodes.exists(node)
    group = nodes.group()
    assert group["DesiredCapacity"] == desired
    assert len(group["Instances"]) == desired
    assert node.instance_id not in {i["InstanceId"] for i in group["Instances"]}
    # What was held of it is void, and release finds nothing to put back.
    released = incident.release()
    assert not released.failures
    assert all("nothing brings it back" in k for k in released.kept)
    again = incident.carry_out("terminate", node)
    assert (again.complete, again.skipped) == (True, True)


def test_evidence_of_another_incident_keeps_the_machine(
    doors: Doors, nodes: Fleet, admin: KubeApi, firebreak: KubeApi, space: str
) -> None:
    node = nodes.node()
    create_pod(admin, space, node, "held")
    marks = {
        "labels": {"firebreak.dev/hold": "true"},
        "annotations": {"firebreak.dev/incidents": json.dumps(["gd/other"])},
    }
    path = f"/api/v1/namespaces/{space}/pods/held"
    firebreak.request("PATCH", path, {"metadata": marks}, content_type="application/merge-patch+json")
    incident = Incident(doors)
    incident.carry_out("snapshot", node)
    refused = incident.plan("terminate", node)
    assert refused.blocked
    assert any("gd/other" in f.message for f in refused.failures)
    assert incident.carry_out("drain", node).complete
    assert on_node(admin, space, node) == {"held"}


def test_a_machine_without_a_group_ends_all_the_same(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node(group=False)
    incident = Incident(doors)
    incident.carry_out("protect", node)
    incident.carry_out("snapshot", node)
    assert any("nothing replaces it" in n for n in incident.plan("terminate", node).notes)
    assert incident.carry_out("terminate", node).complete
    assert nodes.state(node) == "terminated"


def test_a_machine_that_ended_already_is_said_and_its_node_taken_away(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    nodes.ec2.terminate_instances(InstanceIds=[node.instance_id])
    incident = Incident(doors)
    for action in ("protect", "isolate", "snapshot", "replace_profile", "terminate"):
        outcome = incident.carry_out(action, node)
        assert outcome.complete, outcome
    assert not nodes.exists(node)


def test_a_node_of_karpenter_ends_through_its_claim(doors: Doors, nodes: Fleet, admin: KubeApi, karpenter: str) -> None:
    """Nobody plays Karpenter here: the claim goes, and the machine with it only when the test says so."""
    node = nodes.node(group=False, labels={"karpenter.sh/nodepool": "default"})
    claim: Json = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": f"claim-{uuid.uuid4().hex[:6]}"},
        "status": {"providerID": nodes.live(node)["spec"]["providerID"]},
    }
    admin.request("POST", karpenter, claim)
    incident = Incident(doors)
    incident.carry_out("snapshot", node)
    (change,) = [c for c in incident.plan("terminate", node).changes if c.resource.kind == "RunningMachine"]
    assert change.resource.namespace == f"nodeclaim:{claim['metadata']['name']}"
    incident.rooms[0]._engine.make([change], incident.key.workflow_id, "node.terminate", lambda: None)
    assert not admin.request("GET", karpenter)["items"]
    assert nodes.state(node) == "running", "the claim's controller ends the machine, not Firebreak"
