"""Evidence from a container that really runs: its log, its processes, its sockets, from the finding to verification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.collect.node_view.sockets import STILL_OPEN
from contracts.names import VIEW_NAMESPACE
from contracts.states import Containment, IncidentState
from devstack.kube import KubeApi
from devstack.real_node.names import BUSYBOX_IMAGE, DEMO_IMAGE, DEMO_PORT, NODE_NAME
from devstack.real_node.pods import demo_pod, on_real_node, run_pod
from devstack.stack import StackInfo
from evidence.store import read_bytes
from tests.e2e.conftest import new_temporal_namespace
from tests.e2e.incident import Incident, eventually, key_of
from tests.e2e.processes import Zygote
from tests.e2e.workloads import workload
from tests.e2e.world import POLICY, World

pytestmark = [pytest.mark.stack, pytest.mark.real_node]


@pytest.fixture
async def world(
    real_stack: StackInfo, real_admin: KubeApi, real_namespace: str, tmp_path: Path
) -> AsyncIterator[World]:
    """A namespace on the real stack, in the care of a worker whose policy names an image to look with."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"{POLICY.read_text()}\nevidence: {{node_view: {{image: '{BUSYBOX_IMAGE}'}}}}\n")
    for folder in ("workers", "commands"):
        (tmp_path / folder).mkdir()
    workers, commands = Zygote(tmp_path / "workers"), Zygote(tmp_path / "commands")
    client = await new_temporal_namespace(real_stack)
    made = World(real_stack, real_admin, client, commands, real_namespace, policy=policy)
    workers.start(made.environment())
    yield made
    await made.close()
    workers.close()
    commands.close()


def deployed(world: World, name: str, peer: str) -> None:
    """The demo image as a Deployment on the real node, connected to another pod."""
    container = {"name": name, "image": DEMO_IMAGE, "env": [{"name": "PEER", "value": peer}]}
    world.create(workload("Deployment", name, replicas=1, pod=on_real_node({"containers": [container]})))


class Kept:
    """What the evidence holds of one pod."""

    def __init__(self, world: World, prefix: str, uid: str) -> None:
        self._store, self._folder = world.evidence(), f"{prefix}/pods/{uid}"

    def text(self, file: str) -> str:
        return read_bytes(self._store, f"{self._folder}/{file}").decode()

    def document(self, file: str) -> dict[str, Any]:
        return dict(json.loads(self.text(file)))


async def started(world: World, name: str) -> tuple[Incident, dict[str, Any], str]:
    """A contained and collected incident about a pod that holds a connection, and to which address."""
    peer = run_pod(world.admin, world.namespace, demo_pod("peer"))["status"]["podIP"]
    deployed(world, name, peer)
    (pod,) = await world.ready(name, 1)
    log = f"/api/v1/namespaces/{world.namespace}/pods/{pod['metadata']['name']}/log"
    await eventually(lambda: "order placed 2" in world.admin.request("GET", log)["text"], "it works")
    incident = await world.start(world.finding_about(pod))
    await incident.contained()
    await incident.collected()
    return incident, pod, peer


async def test_a_log_line_a_process_and_an_open_socket_are_found_and_verified(world: World) -> None:
    incident, pod, peer = await started(world, "shop")
    assert pod["spec"]["nodeName"] == NODE_NAME
    view = await incident.view()
    kept = Kept(world, key_of(view).evidence_prefix, pod["metadata"]["uid"])
    assert "order placed 2" in kept.text("logs/c0.log")
    (container,) = kept.document("node/processes.json")["containers"]
    commands = [" ".join(p["command"]) for p in container["processes"]]
    assert any(f"nc -ll -p {DEMO_PORT}" in c for c in commands), commands
    assert any(f"nc {peer} {DEMO_PORT}" in c for c in commands), commands
    assert not any("firebreak" in c and "view" in c for c in commands), "it is looked at from outside"
    sockets = kept.document("node/sockets.json")["sockets"]
    processes = {p["pid"]: " ".join(p["command"]) for p in container["processes"]}
    (held,) = [s for s in sockets if s["remote"] == f"{peer}:{DEMO_PORT}"]
    assert (held["state"], processes[held["process"]]) == ("ESTABLISHED", f"nc {peer} {DEMO_PORT}")
    assert any(s["state"] == "LISTEN" and s["local"].endswith(f":{DEMO_PORT}") for s in sockets)
    assert any(m["point"] == "/" for m in kept.document("node/mounts.json")["containers"][0]["mounts"])

    assert view.containment is Containment.VERIFIED, "the policy is proved; what it does not end is said beside"
    (said,) = [p for p in view.proposals if STILL_OPEN in p]
    assert f"{peer}:{DEMO_PORT}" in said and "isolating its node" in said
    assert (await world.firebreak("evidence", "verify", incident.id))["ok"]
    assert world.admin.request("GET", f"/api/v1/namespaces/{VIEW_NAMESPACE}/pods")["items"] == []

    assert (await incident.release()).state is IncidentState.RELEASED
    (after,) = await world.ready("shop", 1)
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert not world.marks()


async def test_doctor_says_whether_containers_can_be_looked_at(world: World) -> None:
    def node_view(answer: dict[str, Any]) -> dict[str, Any]:
        return next(c for c in answer["checks"] if c["name"] == "node-view")

    (there,) = [node_view(json.loads((await world.run("doctor")).stdout))]
    assert there["status"] == "ok" and BUSYBOX_IMAGE in there["detail"]
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{VIEW_NAMESPACE}/rolebindings"
    before = world.admin.request("GET", f"{binding}/firebreak-view")
    world.admin.request("DELETE", f"{binding}/firebreak-view")
    try:
        (missing,) = [node_view(json.loads((await world.run("doctor")).stdout))]
    finally:
        kept = {k: before[k] for k in ("roleRef", "subjects")}
        world.admin.request("POST", binding, {"metadata": {"name": "firebreak-view"}, **kept})
    assert missing["status"] == "fail" and "create pods in firebreak-view" in missing["detail"]
    assert "node-view.yaml" in missing["fix"]


async def test_what_a_container_wrote_is_found_with_its_hash(world: World) -> None:
    script = "echo evil > /dropped; rm /bin/demo; exec sleep 3600"
    container = {"name": "box", "image": DEMO_IMAGE, "command": ["sh", "-c", script]}
    world.create(workload("Deployment", "box", replicas=1, pod=on_real_node({"containers": [container]})))
    (pod,) = await world.ready("box", 1)
    incident = await world.start(world.finding_about(pod))
    await incident.collected()
    view = await incident.view()
    kept = Kept(world, key_of(view).evidence_prefix, pod["metadata"]["uid"])
    (found,) = kept.document("node/files.json")["containers"]
    files = {f["path"]: f for f in found["files"]}
    assert files["/dropped"]["size"] == 5
    assert files["/dropped"]["sha256"] == hashlib.sha256(b"evil\n").hexdigest()
    assert files["/bin/demo"]["change"] == "deleted"
    await incident.release()
