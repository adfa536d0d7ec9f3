import threading
from typing import Any

import pytest

from activities.doors import Doors
from activities.isolation.isolate import IsolateActivities
from activities.isolation.policies import is_deny_all
from activities.isolation.selectors import LEAVES_OUT_QUARANTINED
from activities.restore import RestoreActivities
from contracts.activities import IsolateRequest, RestoreRequest
from contracts.changes import SELECTOR_FIELD, deny_all_change
from contracts.common import IncidentKey, PodTargets
from contracts.names import QUARANTINE_POLICY
from devstack.kube import KubeApi
from errors import EvidenceError
from plans.model import Change, ResourceRef
from tests.isolation.support import (
    Killed,
    holders,
    incident,
    inline,
    json_patch,
    killed_after,
    make_pod,
    make_pods,
    make_policy,
    marks,
    pod,
    policy,
    run,
    stored,
)

pytestmark = pytest.mark.stack

STEP = "pod.quarantine"
A, B = incident("a"), incident("b")
ALLOW = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [{}]}


def selector_change(live: dict[str, Any]) -> Change:
    expressions = live["spec"]["podSelector"].get("matchExpressions")
    metadata = live["metadata"]
    return Change(
        step=STEP,
        resource=ResourceRef(
            kind="NetworkPolicy", namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"]
        ),
        summary="leaves out quarantined pods",
        before={SELECTOR_FIELD: expressions},
        after={SELECTOR_FIELD: [*(expressions or []), LEAVES_OUT_QUARANTINED]},
    )


def request(key: IncidentKey, pods: PodTargets, *changes: Change) -> IsolateRequest:
    denials = [deny_all_change(n, STEP) for n in sorted({p.namespace for p in pods.inline})]
    return IsolateRequest(incident=key, step=STEP, pods=pods, changes=(*denials, *changes))


def test_one_pod_is_cut_off_and_its_neighbour_is_not(
    isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    hit, spared = make_pods(admin, namespace, 2)
    allow = make_policy(admin, namespace, "allow-web", ALLOW)
    result = run(isolation.isolate_pods, request(A, inline(hit), selector_change(allow)))
    assert (result.done, result.gone, result.failures, result.notes) == (1, 0, (), ())
    assert marks(admin, hit) == (True, True, [A.workflow_id])
    assert marks(admin, spared) == (False, False, [])
    denial, allowing = policy(admin, namespace, QUARANTINE_POLICY), policy(admin, namespace, "allow-web")
    assert denial and is_deny_all(denial) and holders(denial["metadata"]) == [A.workflow_id]
    assert denial["metadata"]["labels"] == {"firebreak.dev/managed": "true"}
    assert allowing and allowing["spec"]["podSelector"]["matchExpressions"] == [LEAVES_OUT_QUARANTINED]
    assert holders(allowing["metadata"]) == [A.workflow_id]


def test_running_it_again_changes_nothing(doors: Doors, admin: KubeApi, namespace: str) -> None:
    target = make_pod(admin, namespace, "web-0")
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    run(IsolateActivities(doors).isolate_pods, request(A, inline(target), change))
    before = pod(admin, target), policy(admin, namespace, "allow-web"), policy(admin, namespace, QUARANTINE_POLICY)
    # The attempt to create the deny-all policy is the only call that could change anything.
    result = run(IsolateActivities(killed_after(doors, 1)).isolate_pods, request(A, inline(target), change))
    assert result.done == 1
    assert before == (
        pod(admin, target), policy(admin, namespace, "allow-web"), policy(admin, namespace, QUARANTINE_POLICY),
    )  # fmt: skip


def test_killed_before_any_mutation_and_run_again_it_ends_the_same(
    doors: Doors, admin: KubeApi, namespace: str
) -> None:
    targets = make_pods(admin, namespace, 3)
    allow = make_policy(admin, namespace, "allow-web", ALLOW)
    asked = request(A, inline(*targets), selector_change(allow))
    deaths = 0
    for mutations in range(10):
        beats: list[Any] = []
        try:
            run(IsolateActivities(killed_after(doors, mutations)).isolate_pods, asked, log=beats)
        except Killed:
            deaths += 1
        else:
            break
        # While the switch is off nothing is cut: no pod carries a label before both policies stand.
        if mutations < 2:
            assert not any(marks(admin, t)[0] for t in targets)
        result = run(IsolateActivities(doors).isolate_pods, asked, beats[-1:])
        assert (result.done, result.failures) == (3, ())
        assert [marks(admin, t) for t in targets] == [(True, True, [A.workflow_id])] * 3
        denial, allowing = policy(admin, namespace, QUARANTINE_POLICY), policy(admin, namespace, "allow-web")
        assert denial and holders(denial["metadata"]) == [A.workflow_id]
        assert allowing and allowing["spec"]["podSelector"]["matchExpressions"] == [LEAVES_OUT_QUARANTINED]
        release = RestoreRequest(incident=A, pods=asked.pods, changes=asked.changes)
        assert run(RestoreActivities(doors).restore_changes, release).failures == ()
    assert deaths == 5, "a policy, a selector, and three pods"


def test_a_retry_goes_on_behind_the_cursor(
    doors: Doors, isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    targets = make_pods(admin, namespace, 4)
    beats: list[Any] = []
    run(isolation.isolate_pods, request(A, inline(*targets)), log=beats)
    after_two = next(b for b in beats if b["index"] == 2)
    # One mutation is the deny-all policy; none is left for pods, since all are labelled.
    for left_behind in (after_two, {"walk": "other"}, "of an older worker"):
        again = IsolateActivities(killed_after(doors, 1))
        assert run(again.isolate_pods, request(A, inline(*targets)), [left_behind]).done == 4


def test_pods_that_are_gone_or_replaced_are_counted_and_never_touched(
    isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    gone, replaced, there = make_pods(admin, namespace, 3)
    gone = gone.model_copy(update={"name": "nobody"})
    other = replaced.model_copy(update={"uid": "11111111-2222-3333-4444-555555555555"})
    result = run(isolation.isolate_pods, request(A, inline(gone, other, there)))
    assert (result.done, result.gone, result.failures) == (1, 2, ())
    assert result.gone_targets == (f"Pod {namespace}/nobody", f"Pod {namespace}/web-1")
    assert marks(admin, replaced) == (False, False, [])


def test_a_terminating_pod_is_still_cut_off(isolation: IsolateActivities, admin: KubeApi, namespace: str) -> None:
    target = make_pod(admin, namespace, "web-0")
    path = f"/api/v1/namespaces/{namespace}/pods/web-0"
    json_patch(admin, path, {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/wait"]})
    admin.request("DELETE", path)
    assert pod(admin, target)["metadata"]["deletionTimestamp"]
    assert run(isolation.isolate_pods, request(A, inline(target))).done == 1
    assert marks(admin, target) == (True, True, [A.workflow_id])
    json_patch(admin, path, {"op": "remove", "path": "/metadata/finalizers"})


def test_an_existing_policy_in_the_namespace_neither_stops_nor_satisfies_containment(
    isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    # AWS' forensics orchestrator skips its own policy when the namespace has any, and reports "isolated".
    target = make_pod(admin, namespace, "web-0")
    make_policy(admin, namespace, "default-deny", {"podSelector": {}, "policyTypes": ["Ingress"]})
    assert run(isolation.isolate_pods, request(A, inline(target))).failures == ()
    denial = policy(admin, namespace, QUARANTINE_POLICY)
    assert denial and is_deny_all(denial)


def test_a_policy_under_our_name_is_replaced_and_put_back_by_the_release(
    doors: Doors, isolation: IsolateActivities, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    # Falco Talon overwrites the user's policy for good. Admission keeps others from this name, so it dates from before.
    target = make_pod(admin, namespace, "web-0")
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    doors.kubernetes.create(path, {"metadata": {"name": QUARANTINE_POLICY}, "spec": ALLOW})
    result = run(isolation.isolate_pods, request(A, inline(target)))
    assert result.failures == () and "somebody else's policy" in result.notes[0]
    denial = policy(admin, namespace, QUARANTINE_POLICY)
    assert denial and is_deny_all(denial)
    undone = run(release.restore_changes, RestoreRequest(incident=A, pods=inline(target)))
    assert "another policy stood under this name" in undone.kept[0]
    back = policy(admin, namespace, QUARANTINE_POLICY)
    assert back and back["spec"] == ALLOW and "annotations" not in back["metadata"]


def test_a_deny_all_policy_that_was_weakened_is_repaired(
    doors: Doors, isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    run(isolation.isolate_pods, request(A, inline(target)))
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{QUARANTINE_POLICY}"
    doors.kubernetes.patch(path, [{"op": "replace", "path": "/spec/policyTypes", "value": ["Ingress"]}])
    result = run(isolation.isolate_pods, request(A, inline(target)))
    assert "was repaired" in result.notes[0]
    denial = policy(admin, namespace, QUARANTINE_POLICY)
    assert denial and is_deny_all(denial) and holders(denial["metadata"]) == [A.workflow_id]


def test_a_selector_changed_since_the_plan_is_left_alone_and_said(
    isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/allow-web"
    mine = [{"key": "tier", "operator": "Exists"}]
    json_patch(admin, path, {"op": "add", "path": "/spec/podSelector/matchExpressions", "value": mine})
    result = run(isolation.isolate_pods, request(A, inline(target), change))
    assert [f.code for f in result.failures] == ["Conflict"] and result.done == 1
    assert policy(admin, namespace, "allow-web")["spec"]["podSelector"]["matchExpressions"] == mine  # type: ignore[index]
    assert marks(admin, target)[0], "the deny-all policy still closes what that policy does not open"


def test_a_recreated_policy_under_the_same_name_is_not_taken_for_the_planned_one(
    isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    admin.request("DELETE", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/allow-web")
    make_policy(admin, namespace, "allow-web", ALLOW)
    assert run(isolation.isolate_pods, request(A, inline(target), change)).failures == ()
    assert "matchExpressions" not in policy(admin, namespace, "allow-web")["spec"]["podSelector"]  # type: ignore[index]


def test_a_namespace_that_cannot_take_the_policy_gets_no_label_either(
    isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    # Without the deny-all policy, the label would only free the pod from the policies that leave it out.
    target = make_pod(admin, namespace, "web-0")
    path = f"/api/v1/namespaces/{namespace}/pods/web-0"
    json_patch(admin, path, {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/wait"]})
    admin.request("DELETE", f"/api/v1/namespaces/{namespace}")
    result = run(isolation.isolate_pods, request(A, inline(target)))
    assert result.done == 0
    assert [f.target for f in result.failures] == [
        f"NetworkPolicy {namespace}/{QUARANTINE_POLICY}", f"Pod {namespace}/web-0",
    ]  # fmt: skip
    assert not marks(admin, target)[0]
    json_patch(admin, path, {"op": "remove", "path": "/metadata/finalizers"})


def test_a_namespace_that_is_gone_with_its_pods_is_no_failure(
    isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    there = make_pod(admin, namespace, "web-0")
    gone = there.model_copy(update={"namespace": "not-there", "uid": "1"})
    result = run(isolation.isolate_pods, request(A, inline(gone, there)))
    assert (result.done, result.gone, result.failures) == (1, 1, ())


def test_a_long_list_comes_from_the_store_and_only_if_its_hash_is_right(
    doors: Doors, isolation: IsolateActivities, admin: KubeApi, namespace: str
) -> None:
    targets = make_pods(admin, namespace, 3)
    pods = stored(doors.store, targets)
    assert run(isolation.isolate_pods, IsolateRequest(incident=A, step=STEP, pods=pods, changes=())).done == 3
    assert pods.reference
    forged = pods.model_copy(update={"reference": pods.reference.model_copy(update={"sha256": "0" * 64})})
    with pytest.raises(EvidenceError, match="sha256"):
        run(isolation.isolate_pods, IsolateRequest(incident=A, step=STEP, pods=forged, changes=()))


def test_twenty_incidents_on_one_pod_all_hold_it(doors: Doors, admin: KubeApi, namespace: str) -> None:
    target = make_pod(admin, namespace, "web-0")
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    keys = [incident(f"storm-{i}") for i in range(20)]
    results = storm(lambda key: run(IsolateActivities(doors).isolate_pods, request(key, inline(target), change)), keys)
    assert all((r.done, r.failures) == (1, ()) for r in results)
    names = {k.workflow_id for k in keys}
    for metadata in (
        pod(admin, target)["metadata"],
        (policy(admin, namespace, QUARANTINE_POLICY) or {})["metadata"],
        (policy(admin, namespace, "allow-web") or {})["metadata"],
    ):
        assert len(holders(metadata)) == 20 and set(holders(metadata)) == names
    release = RestoreActivities(doors)
    asked = request(A, inline(target), change)
    results = storm(
        lambda key: run(
            release.restore_changes, RestoreRequest(incident=key, pods=asked.pods, changes=asked.changes)
        ),
        keys,
    )  # fmt: skip
    assert all(r.failures == () for r in results)
    assert marks(admin, target) == (False, False, [])
    assert policy(admin, namespace, QUARANTINE_POLICY) is None
    assert policy(admin, namespace, "allow-web")["spec"] == ALLOW  # type: ignore[index]


def test_the_corrupt_list_of_holders_is_kept(
    doors: Doors, isolation: IsolateActivities, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    path = f"/api/v1/namespaces/{namespace}/pods/web-0"
    doors.kubernetes.patch(path, [{"op": "add", "path": "/metadata/annotations", "value": {
        "firebreak.dev/incidents": "{broken"}}])  # fmt: skip
    run(isolation.isolate_pods, request(A, inline(target)))
    assert marks(admin, target) == (True, True, ["unknown:{broken", A.workflow_id])
    result = run(release.restore_changes, RestoreRequest(incident=A, pods=inline(target)))
    assert "somebody unknown" in result.kept[0]
    assert marks(admin, target) == (True, True, ["unknown:{broken"])


def storm(work: Any, keys: list[IncidentKey]) -> list[Any]:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda k=k: results.append(work(k))) for k in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(keys)
    return results
