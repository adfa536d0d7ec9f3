from typing import Any

import pytest

from activities.doors import Doors
from activities.isolation.hold import HoldActivities
from activities.isolation.isolate import IsolateActivities
from activities.isolation.verify import VerifyActivities
from activities.restore import RestoreActivities
from contracts.activities import HoldRequest, RestoreRequest, RestoreResult, VerifyRequest
from contracts.changes import deny_all_change, quarantine_change
from contracts.common import IncidentKey, PodTarget
from contracts.names import QUARANTINE_POLICY
from contracts.states import Containment
from devstack.kube import KubeApi, KubeError
from plans.model import Change, ResourceRef
from tests.isolation.support import (
    Killed,
    counting,
    eventually,
    inline,
    json_patch,
    killed_after,
    make_pod,
    make_pods,
    make_policy,
    marks,
    pod,
    policy,
    read,
    run,
    stored,
)
from tests.isolation.test_isolate import ALLOW, STEP, A, B, request, selector_change

pytestmark = pytest.mark.stack


def isolate(doors: Doors, key: IncidentKey, *pods: PodTarget, changes: tuple[Change, ...] = ()) -> tuple[Change, ...]:
    """Isolate, and return every change as an incident would record it."""
    asked = request(key, inline(*pods), *changes)
    assert run(IsolateActivities(doors).isolate_pods, asked).failures == ()
    return (*asked.changes, *(quarantine_change(p, STEP) for p in pods))


def as_it_was(obj: dict[str, Any] | None) -> dict[str, Any]:
    """An object without what every write leaves behind."""
    assert obj
    dropped = ("resourceVersion", "managedFields", "generation")
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in dropped}, "status": None}


def test_a_release_leaves_everything_as_it_was(
    doors: Doors, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    targets = make_pods(admin, namespace, 3)
    allow = make_policy(admin, namespace, "allow-web", ALLOW)
    # The API server labels a pod with its zone when it is bound to a node.
    eventually(lambda: all((pod(admin, t) or {"spec": {}})["spec"].get("nodeName") for t in targets))
    before = [as_it_was(pod(admin, t)) for t in targets]
    changes = isolate(doors, A, *targets, changes=(selector_change(allow),))
    result = run(release.restore_changes, RestoreRequest(incident=A, pods=inline(*targets), changes=changes))
    assert (result.pods_restored, result.kept, result.failures) == (3, (), ())
    assert set(result.undone) == {c.key for c in changes}
    after = [as_it_was(pod(admin, t)) for t in targets]
    assert [a["metadata"] for a in after] == [b["metadata"] for b in before]
    assert as_it_was(policy(admin, namespace, "allow-web")) == as_it_was(allow)
    assert policy(admin, namespace, QUARANTINE_POLICY) is None
    again = run(release.restore_changes, RestoreRequest(incident=A, pods=inline(*targets), changes=changes))
    assert (again.pods_restored, again.kept, set(again.undone)) == (3, (), set(result.undone))


def test_killed_before_any_mutation_and_run_again_a_release_ends_the_same(
    doors: Doors, admin: KubeApi, namespace: str
) -> None:
    targets = make_pods(admin, namespace, 2)
    allow = make_policy(admin, namespace, "allow-web", ALLOW)
    deaths = 0
    for mutations in range(10):
        changes = isolate(doors, A, *targets, changes=(selector_change(allow),))
        asked = RestoreRequest(incident=A, pods=inline(*targets), changes=changes)
        beats: list[Any] = []
        try:
            run(RestoreActivities(killed_after(doors, mutations)).restore_changes, asked, log=beats)
        except Killed:
            deaths += 1
        else:
            break
        result = run(RestoreActivities(doors).restore_changes, asked, beats[-1:])
        assert (result.pods_restored, result.kept, result.failures) == (2, (), ())
        assert set(result.undone) == {c.key for c in changes}
        assert [marks(admin, t) for t in targets] == [(False, False, [])] * 2
        assert policy(admin, namespace, QUARANTINE_POLICY) is None
        assert as_it_was(policy(admin, namespace, "allow-web")) == as_it_was(allow)
    assert deaths == 4, "two pods, a selector, the deny-all policy"


def test_two_incidents_on_one_pod_and_one_lets_go(
    doors: Doors, release: RestoreActivities, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    isolate(doors, A, target, changes=(change,))
    isolate(doors, B, target, changes=(change,))
    asked = RestoreRequest(incident=A, pods=inline(target), changes=(deny_all_change(namespace, STEP), change))
    result = run(release.restore_changes, asked)
    assert (result.pods_restored, result.undone, result.failures) == (0, (), ())
    assert all(f"held by {B.workflow_id}" in sentence for sentence in result.kept) and len(result.kept) == 3
    assert marks(admin, target) == (True, True, [B.workflow_id])
    proof = run(
        verification.verify_containment,
        VerifyRequest(incident=B, step=STEP, pods=inline(target), changes=(change,)),
    )
    assert proof.containment is Containment.VERIFIED
    last = run(release.restore_changes, asked.model_copy(update={"incident": B}))
    assert (last.pods_restored, last.kept) == (1, ())
    assert marks(admin, target) == (False, False, [])
    assert (policy(admin, namespace, "allow-web") or {})["spec"] == ALLOW


def test_a_selector_that_somebody_edited_loses_our_expression_only(
    doors: Doors, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    changes = isolate(doors, A, target, changes=(selector_change(make_policy(admin, namespace, "allow-web", ALLOW)),))
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/allow-web"
    mine = {"key": "tier", "operator": "Exists"}
    json_patch(admin, path, {"op": "add", "path": "/spec/podSelector/matchExpressions/0", "value": mine})
    result = run(release.restore_changes, RestoreRequest(incident=A, pods=inline(target), changes=changes))
    assert result.kept == ()
    assert (policy(admin, namespace, "allow-web") or {})["spec"]["podSelector"]["matchExpressions"] == [mine]


def test_no_selector_is_put_back_that_would_reopen_a_quarantined_pod(
    doors: Doors, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    ours, others = make_pods(admin, namespace, 2)
    changes = isolate(doors, A, ours, changes=(selector_change(make_policy(admin, namespace, "allow-web", ALLOW)),))
    isolate(doors, B, others)
    result = run(release.restore_changes, RestoreRequest(incident=A, pods=inline(ours), changes=changes))
    assert (
        f"NetworkPolicy {namespace}/allow-web: without our expression it would reopen 1 quarantined pods" in result.kept
    )
    # Once the other incident has let go, the same release can finish.
    run(release.restore_changes, RestoreRequest(incident=B, pods=inline(others)))
    assert run(release.restore_changes, RestoreRequest(incident=A, pods=inline(ours), changes=changes)).kept == ()
    assert (policy(admin, namespace, "allow-web") or {})["spec"] == ALLOW


def test_a_field_that_somebody_changed_since_is_left_alone(
    release: RestoreActivities, doors: Doors, admin: KubeApi, namespace: str
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    labels = {"app": "web"}
    container = {"name": "main", "image": "registry.example/web@new"}
    live = admin.apply(
        path,
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
         "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                  "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}},
    )  # fmt: skip
    ref = ResourceRef(kind="Deployment", namespace=namespace, name="web", uid=live["metadata"]["uid"])
    where = "/spec/template/spec/containers/0"
    change = Change(
        step="pod.redeploy",
        resource=ref,
        summary="image",
        before={f"{where}/name": "main", f"{where}/image": "registry.example/web@old"},
        after={f"{where}/name": "main", f"{where}/image": "registry.example/web@new"},
    )
    asked = RestoreRequest(incident=A, changes=(change,))
    json_patch(admin, path, {"op": "replace", "path": f"{where}/image", "value": "registry.example/web@theirs"})
    kept = run(release.restore_changes, asked)
    assert kept.undone == () and "somebody changed it" in kept.kept[0]
    # The same image in another container that moved to this place is not what we left either.
    json_patch(
        admin, path,
        {"op": "replace", "path": f"{where}/image", "value": "registry.example/web@new"},
        {"op": "replace", "path": f"{where}/name", "value": "other"},
    )  # fmt: skip
    assert "somebody changed" in run(release.restore_changes, asked).kept[0]
    json_patch(admin, path, {"op": "replace", "path": f"{where}/name", "value": "main"})
    assert run(release.restore_changes, asked).undone == (change.key,)
    assert (read(admin, path) or {})["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/web@old"
    admin.request("DELETE", path)
    assert run(release.restore_changes, asked).undone == (change.key,)


def test_a_list_in_the_store_is_released_with_its_one_record(
    doors: Doors, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    targets = make_pods(admin, namespace, 3)
    isolate(doors, A, *targets)
    pods = stored(doors.store, targets)
    assert pods.reference
    record = Change(
        step=STEP,
        resource=ResourceRef(kind="PodList", name=pods.reference.key),
        summary="3 pods",
        before={"": None},
        after={"": pods.reference.sha256},
    )
    asked = RestoreRequest(incident=A, pods=pods, changes=(deny_all_change(namespace, STEP), record))
    result = run(release.restore_changes, asked)
    assert result.pods_restored == 3 and set(result.undone) == {c.key for c in asked.changes} and result.kept == ()


def test_pods_that_were_never_touched_are_not_called_restored(
    doors: Doors, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    targets = make_pods(admin, namespace, 3)
    result = run(release.restore_changes, RestoreRequest(incident=A, pods=inline(*targets)))
    assert result == RestoreResult()
    # One that carries our labels counts, although nobody recorded it.
    isolate(doors, A, targets[0])
    asked = RestoreRequest(incident=A, pods=inline(*targets))
    assert run(release.restore_changes, asked).pods_restored == 1
    assert policy(admin, namespace, QUARANTINE_POLICY) is None


def test_a_pod_is_released_with_two_calls(doors: Doors, admin: KubeApi, namespace: str) -> None:
    target = make_pod(admin, namespace, "web-0")
    changes = isolate(doors, A, target)
    calls: list[str] = []
    asked = RestoreRequest(incident=A, pods=inline(target), changes=changes)
    run(RestoreActivities(counting(doors, calls)).restore_changes, asked)
    assert [c.split()[0] for c in calls] == ["GET", "PATCH", "GET", "GET", "DELETE"]


def test_a_lifted_hold_lets_go_of_the_pod_and_keeps_it_cut_off(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    isolate(doors, A, target)
    holding = HoldActivities(doors)
    asked = HoldRequest(incident=A, step="pod.redeploy", pods=inline(target))
    assert run(holding.lift_hold, asked).done == 1
    assert marks(admin, target) == (True, False, [A.workflow_id])
    seen = VerifyRequest(incident=A, step=STEP, pods=inline(target), changes=())
    assert run(verification.verify_containment, seen).containment is Containment.VERIFIED
    # Running it again finds nothing to do.
    assert run(HoldActivities(killed_after(doors, 0)).lift_hold, asked).done == 1
    # What was not replaced is held again by the next round of isolation.
    isolate(doors, A, target)
    assert marks(admin, target) == (True, True, [A.workflow_id])
    assert "firebreak.dev/hold-lifted" not in pod(admin, target)["metadata"]["annotations"]


def test_a_hold_that_another_incident_needs_is_not_lifted(doors: Doors, admin: KubeApi, namespace: str) -> None:
    target = make_pod(admin, namespace, "web-0")
    isolate(doors, A, target)
    isolate(doors, B, target)
    result = run(HoldActivities(doors).lift_hold, HoldRequest(incident=A, step="s", pods=inline(target)))
    assert [f.code for f in result.failures] == ["Conflict"] and B.workflow_id in result.failures[0].message
    assert marks(admin, target) == (True, True, [A.workflow_id, B.workflow_id])


def test_a_held_pod_cannot_be_deleted_by_its_owner_until_the_hold_is_lifted(
    doors: Doors, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    isolate(doors, A, target)
    path = f"/api/v1/namespaces/{namespace}/pods/web-0"
    with pytest.raises(KubeError):
        admin.request("DELETE", path)
    run(HoldActivities(doors).lift_hold, HoldRequest(incident=A, step="s", pods=inline(target)))
    admin.request("DELETE", path)
