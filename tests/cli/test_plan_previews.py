"""`plan` against a real cluster: what each step would change, and that asking changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from devstack.aws.prepare import put_findings
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from tests.assess.support import raw_finding
from tests.cli.conftest import Firebreak, Write

RBAC = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
NOBODY = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:anonymous"}
ANONYMOUS = {"Username": "system:anonymous", "Groups": ["system:unauthenticated"]}

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("clean_environment")]


@pytest.fixture
def binding(admin: KubeApi) -> Iterator[str]:
    name = f"open-{uuid.uuid4().hex[:8]}"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    admin.request("POST", RBAC, {"metadata": {"name": name}, "roleRef": role, "subjects": [NOBODY]})
    yield name
    admin.request("DELETE", f"{RBAC}/{name}")


async def test_a_plan_says_what_would_change_and_changes_nothing(
    firebreak: Firebreak, write: Write, stack: StackInfo, admin: KubeApi, binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
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
