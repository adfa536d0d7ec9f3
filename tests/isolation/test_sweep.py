import pytest

from activities.doors import Doors
from activities.isolation.hold import HoldActivities
from activities.sweep import SweepActivities
from contracts.activities import HoldRequest, SweepRequest
from devstack.kube import KubeApi
from tests.isolation.support import incident, inline, make_pod, make_policy, run
from tests.isolation.test_isolate import ALLOW
from tests.isolation.test_release import isolate

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("nothing_held")]


def broken(doors: Doors) -> dict[str, str]:
    return run(SweepActivities(doors).sweep_held_objects, SweepRequest(cluster="c")).broken


def test_only_incidents_whose_containment_broke_are_named(doors: Doors, admin: KubeApi, namespace: str) -> None:
    one, two = incident(f"{namespace}-1"), incident(f"{namespace}-2")
    isolate(doors, one, make_pod(admin, namespace, "web-0", app="web"))
    isolate(doors, two, make_pod(admin, namespace, "db-0", app="db"))
    assert not {one.workflow_id, two.workflow_id} & broken(doors).keys()
    make_policy(admin, namespace, "sneaky", ALLOW)
    found = broken(doors)
    assert found[one.workflow_id] == f"NetworkPolicy {namespace}/sneaky allows traffic to pod {namespace}/web-0"
    assert two.workflow_id not in found


def test_a_pod_that_lost_every_label_is_found_by_its_annotation(doors: Doors, admin: KubeApi, namespace: str) -> None:
    key = incident(namespace)
    isolate(doors, key, make_pod(admin, namespace, "web-0"))
    doors.kubernetes.patch(
        f"/api/v1/namespaces/{namespace}/pods/web-0",
        [
            {"op": "remove", "path": "/metadata/labels/firebreak.dev~1quarantined"},
            {"op": "remove", "path": "/metadata/labels/firebreak.dev~1hold"},
        ],
    )
    assert key.workflow_id in broken(doors)


def test_a_hold_lifted_on_approval_is_no_drift(doors: Doors, admin: KubeApi, namespace: str) -> None:
    key = incident(namespace)
    target = make_pod(admin, namespace, "web-0")
    isolate(doors, key, target)
    run(HoldActivities(doors).lift_hold, HoldRequest(incident=key, step="s", pods=inline(target)))
    assert key.workflow_id not in broken(doors)


def test_a_missing_deny_all_policy_is_found_by_the_labels(doors: Doors, admin: KubeApi, namespace: str) -> None:
    key = incident(namespace)
    isolate(doors, key, make_pod(admin, namespace, "web-0"))
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/firebreak-quarantine"
    doors.kubernetes.delete(path, uid=doors.kubernetes.get(path)["metadata"]["uid"])
    result = run(SweepActivities(doors).sweep_held_objects, SweepRequest(cluster="c"))
    assert result.broken[key.workflow_id].startswith(f"The deny-all policy of namespace {namespace} does not stand")
    assert result.held >= 1
