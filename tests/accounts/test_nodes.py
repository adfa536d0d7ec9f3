"""New identities for every account whose pods ran on a compromised node (guide N3)."""

from __future__ import annotations

import uuid

import pytest

from activities.doors import Doors
from devstack.kube import KubeApi
from plans.model import Target, TargetKind
from tests.accounts.support import account, bound_token, carry_out, honoured, make_account, plan, request_for
from tests.isolation.support import eventually, make_pod

pytestmark = pytest.mark.stack

STEP = "node.rotate_accounts"


def test_only_accounts_of_the_node_are_rotated_and_protected_ones_are_tasks(
    doors: Doors, admin: KubeApi, namespace: str
) -> None:
    node, elsewhere = (f"node-{uuid.uuid4().hex[:6]}" for _ in range(2))
    before = {name: make_account(admin, namespace, name) for name in ("here", "there")}
    before["default"] = account(admin, namespace, "default")
    make_pod(admin, namespace, "a", owned=False, serviceAccountName="here", nodeName=node)
    make_pod(admin, namespace, "b", owned=False, nodeName=node)
    make_pod(admin, namespace, "c", owned=False, serviceAccountName="there", nodeName=elsewhere)
    make_pod(admin, "kube-system", f"proxy-{node}", owned=False, nodeName=node)
    system = account(admin, "kube-system", "default")
    stolen, kept = bound_token(admin, namespace, "here"), bound_token(admin, namespace, "there")
    target = Target(kind=TargetKind.NODE, name=node, node=node)
    request = request_for(namespace, "", step=STEP, targets=(target,))

    planned = plan(doors, request)
    assert f"{namespace}/default and {namespace}/here" in planned.notes[0]
    outcome = carry_out(doors, request, planned=planned)

    assert outcome.complete, outcome
    assert outcome.summary == "2 accounts recreated"
    for name, changes in (("here", True), ("default", True), ("there", False)):
        now = account(admin, namespace, name)
        assert (now["metadata"]["uid"] != before[name]["metadata"]["uid"]) is changes, name
    assert account(admin, "kube-system", "default") == system
    texts = " ".join(t.text for t in outcome.tasks)
    assert "kube-system/default by hand" in texts
    # Nothing would start them again.
    assert f"{namespace}/a" in texts and f"{namespace}/b" in texts and f"{namespace}/c" not in texts
    assert honoured(admin, kept)
    eventually(lambda: not honoured(admin, stolen))
    admin.request("DELETE", f"/api/v1/namespaces/kube-system/pods/proxy-{node}?gracePeriodSeconds=0")


def test_a_node_without_pods_is_an_outcome(doors: Doors) -> None:
    target = Target(kind=TargetKind.NODE, name="empty", node="empty")
    planned = plan(doors, request_for("", "", step=STEP, targets=(target,)))
    assert planned.changes == () and planned.skip == "no account is to be rotated"
