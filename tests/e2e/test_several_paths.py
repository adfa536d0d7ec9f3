"""One finding that opens the paths of the user, the pod and the node, through the command line alone (guide G1)."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable
from pathlib import Path

import pytest

from clients.paths import list_path
from contracts.incidents import IncidentView
from contracts.names import HELD_LABEL, LABEL_ON
from contracts.states import IncidentState
from devstack.demo_workload import CLEAN_IMAGE, IMAGE
from devstack.kube import KubeApi
from tests.accounts.support import account, bound_token, honoured, make_account
from tests.assess.support import KIND, account_user, raw_finding, workload_of
from tests.e2e.incident import Incident, eventually, step_state
from tests.e2e.targets import NAME, uids
from tests.e2e.workloads import Json, images_of, open_policy, workload
from tests.e2e.world import World, is_held
from tests.node.support import TOLERATION, Fleet, TestNode, deployment_near, fleet

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

nodes = pytest.fixture(name="nodes")(fleet)


def ended(view: IncidentView, steps: Iterable[str]) -> bool:
    """Whether nothing of these steps is left to do."""
    return {step_state(view, step) for step in steps} <= {"done", "skipped"}


async def approved(world: World, incident: Incident, gate: str) -> IncidentView:
    """Approve a gate once, and wait until every step behind it, of whichever path, has ended."""
    waiting = await incident.waiting(gate)
    image = ["--image", CLEAN_IMAGE] if waiting.needs_image else []
    answer = await world.firebreak("approve", incident.id, gate, "--reason", "seen", "--by", "ada", *image)
    assert answer["accepted"]
    return await incident.until(lambda v: ended(v, waiting.steps), f"what waited behind {gate} has ended")


def summary_of(world: World, nodes: Fleet, node: TestNode) -> Json:
    """What the response to the finding may change, but for what is named as irreversible."""
    query = {"labelSelector": f"{HELD_LABEL}={LABEL_ON}"}
    held = world.admin.request("GET", list_path("ConfigMap", "firebreak"), query=query)["items"]
    # Incidents of other tests have their own.
    ours = (world.namespace, node.name, node.instance_id)
    records = sorted(h["metadata"]["name"] for h in held if any(word in json.dumps(h) for word in ours))
    return {"namespace": world.state(), "node": nodes.summary(node), "held": records}


async def attacked(world: World, nodes: Fleet, admin: KubeApi) -> TestNode:
    """An account whose privileged pods run on a node, and somebody else's pods beside them."""
    node = nodes.node()
    make_account(admin, world.namespace, "spy")
    containers = [{"name": "checkout", "image": IMAGE, "securityContext": {"privileged": True}}]
    near = deployment_near(node, "x", 1)["spec"]["template"]["spec"]["affinity"]
    pod = {"containers": containers, "affinity": near, "tolerations": [TOLERATION], "serviceAccountName": "spy"}
    world.create(open_policy("open"))
    world.create(workload("Deployment", NAME, replicas=2, pod=pod))
    world.create(deployment_near(node, "beside", 1))
    running = [*await world.ready(NAME, 2), *await world.ready("beside", 1)]
    assert {p["spec"]["nodeName"] for p in running} == {node.name}
    return node


async def started(world: World, folder: Path, accused: Json) -> Incident:
    """The incident about a privileged pod that a service account started, once it is contained."""
    spy = world.get("ServiceAccount", "spy")["metadata"]["uid"]
    raw = raw_finding(
        uuid.uuid4().hex,
        finding_type=KIND,
        workload=workload_of(accused, "pods"),
        user=account_user(world.namespace, "spy", spy),
    )
    world.publish(raw)
    file = folder / "finding.json"
    file.write_text(json.dumps({"Findings": [raw]}))
    incident = world.incident((await world.firebreak("start", str(file)))["incident"])
    await incident.contained()
    await incident.until(lambda v: ended(v, ("node.protect", "node.snapshot")), "the node is protected and kept")
    return incident


async def test_three_paths_of_one_finding_wait_behind_one_approval_a_gate(
    world: World, nodes: Fleet, admin: KubeApi, tmp_path: Path
) -> None:
    node = await attacked(world, nodes, admin)
    accused, spared = world.pods(NAME)
    old = uids(world.pods())
    token, first = bound_token(admin, world.namespace, "spy"), account(admin, world.namespace, "spy")
    incident = await started(world, tmp_path, accused)

    shown = await world.firebreak("show", incident.id)
    assert {"user", "pod", "node"} <= set(shown["paths"])
    assert [p["uid"] for p in shown["targets"]["pods"]] == [accused["metadata"]["uid"]]
    assert [n["uid"] for n in shown["targets"]["nodes"]] == [node.uid]
    assert [is_held(world.get("Pod", p["metadata"]["name"])) for p in (accused, spared)] == [True, False]
    now = nodes.summary(node)
    assert (now["cordoned"], now["protected"], now["scale-in"], now["groups"]) == (True, True, True, ["default"])
    assert account(admin, world.namespace, "spy")["metadata"]["uid"] == first["metadata"]["uid"]
    assert honoured(admin, token) and uids(world.pods()) == old, "nobody approved anything yet"

    await approved(world, incident, "contain")
    assert nodes.groups_of(node) == ["firebreak-isolation"]
    await approved(world, incident, "credentials")
    assert account(admin, world.namespace, "spy")["metadata"]["uid"] != first["metadata"]["uid"]
    await eventually(lambda: not honoured(admin, token), "the old token is refused")
    assert nodes.state(node) == "running"
    await approved(world, incident, "eradicate")
    assert accused["metadata"]["uid"] not in uids(world.pods())
    await approved(world, incident, "terminate")
    assert (nodes.state(node), nodes.exists(node)) == ("terminated", False)
    assert [s["State"] for s in nodes.snapshots(node)] == ["completed"]

    await do_every_task(world, incident)
    await incident.result()
    over = await world.firebreak("show", incident.id)
    assert (over["state"], over["containment"], over["open"]) == ("Remediated", "verified", False)
    # Nothing plays the kubelet of a node that a test made, so that the log of its pods cannot be had.
    assert {f["step"] for f in over["failures"]} <= {"pod.collect"}, over["failures"]
    reviewed = {s["step"]: s["state"] for s in over["steps"]}
    assert (reviewed["node.review_accounts"], reviewed["node.rotate_accounts"]) == ("done", "done")
    counted = {g["gate"]: [d["by"] for d in g["decisions"] if d["counted"]] for g in over["gates"]}
    assert counted == {g: ["ada"] for g in ("contain", "credentials", "eradicate", "terminate")}
    behind = {g["gate"]: {s.partition(".")[0] for s in g["steps"]} for g in over["gates"]}
    assert {"user", "node"} <= behind["credentials"], "one approval opened the gate for more than one path"
    await world.ready(NAME, 2)
    await world.ready("beside", 1)
    assert uids(world.pods()).isdisjoint(old)
    assert {images_of(p)["checkout"] for p in world.pods(NAME)} == {CLEAN_IMAGE}
    assert all(p["spec"]["nodeName"] != node.name for p in world.pods())

    renewed = account(admin, world.namespace, "spy")
    released = await world.firebreak("release", incident.id, "--reason", "once more as it was", "--by", "ada")
    assert released["done"] and not released["failures"], released
    assert images_of(world.get("Deployment", NAME))["checkout"] == IMAGE, "what can be undone is"
    assert (nodes.state(node), nodes.exists(node)) == ("terminated", False)
    assert account(admin, world.namespace, "spy")["metadata"]["uid"] == renewed["metadata"]["uid"]
    kept = " ".join(released["kept"])
    assert node.instance_id in kept and "ServiceAccountIdentity" in kept, "and what cannot be is said"
    assert not world.marks()


async def do_every_task(world: World, incident: Incident) -> None:
    """Only people rotate what kube-system's own accounts hold; the incident is not over before they have."""
    tasks = [t.task.id for t in (await incident.view()).tasks if not t.done]
    assert tasks and await incident.is_open()
    said = ("--reason", "seen to", "--by", "ada")
    await asyncio.gather(*(world.firebreak("task", "done", incident.id, task, *said) for task in tasks))


async def test_a_release_gives_back_what_three_paths_changed(
    world: World, nodes: Fleet, admin: KubeApi, tmp_path: Path
) -> None:
    node = await attacked(world, nodes, admin)
    before = summary_of(world, nodes, node)
    incident = await started(world, tmp_path, world.pods(NAME)[0])
    await approved(world, incident, "contain")
    during = summary_of(world, nodes, node)
    assert {k for k in before if during[k] == before[k]} == set(), "each of them was changed"

    released = await world.firebreak("release", incident.id, "--reason", "false alarm", "--by", "ada")
    assert released["done"] and not released["failures"], released
    assert (await incident.result()).state is IncidentState.RELEASED
    assert summary_of(world, nodes, node) == before
    assert not world.marks()
