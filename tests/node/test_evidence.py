"""What is kept of a node before anything of it ends: facts, the accounts of its pods, snapshots of its volumes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from activities.doors import Doors
from devstack.aws import audit
from devstack.aws.audit import event
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from evidence.store import read_bytes
from findings.model import KubernetesUser
from tests.devstack.test_aws import client
from tests.node.incident import Incident
from tests.node.support import Fleet, TestNode, create_pod, pod_on


def kept(doors: Doors, incident: Incident, node: TestNode, file: str) -> Any:
    return json.loads(read_bytes(doors.store, f"{incident.key.evidence_prefix}/nodes/{node.uid}/{file}"))


def test_what_is_known_of_a_node_is_kept_and_what_failed_is_said(
    doors: Doors, nodes: Fleet, admin: KubeApi, space: str
) -> None:
    node = nodes.node()
    create_pod(admin, space, node, "app")
    incident = Incident(doors)
    outcome = incident.carry_out("collect", node)

    assert outcome.complete
    assert outcome.entries is not None
    assert kept(doors, incident, node, "node.json")["metadata"]["uid"] == node.uid
    (row,) = [p for p in kept(doors, incident, node, "pods.json")["pods"] if p["namespace"] == space]
    assert (row["name"], row["images"]) == ("app", ["registry.example/app:1"])
    instance = kept(doors, incident, node, "instance.json")["answer"]
    assert instance["InstanceId"] == node.instance_id
    assert "UserData" not in instance
    assert kept(doors, incident, node, "volumes.json")["answer"]
    again = incident.carry_out("collect", node)
    assert again.entries == outcome.entries, "a second attempt finds what the first one collected"

    foreign = nodes.node(tagged=False)
    outcome = Incident(doors).carry_out("collect", foreign)
    assert outcome.complete
    assert {f.target.split(" ")[0] for f in outcome.failures} >= {"instance", "volumes", "console-output"}


def test_of_a_node_that_called_itself_its_calls_are_kept(doors: Doors, nodes: Fleet, stack: StackInfo) -> None:
    node, other = nodes.node(), nodes.node()
    name = f"system:node:{node.name}"
    lines = [audit.line_of(event(who, "list", "secrets")) for who in (name, f"system:node:{other.name}", f"{name}0")]
    audit.write(client(stack, "logs"), stack.cluster, [(datetime.now(UTC), line) for line in lines])
    incident = Incident(doors)
    request = incident.request("collect", node, other)
    finding = request.finding.model_copy(update={"user": KubernetesUser(username=name)})
    outcome = incident.run("collect", request.model_copy(update={"finding": finding}))
    assert outcome.complete and outcome.failures == ()
    assert kept(doors, incident, node, "audit.jsonl")["user"]["username"] == name
    assert not [k for k in doors.store.keys(incident.key.evidence_prefix) if f"{other.uid}/audit" in k]


def test_the_accounts_on_a_node_are_reviewed_with_rights_roles_and_secrets(
    doors: Doors, nodes: Fleet, admin: KubeApi, space: str
) -> None:
    node = nodes.node()
    role = "arn:aws:iam::123456789012:role/uploader"
    account = {"metadata": {"name": "uploader", "annotations": {"eks.amazonaws.com/role-arn": role}}}
    admin.request("POST", f"/api/v1/namespaces/{space}/serviceaccounts", account)
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}"
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    admin.request("POST", f"{rbac}/roles", {"metadata": {"name": "reader"}, "rules": rules})
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "namespace": space, "name": "uploader"}],
    }
    admin.request("POST", f"{rbac}/rolebindings", binding)
    pod = pod_on(node, "app")
    pod["spec"] |= {
        "serviceAccountName": "uploader",
        "volumes": [{"name": "s", "secret": {"secretName": "tls"}}],
    }
    pod["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "env"}}]
    admin.request("POST", f"/api/v1/namespaces/{space}/pods", pod)

    incident = Incident(doors)
    outcome = incident.carry_out("review_accounts", node)
    reviewed = kept(doors, incident, node, "accounts.json")["accounts"][f"system:serviceaccount:{space}:uploader"]
    assert reviewed["pods"] == ["app"]
    assert reviewed["secrets"] == ["env", "tls"]
    assert reviewed["iamRoles"]["annotation"] == role
    assert reviewed["reaches"] == [f"get on secrets in {space}"]
    assert "1 with an IAM role" in outcome.summary
    assert f"{space}:uploader" in outcome.summary


def test_every_volume_is_snapshotted_once(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    zone = nodes.instance(node)["Placement"]["AvailabilityZone"]
    incident = Incident(doors)
    assert incident.carry_out("snapshot", node).complete
    assert incident.carry_out("snapshot", node).complete
    assert [s["State"] for s in nodes.snapshots(node)] == ["completed"]

    volume = nodes.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    nodes.ec2.attach_volume(Device="/dev/sdf", InstanceId=node.instance_id, VolumeId=volume)
    outcome = incident.carry_out("snapshot", node)
    assert {s["VolumeId"] for s in nodes.snapshots(node)} >= {volume}
    assert len(nodes.snapshots(node)) == 2
    assert all(s["SnapshotId"] in outcome.summary for s in nodes.snapshots(node))
    # Another incident cannot rest on them.
    assert Incident(doors).plan("terminate", node).blocked
