"""A compromised image: refused, contained wherever it runs, kept, replaced, archived, deleted; or let in again (I)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from activities.image.evidence import folder, is_exported
from activities.image.refusal import policy_name
from activities.image.repository import SID
from contracts.states import Containment, IncidentState
from devstack.kube import KubeApi, KubeError
from devstack.stack import StackInfo
from evidence.store import read_bytes
from tests.assess.support import workload_of
from tests.e2e.incident import eventually, key_of, step_state
from tests.e2e.workloads import Json, images_of, workload
from tests.e2e.world import World, is_held
from tests.image.registry import Pushed, ecr_client, new_repository, push
from tests.node.support import TOLERATION, Fleet, TestNode, fleet

if TYPE_CHECKING:
    from mypy_boto3_ecr.client import ECRClient

nodes = pytest.fixture(name="nodes")(fleet)
MALWARE = "Execution:Kubernetes/MaliciousFile"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


@pytest.fixture(scope="module")
def ecr(stack: StackInfo) -> ECRClient:
    """The registry, as whoever builds images sees it."""
    return ecr_client(stack)


@pytest.fixture
def elsewhere(world: World, admin: KubeApi) -> Iterator[World]:
    """A second namespace of the same cluster."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield World(world.stack, admin, world.client, world.commands, name)
    admin.request("DELETE", f"/api/v1/namespaces/{name}")


def deployment(name: str, image: str, *, init: str = "", replicas: int = 2, node: TestNode | None = None) -> Json:
    """A Deployment whose pods run an image, or begin with one; on one node, if it is said which."""
    inits = [{"name": "setup", "image": init}] if init else []
    spec: dict[str, Any] = {"containers": [{"name": "app", "image": image}], "initContainers": inits}
    if node is not None:
        spec |= {"nodeSelector": {"kubernetes.io/hostname": node.name}, "tolerations": [TOLERATION]}
    return workload("Deployment", name, replicas=replicas, pod=spec)


def accusation(world: World, obj: Json, image: str) -> Json:
    """A finding about malware in a container of a workload."""
    named = workload_of(obj, "deployments") | {"Containers": [{"Name": "app", "Image": image}]}
    return world.finding_about(obj, finding_type=MALWARE, workload=named)


def images(world: World) -> set[str]:
    """Every image that the pods of a namespace run or begin with."""
    specs = [p["spec"] for p in world.pods()]
    return {c["image"] for s in specs for c in (*s["containers"], *s.get("initContainers", ()))}


def infect(world: World, node: TestNode) -> None:
    """Put malware on a volume of a node."""
    arn = f"arn:aws:ec2:{world.stack.region}:{world.stack.account}:instance/{node.instance_id}"
    urllib3.request("POST", f"{world.stack.aws_endpoint}/_firebreak/guardduty/malware", json={"instance_arn": arn})


def status(ecr: ECRClient, image: Pushed) -> str:
    """What ECR says of an image, or "gone"."""
    found = ecr.describe_images(repositoryName=image.repository, filter={"imageStatus": "ANY"})["imageDetails"]
    return next((i["imageStatus"] for i in found if i["imageDigest"] == image.digest), "gone")


async def test_an_image_is_contained_wherever_it_runs_replaced_and_taken_out_of_the_registry(
    world: World, elsewhere: World, admin: KubeApi, ecr: ECRClient, nodes: Fleet
) -> None:
    repository = new_repository(ecr)
    bad, fixed = push(ecr, *repository, "1.0"), push(ecr, *repository, "1.1")
    # A node of its own, on which nobody has looked for malware before.
    node = nodes.node()
    infect(world, node)
    web = world.create(deployment("web", bad.by_digest, node=node))
    elsewhere.create(deployment("batch", "registry.example/batch:1", init=bad.by_digest, replicas=1))
    elsewhere.create(deployment("other", "registry.example/other:1", replicas=1))
    await world.ready("web", 2)
    await elsewhere.ready("batch", 1)
    await elsewhere.ready("other", 1)
    incident = await world.start(accusation(world, web, bad.by_digest))

    view = await incident.contained()
    held = {p["metadata"]["labels"]["app"]: is_held(p) for p in (*world.pods(), *elsewhere.pods())}
    assert held == {"web": True, "batch": True, "other": False}
    # Whoever makes a pod with it now is refused, in every namespace.
    with pytest.raises(KubeError, match=policy_name(bad.by_digest)):
        body = {"metadata": {"name": "again"}, "spec": {"containers": [{"name": "a", "image": bad.by_digest}]}}
        admin.request("POST", f"/api/v1/namespaces/{elsewhere.namespace}/pods", body)
    assert status(ecr, bad) == "ACTIVE"

    await incident.approve("eradicate", image=fixed.by_digest)
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED, view.failures
    assert view.containment is Containment.VERIFIED
    done = {s: step_state(view, f"image.{s}") for s in ("block", "export", "scan", "redeploy", "archive", "delete")}
    assert set(done.values()) == {"done"}, done
    scanned = next(s.detail for s in view.steps if s.step == "image.scan")
    assert "scanned now" in scanned and "CVE-" in scanned, "it is not only said to be scanned"
    assert f"({node.instance_id}): malware scan begun now: malware found" in scanned, (
        "and so are the volumes of its nodes"
    )
    await world.ready("web", 2)
    await elsewhere.ready("batch", 1)
    assert images(world) == {fixed.by_digest}
    assert images(elsewhere) == {"registry.example/batch:1", fixed.by_digest, "registry.example/other:1"}
    assert (status(ecr, bad), status(ecr, fixed)) == ("gone", "ACTIVE")
    store, prefix = world.evidence(), key_of(view).evidence_prefix
    assert is_exported(store, prefix, bad.digest)
    assert read_bytes(store, f"{prefix}/{folder(bad.digest)}/manifest.json") == bad.manifest
    # Nodes keep a copy of its layers, so it stays refused after the incident.
    assert admin.request("GET", f"{POLICIES}/{policy_name(bad.by_digest)}")

    released = await world.firebreak("release", incident.id, "--reason", "it is needed all the same", "--by", "ada")
    assert released["done"] and not released["failures"], released
    assert any(bad.digest in k for k in released["kept"]), "that it is gone for good is said"
    assert (status(ecr, bad), status(ecr, fixed)) == ("gone", "ACTIVE")
    assert images_of(world.get("Deployment", "web")) == {"app": bad.by_digest}
    with pytest.raises(KubeError, match="404"):
        admin.request("GET", f"{POLICIES}/{policy_name(bad.by_digest)}")
    assert is_exported(store, prefix, bad.digest), "what was kept stays kept"


async def test_a_repository_with_several_bad_images_is_closed_on_an_approval_of_its_own(
    world: World, ecr: ECRClient
) -> None:
    name, uri = new_repository(ecr)
    one, two = push(ecr, name, uri, "1.0"), push(ecr, name, uri, "1.1")
    allow = {"Sid": "ours", "Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage"]}
    before = {"Version": "2012-10-17", "Statement": [allow]}
    ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(before))

    def closed_by() -> list[str]:
        policy = json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"])
        return [s["Sid"] for s in policy["Statement"] if s["Effect"] == "Deny"]

    containers = [{"name": n, "image": i.by_digest} for n, i in (("app", one), ("side", two))]
    web = world.create(workload("Deployment", "web", replicas=1, pod={"containers": containers}))
    await world.ready("web", 1)
    named = workload_of(web, "deployments")
    named["Containers"] = [{"Name": c["name"], "Image": c["image"]} for c in containers]
    incident = await world.start(world.finding_about(web, finding_type=MALWARE, workload=named))
    # Which of the two is the one that the finding means, a person has to say.
    await incident.approve("contain")
    await incident.contained()
    view = await incident.until(lambda v: "image.deny_repository" in v.previews, "the approver sees what would change")
    assert any("tags: 1.0 and 1.1" in line for line in view.previews["image.deny_repository"])
    waiting = await incident.waiting("terminate")
    assert "image.deny_repository" in waiting.steps
    assert closed_by() == []

    await incident.approve("terminate")
    await incident.until(lambda v: step_state(v, "image.deny_repository") == "done", "the repository is closed")
    assert closed_by() == [SID]
    assert (await incident.release()).state is IncidentState.RELEASED
    assert json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"]) == before


async def test_an_image_that_cannot_be_kept_is_archived_not_deleted_and_release_restores_all(
    world: World, elsewhere: World, admin: KubeApi, ecr: ECRClient
) -> None:
    repository = new_repository(ecr)
    bad, fixed = push(ecr, *repository, "1.0", lost=True), push(ecr, *repository, "1.1")
    web = world.create(deployment("web", bad.by_digest, replicas=1))
    elsewhere.create(deployment("batch", "registry.example/batch:1", init=bad.by_digest, replicas=1))
    await world.ready("web", 1)
    await elsewhere.ready("batch", 1)
    incident = await world.start(accusation(world, web, bad.by_digest))
    await incident.contained()
    first = await incident.waiting("eradicate")

    await incident.approve("eradicate", image=fixed.by_digest)
    view = await incident.until(lambda v: step_state(v, "image.delete") == "failed", "the deletion is refused")
    assert {s: step_state(view, f"image.{s}") for s in ("export", "archive")} == {"export": "failed", "archive": "done"}
    assert any("only once the evidence holds a whole copy" in f.message for f in view.failures)
    assert status(ecr, bad) == "ARCHIVED"
    # The incident asks again, instead of calling itself remediated.
    again = await incident.waiting("eradicate")
    assert again.nonce != first.nonce

    view = await incident.release()
    assert view.state is IncidentState.RELEASED
    assert view.containment is Containment.RELEASED
    assert status(ecr, bad) in ("ACTIVATING", "ACTIVE")
    with pytest.raises(KubeError, match="404"):
        admin.request("GET", f"{POLICIES}/{policy_name(bad.by_digest)}")
    assert (world.marks(), elsewhere.marks()) == ({}, {})
    # The old templates are back, and their image is admitted again.
    await eventually(lambda: images(world) == {bad.by_digest}, "pods of the old template")
    await eventually(
        lambda: images(elsewhere) == {"registry.example/batch:1", bad.by_digest}, "pods of the old template"
    )
