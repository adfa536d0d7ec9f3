"""The command line against a real cluster: what `plan` says that steps would change, and what `doctor` finds."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from devstack.aws.prepare import put_findings
from devstack.demo_workload import deploy_demo_workload
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from tests.assess.support import account_user, raw_finding
from tests.cli.conftest import Firebreak, Write

RBAC = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
NOBODY = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:anonymous"}
ANONYMOUS = {"Username": "system:anonymous", "Groups": ["system:unauthenticated"]}

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("installed")]


@pytest.fixture
def binding(admin: KubeApi) -> Iterator[str]:
    name = f"open-{uuid.uuid4().hex[:8]}"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    admin.request("POST", RBAC, {"metadata": {"name": name}, "roleRef": role, "subjects": [NOBODY]})
    yield name
    admin.request("DELETE", f"{RBAC}/{name}")


@pytest.fixture
def installed(stack: StackInfo, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)


async def test_every_path_says_what_it_would_do(
    firebreak: Firebreak, write: Write, stack: StackInfo, admin: KubeApi
) -> None:
    shop = deploy_demo_workload(admin)
    pod = shop.pods[0]
    accused = {
        "Name": pod.name, "Namespace": shop.namespace, "Type": "pods", "Uid": pod.uid,
        "Containers": [{"Name": "c", "Image": shop.image, "SecurityContext": {"Privileged": True}}],
    }  # fmt: skip
    raw = raw_finding(
        uuid.uuid4().hex,
        finding_type="PrivilegeEscalation:Kubernetes/PrivilegedContainer",
        user=account_user(shop.namespace, shop.service_account),
        workload=accused,
    )
    put_findings(stack.aws_endpoint, region=stack.region, detector_id=stack.detector_id, findings=[raw])
    before = admin.request("GET", f"/api/v1/nodes/{pod.node}")["spec"]
    ran = await firebreak("plan", write({"Findings": [raw]}), "--json")
    assert ran.code == 0, ran.err + ran.out
    previews = ran.json["previews"]
    # Those that read on the way, ask the API server or wait for others are among them: none may need a worker.
    assert {"user.recreate_account", "image.block", "node.cordon", "node.isolate", "node.drain"} <= set(previews)
    assert any(pod.node in sentence for sentence in previews["node.cordon"])
    assert admin.request("GET", f"/api/v1/nodes/{pod.node}")["spec"] == before


async def test_a_plan_says_what_would_change_and_changes_nothing(
    firebreak: Firebreak, write: Write, stack: StackInfo, admin: KubeApi, binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = raw_finding(uuid.uuid4().hex, finding_type="Policy:Kubernetes/AnonymousAccessGranted", user=ANONYMOUS)
    put_findings(stack.aws_endpoint, region=stack.region, detector_id=stack.detector_id, findings=[raw])
    file = write({"Findings": [raw]})
    records = "/api/v1/namespaces/firebreak/configmaps"
    before = admin.request("GET", f"{RBAC}/{binding}"), admin.request("GET", records)["items"]

    ran = await firebreak("plan", file, "--json")
    assert ran.code == 0, ran.err
    [said] = [s for s in ran.json["previews"]["configuration.unbind_anonymous"] if binding in s]
    assert said.startswith(f"ClusterRoleBinding {binding}: system:anonymous is no longer bound")
    shown = await firebreak("plan", file)
    assert f"would ClusterRoleBinding {binding}" in shown.out
    offline = await firebreak("plan", file, "--offline", "--json")
    assert offline.json["previews"] == {}

    assert (admin.request("GET", f"{RBAC}/{binding}"), admin.request("GET", records)["items"]) == before


async def test_doctor_finds_both_identities_as_they_are_shipped(
    firebreak: Firebreak, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {c["name"]: c for c in (await firebreak("doctor", "--json")).json["checks"]}
    assert {name: found[name]["status"] for name in ("permissions", "bindings")} == {
        "permissions": "ok",
        "bindings": "ok",
    }, found
    # The command line's own identity must not be able to do what the other one is for.
    monkeypatch.setenv("FIREBREAK_BINDINGS_KUBECONFIG", os.environ["KUBECONFIG"])
    found = {c["name"]: c for c in (await firebreak("doctor", "--json")).json["checks"]}
    assert found["bindings"]["status"] == "fail"
    assert "bind clusterroles" in found["bindings"]["detail"]
