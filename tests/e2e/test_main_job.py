"""The main job: from a published finding to a repaired workload and sealed evidence, and all of it undone again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli.demo.finding import finding_about
from contracts.incidents import IncidentView, Observation
from contracts.states import Containment, IncidentState, ObservationKind
from devstack.demo_workload import CLEAN_IMAGE, NAME, DemoWorkload, deploy_demo_workload
from devstack.kube import KubeApi, KubeError
from evidence.verify import verify
from tests.e2e.conftest import NewWorld
from tests.e2e.incident import Incident, eventually, key_of
from tests.e2e.processes import base_environment, command_line
from tests.e2e.workloads import images_of
from tests.e2e.world import World, holders, is_held

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


@pytest.fixture
async def own(new_world: NewWorld, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose worker is the command that operators run, as a process of its own."""
    world = await new_world()
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "starter", "worker"],
            env={**base_environment(), **world.environment()},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    yield world
    worker.terminate()
    assert worker.wait(40) == 0, log.read_text()[-2000:]


async def test_from_the_finding_to_the_fixed_image(own: World, admin: KubeApi, tmp_path: Path) -> None:
    workload = deploy_demo_workload(admin, namespace=own.namespace)
    before = own.state()
    accused, others = workload.pods[0], workload.pods[1:]
    ran = own.get("Pod", accused.name)["status"]["containerStatuses"][0]["imageID"]
    file = _published_finding(own, workload, tmp_path)

    incident = own.incident((await own.firebreak("start", str(file)))["incident"])
    await incident.contained()
    await incident.collected()
    started = await own.firebreak("start", str(file), "--wait", "--timeout", "1", code=3)
    assert (started["outcome"], started["incident"]) == ("attached", incident.id)
    assert started["containment"] == "verified"
    assert started["state"] == "AwaitingApproval"
    assert [p["uid"] for p in started["targets"]["pods"]] == [accused.uid]
    assert started["timings"]["contained"] > started["timings"]["received"]
    held = [p for p in own.pods(NAME) if is_held(p)]
    assert [p["metadata"]["uid"] for p in held] == [accused.uid]
    assert {p["metadata"]["uid"] for p in own.pods(NAME)} >= {p.uid for p in others}, "only the accused pod is cut off"
    assert images_of(own.get("Deployment", NAME))[NAME] == workload.image, "nothing is repaired before the approval"

    finding_id = started["finding_id"]
    approved = await own.firebreak("approve", finding_id, "--reason", "seen", "--image", CLEAN_IMAGE)
    assert approved["accepted"]
    view = await incident.result()

    assert view.state is IncidentState.REMEDIATED
    assert {s.step: s.state.value for s in view.steps} == {
        "pod.quarantine": "done",
        "pod.collect": "done",
        "pod.redeploy": "done",
        "pod.delete": "done",
    }
    assert not view.failures
    await own.ready(NAME, 3)
    _assert_only_the_image_changed(own, before, workload)
    _assert_evidence_holds(own, view)
    assert (await own.firebreak("evidence", "verify", finding_id))["ok"]
    report = command_line(["report", finding_id], own.environment())
    assert report.returncode == 0, report.stderr
    assert accused.uid in report.stdout
    assert "@sha256:" in ran and ran in report.stdout, "what ran, by digest, although its pod is gone"
    assert CLEAN_IMAGE in report.stdout

    released = await own.firebreak("release", finding_id, "--reason", "the old image is needed once more")
    assert released["done"] and not released["failures"]
    assert own.get("Deployment", NAME)["spec"] == before[f"Deployment {NAME}"]["spec"]
    assert not own.marks()
    assert (await own.firebreak("evidence", "verify", finding_id))["ok"], "what was kept stays kept"


def _published_finding(world: World, workload: DemoWorkload, folder: Path) -> Path:
    raw = finding_about(workload.pods[0], workload, world.stack)
    world.publish(raw)
    file = folder / "finding.json"
    file.write_text(json.dumps({"Findings": [raw]}))
    return file


def _assert_only_the_image_changed(world: World, before: dict[str, Any], workload: DemoWorkload) -> None:
    """Everything but the deployment's image and its pods is what it was, and nothing of Firebreak's is left."""
    after = world.state()
    assert images_of(after[f"Deployment {NAME}"]) == {NAME: CLEAN_IMAGE}
    assert all(images_of(p) == {NAME: CLEAN_IMAGE} for p in world.pods())
    assert not {p["metadata"]["uid"] for p in world.pods()} & {p.uid for p in workload.pods}
    for name in ("NetworkPolicy allow-checkout", f"Service {NAME}", f"ServiceAccount {NAME}"):
        assert after[name] == before[name], name
    assert {n for n in after if n.startswith("NetworkPolicy")} == {"NetworkPolicy allow-checkout"}
    assert world.marks().keys() <= {f"Deployment {NAME}"}


def _assert_evidence_holds(world: World, view: IncidentView) -> None:
    found = verify(
        world.evidence(), key_of(view).evidence_prefix, view.evidence.manifest_sha256, view.evidence.manifests
    )
    assert found.ok, found.problems
    assert found.head_checked
    assert found.artefacts >= view.evidence.artefacts > 5
    broken = verify(world.evidence(), key_of(view).evidence_prefix, "0" * 64, view.evidence.manifests)
    assert not broken.ok, "another head must not be taken for this one"


async def test_a_release_leaves_the_cluster_as_it_was(world: World, admin: KubeApi) -> None:
    workload = deploy_demo_workload(admin, namespace=world.namespace)
    before = world.state()
    incident = await world.start(finding_about_published(world, workload))
    await incident.contained()
    await incident.waiting()
    assert world.state() != before
    assert world.marks()

    view = await incident.release()

    assert view.state is IncidentState.RELEASED
    assert view.containment is Containment.RELEASED
    assert {c.key for c in view.changes} == set(view.undone)
    assert world.state() == before


async def test_a_release_after_the_repair_began_puts_the_old_template_back(world: World, admin: KubeApi) -> None:
    """The rollout never ends, because the quota forbids another pod; the release finds it half-way."""
    workload = deploy_demo_workload(admin, namespace=world.namespace)
    await world.allow_no_more_pods()
    policies = {n: o for n, o in world.state().items() if n.startswith("NetworkPolicy")}
    incident = await world.start(finding_about_published(world, workload))
    assert (await incident.approve()).accepted
    await eventually(lambda: images_of(world.get("Deployment", NAME))[NAME] == CLEAN_IMAGE, "the new template")

    view = await incident.release()

    assert view.state is IncidentState.RELEASED
    assert images_of(world.get("Deployment", NAME)) == {NAME: workload.image}
    assert {n: o for n, o in world.state().items() if n.startswith("NetworkPolicy")} == policies
    assert not world.marks()
    assert {p["metadata"]["uid"] for p in world.pods(NAME)} == {p.uid for p in workload.pods}, "no pod was lost"


def finding_about_published(world: World, workload: DemoWorkload, pod: int = 0) -> dict[str, Any]:
    """The published capture about one of the pods, known to GuardDuty."""
    raw = finding_about(workload.pods[pod], workload, world.stack)
    world.publish(raw)
    return raw


async def test_two_incidents_on_one_pod(world: World, admin: KubeApi) -> None:
    """The pod stays cut off for the second incident, whichever is released first."""
    workload = deploy_demo_workload(admin, namespace=world.namespace)
    before = world.state()
    first = await world.start(finding_about_published(world, workload))
    await first.contained()
    second = await world.start(finding_about_published(world, workload))
    await second.contained()
    pod = workload.pods[0].name
    assert holders(world.get("Pod", pod)) == [first.id, second.id]

    await first.waiting()
    released = await first.release()

    assert released.state is IncidentState.RELEASED
    live = world.get("Pod", pod)
    assert is_held(live)
    assert holders(live) == [second.id]
    assert holders(world.get("NetworkPolicy", "firebreak-quarantine")) == [second.id]
    assert holders(world.get("NetworkPolicy", "allow-checkout")) == [second.id]
    await _look_again(second)

    await second.release()
    assert world.state() == before


async def _look_again(incident: Incident) -> None:
    at = (await incident.view()).last_observed
    await incident.handle.signal("observe", Observation(kind=ObservationKind.DRIFT, reason="a test asks"))
    view = await incident.until(lambda v: v.last_observed != at, "it looks again")
    view = await incident.contained()
    assert view.reasons == ()


async def test_the_identity_has_only_what_is_shipped(world: World, firebreak: KubeApi) -> None:
    """What these tests show was done as nobody more than deploy/rbac.yaml makes of the service account."""
    assert world.environment()["KUBECONFIG"] == str(world.stack.kubeconfig)
    allowed = [what for what in _FORBIDDEN if _may(firebreak, **what)]
    assert allowed == []
    assert _may(firebreak, resource="pods", verb="patch"), "the question itself works"
    with pytest.raises(KubeError) as caught:
        firebreak.request("GET", f"/api/v1/namespaces/{world.namespace}/secrets")
    assert caught.value.status == 403
    assert not _groups(firebreak) & {"system:masters"}


_FORBIDDEN: list[dict[str, str]] = [
    {"verb": "*", "resource": "*", "group": "*"},
    {"verb": "impersonate", "resource": "users"},
    {"verb": "impersonate", "resource": "groups"},
    {"verb": "impersonate", "resource": "serviceaccounts"},
    {"verb": "get", "resource": "secrets"},
    {"verb": "list", "resource": "secrets"},
    {"verb": "create", "resource": "pods"},
    {"verb": "create", "resource": "pods", "subresource": "exec"},
    {"verb": "create", "resource": "serviceaccounts", "subresource": "token"},
    {"verb": "bind", "resource": "clusterroles", "group": "rbac.authorization.k8s.io"},
    {"verb": "escalate", "resource": "clusterroles", "group": "rbac.authorization.k8s.io"},
    {"verb": "patch", "resource": "clusterrolebindings", "group": "rbac.authorization.k8s.io"},
    {
        "verb": "patch",
        "resource": "validatingadmissionpolicybindings",
        "group": "admissionregistration.k8s.io",
    },
]


def _may(api: KubeApi, **what: str) -> bool:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = api.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {**body, "spec": {"resourceAttributes": what}},
    )
    return bool(answer["status"]["allowed"])


def _groups(api: KubeApi) -> set[str]:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = api.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    return set(answer["status"]["userInfo"]["groups"])
