"""`doctor` against a real Temporal server and no cluster, and what it asks of a cluster."""

import pytest

from cli.check_cluster import needed_permissions
from tests.cli.conftest import Firebreak

pytestmark = [pytest.mark.usefixtures("installation")]


async def test_every_check_has_its_line_and_its_fix(firebreak: Firebreak) -> None:
    ran = await firebreak("doctor", "--json")
    assert ran.code == 1
    found = {c["name"]: c for c in ran.json["checks"]}
    assert set(found) == {
        "settings", "policy", "guardduty", "evidence", "audit-log", "temporal", "search-attributes", "retention",
        "workers", "stuck-incidents", "kubernetes", "permissions", "bindings", "admission", "network-policies",
        "node-view", "pause",
    }  # fmt: skip
    assert found["temporal"]["status"] == "ok"
    assert found["search-attributes"]["status"] == "ok"
    assert found["retention"]["status"] == "warn"
    assert found["kubernetes"]["status"] == "fail"
    assert found["permissions"]["status"] == "skip"
    assert all(c["fix"] for c in found.values() if c["status"] in ("warn", "fail"))


@pytest.mark.usefixtures("worker")
async def test_says_which_queue_nobody_polls(firebreak: Firebreak) -> None:
    # The worker of these tests carries workflows out and no activities.
    found = {c["name"]: c for c in (await firebreak("doctor", "--json")).json["checks"]}
    assert "firebreak (workflows)" not in found["workers"]["detail"]
    assert "firebreak-slow" in found["workers"]["detail"]


async def test_no_server_skips_what_depends_on_it(firebreak: Firebreak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    found = {c["name"]: c["status"] for c in (await firebreak("doctor", "--json")).json["checks"]}
    assert (found["temporal"], found["workers"], found["stuck-incidents"]) == ("fail", "skip", "skip")


def test_the_permissions_asked_for_are_those_that_are_shipped() -> None:
    wanted = [str(p) for p in needed_permissions()]
    assert "patch pods" in wanted
    assert "create configmaps in firebreak" in wanted
    assert "patch configmaps in kube-system" in wanted
    assert not [p for p in wanted if "impersonate" in p or "*" in p or p.startswith("bind ")]
    assert not [p for p in needed_permissions() if (p.group, p.resource) == ("", "secrets")]
    assert [str(p) for p in needed_permissions("node-view.yaml")] == [
        "create pods in firebreak-view",
        "delete pods in firebreak-view",
    ]
    assert "bind clusterroles.rbac.authorization.k8s.io" in [str(p) for p in needed_permissions(of_bindings=True)]
