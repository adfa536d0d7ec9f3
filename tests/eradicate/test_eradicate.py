import copy
from datetime import timedelta
from typing import Any

import pytest

from activities.doors import Doors
from activities.eradicate.delete import DeleteActivities
from activities.eradicate.redeploy import RedeployActivities
from activities.eradicate.rollout import RolloutActivities
from activities.isolation.hold import HoldActivities
from activities.restore import RestoreActivities
from contracts.activities import (
    ChangeRequest,
    DeletePodsRequest,
    HoldRequest,
    RedeployRequest,
    RestoreRequest,
    RolloutRequest,
    RolloutResult,
)
from contracts.common import PodTarget
from devstack.kube import KubeApi, KubeError
from errors import InputError
from plans.model import Change, ResourceRef
from plans.observed import WorkloadFacts
from tests.isolation.support import (
    Killed,
    counting,
    eventually,
    holders,
    inline,
    json_patch,
    killed_after,
    make_pod,
    make_pods,
    pod,
    read,
    run,
)
from tests.isolation.test_isolate import A, B
from tests.isolation.test_release import isolate

pytestmark = pytest.mark.stack

REPOSITORY = "registry.example/web"
FIXED = f"{REPOSITORY}@sha256:{'f' * 64}"
LABELS = {"app": "web"}
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": LABELS},
    "spec": {
        "initContainers": [{"name": "migrate", "image": f"{REPOSITORY}:1"}],
        "containers": [
            {"name": "proxy", "image": "registry.example/proxy:1"},
            {"name": "main", "image": f"{REPOSITORY}:1"},
        ],
    },
}
STEP = "pod.redeploy"
ROOTS = {
    "Deployment": "apps/v1/deployments",
    "StatefulSet": "apps/v1/statefulsets",
    "DaemonSet": "apps/v1/daemonsets",
    "ReplicaSet": "apps/v1/replicasets",
    "CronJob": "batch/v1/cronjobs",
    "Job": "batch/v1/jobs",
}


def path(kind: str, namespace: str, name: str = "web") -> str:
    group, version, plural = ROOTS[kind].split("/")
    return f"/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}"


def make(admin: KubeApi, namespace: str, kind: str, **spec: Any) -> WorkloadFacts:
    template = copy.deepcopy(spec.pop("template", TEMPLATE))
    body: dict[str, Any] = {"selector": {"matchLabels": LABELS}, "template": template}
    if kind in ("Deployment", "StatefulSet", "ReplicaSet"):
        body["replicas"] = spec.pop("replicas", 2)
    if kind == "StatefulSet":
        body["serviceName"] = "web"
    if kind in ("Job", "CronJob"):
        template["spec"]["restartPolicy"] = "Never"
        body = {"template": template}
    if kind == "CronJob":
        body = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": body}}
    # The controller manager must have made the namespace's account before pods can be.
    eventually(lambda: read(admin, f"/api/v1/namespaces/{namespace}/serviceaccounts/default"))
    collection = path(kind, namespace).rpartition("/")[0]
    made = admin.request("POST", collection, {"metadata": {"name": "web"}, "spec": {**body, **spec}})
    ref = ResourceRef(kind=kind, namespace=namespace, name="web", uid=made["metadata"]["uid"])
    return WorkloadFacts(ref=ref)


def ready_pods(admin: KubeApi, namespace: str, count: int) -> list[PodTarget]:
    def ready() -> list[PodTarget]:
        items = admin.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        alive = [p for p in items if p["status"].get("podIP") and not p["metadata"].get("deletionTimestamp")]
        found = [PodTarget(namespace=namespace, name=p["metadata"]["name"], uid=p["metadata"]["uid"]) for p in alive]
        return found if len(found) == count else []

    return eventually(ready)


def plan(doors: Doors, *workloads: WorkloadFacts, image: str = FIXED) -> Any:
    request = RedeployRequest(incident=A, step=STEP, workloads=workloads, image=image)
    return run(RedeployActivities(doors).plan_redeploy, request)


def redeploy(doors: Doors, *changes: Change) -> Any:
    return run(RedeployActivities(doors).redeploy_workloads, ChangeRequest(incident=A, step=STEP, changes=changes))


def watch(doors: Doors, *workloads: WorkloadFacts, seconds: int = 60, grace: float = 0.0) -> RolloutResult:
    activities = RolloutActivities(doors, trouble_grace=timedelta(seconds=grace))
    request = RolloutRequest(incident=A, step=STEP, workloads=tuple(w.ref for w in workloads), timeout_seconds=seconds)
    return run(activities.watch_rollout, request)


def images(workload: dict[str, Any] | None) -> list[str]:
    assert workload
    spec = workload["spec"].get("jobTemplate", workload)["spec"]["template"]["spec"]
    return [c["image"] for c in (*spec["initContainers"], *spec["containers"])]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "CronJob"])
def test_the_fixed_image_gets_into_the_right_containers_and_out_again(
    doors: Doors, release: RestoreActivities, admin: KubeApi, namespace: str, kind: str
) -> None:
    # AWS' orchestrator treats every workload as a Deployment.
    workload = make(admin, namespace, kind)
    before = images(read(admin, path(kind, namespace)))
    planned = plan(doors, workload)
    assert planned.failures == () and len(planned.changes) == 1
    assert images(read(admin, path(kind, namespace))) == before, "planning changes nothing"
    (change,) = planned.changes
    assert redeploy(doors, change).failures == ()
    live = read(admin, path(kind, namespace))
    assert images(live) == [FIXED, "registry.example/proxy:1", FIXED]
    assert live and holders(live["metadata"]) == [A.workflow_id]
    assert redeploy(doors, change).done == 1, "again"
    assert plan(doors, workload).changes == (), "nothing is left to change"
    result = watch(doors, workload)
    assert (result.complete, result.failures) == (True, ())
    undone = run(release.restore_changes, RestoreRequest(incident=A, changes=(change,), step=STEP))
    assert undone.undone == (change.key,)
    live = read(admin, path(kind, namespace))
    assert images(live) == before and live and "annotations" not in _without_controller_marks(live)


def _without_controller_marks(live: dict[str, Any]) -> dict[str, Any]:
    metadata = dict(live["metadata"])
    kept = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if not k.startswith("deployment.kube")}
    kept = {k: v for k, v in kept.items() if not k.startswith("deprecated.daemonset")}
    return {**metadata, **({"annotations": kept} if kept else {})}


def test_a_rollout_is_watched_until_the_old_pods_are_gone(doors: Doors, admin: KubeApi, namespace: str) -> None:
    workload = make(admin, namespace, "Deployment", strategy={"type": "Recreate"})
    old = {p.uid for p in ready_pods(admin, namespace, 2)}
    assert redeploy(doors, *plan(doors, workload).changes).done == 1
    result = watch(doors, workload)
    assert result.complete and "2 of 2 pods updated" in result.summary
    assert not old & {p.uid for p in ready_pods(admin, namespace, 2)}


def test_what_cannot_be_redeployed_is_said_and_left_alone(doors: Doors, admin: KubeApi, namespace: str) -> None:
    paused = make(admin, namespace, "Deployment", paused=True, replicas=0)
    partition = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    partitioned = make(admin, namespace, "StatefulSet", updateStrategy=partition, replicas=0)
    job = make(admin, namespace, "Job")
    other = ResourceRef(kind="Rollout.argoproj.io", namespace=namespace, name="web", uid="1")
    replaced = paused.model_copy(update={"ref": paused.ref.model_copy(update={"uid": "2"})})
    planned = plan(doors, paused, partitioned, job, WorkloadFacts(ref=other), replaced)
    assert planned.changes == ()
    assert [f.code for f in planned.failures] == ["Conflict", "Conflict", "InputError", "InputError", "TargetGone"]
    for word, failure in zip(
        ("paused", "partition", "Job is fixed", "Rollout", "another"), planned.failures, strict=True
    ):
        assert word in failure.message


def test_an_image_of_another_repository_names_the_containers(doors: Doors, admin: KubeApi, namespace: str) -> None:
    workload = make(admin, namespace, "Deployment", replicas=0)
    (failure,) = plan(doors, workload, image=f"registry.example/other@sha256:{'a' * 64}").failures
    assert f"migrate ({REPOSITORY}:1), proxy (registry.example/proxy:1), main ({REPOSITORY}:1)" in failure.message
    with pytest.raises(InputError, match="image"):
        plan(doors, workload, image=f"{REPOSITORY}:2")


def test_containers_that_moved_since_the_plan_are_left_alone(doors: Doors, admin: KubeApi, namespace: str) -> None:
    workload = make(admin, namespace, "Deployment", replicas=0)
    changes = plan(doors, workload).changes
    turned = list(reversed(TEMPLATE["spec"]["containers"]))
    json_patch(
        admin, path("Deployment", namespace),
        {"op": "replace", "path": "/spec/template/spec/containers", "value": turned},
    )  # fmt: skip
    result = redeploy(doors, *changes)
    assert [f.code for f in result.failures] == ["Conflict"]
    assert FIXED not in images(read(admin, path("Deployment", namespace)))


def test_a_pod_that_cannot_pull_the_image_fails_the_rollout_early(doors: Doors, admin: KubeApi, namespace: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["nodeSelector"] = {"no": "node"}
    workload = make(admin, namespace, "Deployment", replicas=1, template=template)
    redeploy(doors, *plan(doors, workload).changes)

    def new_pod() -> str:
        items = admin.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return next((p["metadata"]["name"] for p in items if p["spec"]["containers"][1]["image"] == FIXED), "")

    name = eventually(new_pod)
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    status = {
        "name": "main",
        "image": FIXED,
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": waiting},
    }
    json_patch(
        admin, f"/api/v1/namespaces/{namespace}/pods/{name}/status",
        {"op": "add", "path": "/status/containerStatuses", "value": [status]},
    )  # fmt: skip
    result = watch(doors, workload)
    assert not result.complete
    assert f"new pod {name} does not start: container main: ImagePullBackOff" in result.failures[0].message
    # Within the grace it may still heal, so then only the time runs out.
    late = watch(doors, workload, seconds=1, grace=60)
    assert "not rolled out within 1 s" in late.failures[0].message


def test_the_controllers_own_deadline_is_reported(doors: Doors, admin: KubeApi, namespace: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["nodeSelector"] = {"no": "node"}
    workload = make(admin, namespace, "Deployment", replicas=1, template=template, progressDeadlineSeconds=1)
    redeploy(doors, *plan(doors, workload).changes)
    result = watch(doors, workload, seconds=30, grace=60)
    assert "no progress within its deadline" in result.failures[0].message


def test_a_retry_of_the_watch_has_only_the_time_that_is_left(doors: Doors, admin: KubeApi, namespace: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["nodeSelector"] = {"no": "node"}
    workload = make(admin, namespace, "Deployment", replicas=1, template=template)
    request = RolloutRequest(incident=A, step=STEP, workloads=(workload.ref,), timeout_seconds=600)
    result = run(RolloutActivities(doors).watch_rollout, request, [{"waited": 599.9}])
    assert not result.complete and "within 600 s" in result.failures[0].message


def test_pods_are_deleted_by_uid_once_the_hold_is_lifted(doors: Doors, admin: KubeApi, namespace: str) -> None:
    targets = make_pods(admin, namespace, 3)
    isolate(doors, A, *targets)
    gone = targets[0].model_copy(update={"name": "nobody"})
    replaced = targets[2].model_copy(update={"uid": "11111111-2222-3333-4444-555555555555"})
    asked = DeletePodsRequest(incident=A, step="pod.delete", pods=inline(targets[0], targets[1], gone, replaced))
    refused = run(DeleteActivities(doors).delete_pods, asked)
    assert (refused.done, refused.gone) == (0, 2)
    assert ["still on hold" in f.message for f in refused.failures] == [True, True]
    run(HoldActivities(doors).lift_hold, HoldRequest(incident=A, step="s", pods=inline(*targets[:2])))
    result = run(DeleteActivities(doors).delete_pods, asked)
    assert (result.done, result.gone, result.failures) == (2, 2, ())
    with pytest.raises(KubeError):
        pod(admin, targets[0])
    assert pod(admin, targets[2]), "another uid under the name is never deleted"
    again = run(DeleteActivities(doors).delete_pods, asked)
    assert (again.done, again.gone) == (0, 4)


def test_a_pod_that_another_incident_holds_is_not_deleted(doors: Doors, admin: KubeApi, namespace: str) -> None:
    target = make_pod(admin, namespace, "web-0")
    isolate(doors, A, target)
    run(HoldActivities(doors).lift_hold, HoldRequest(incident=A, step="s", pods=inline(target)))
    isolate(doors, B, target)
    result = run(DeleteActivities(doors).delete_pods, DeletePodsRequest(incident=A, step="s", pods=inline(target)))
    assert [f.code for f in result.failures] == ["Conflict"] and B.workflow_id in result.failures[0].message


def test_a_static_pod_is_refused(doors: Doors, admin: KubeApi, namespace: str) -> None:
    target = make_pod(admin, namespace, "web-0").model_copy(update={"static": True, "node": "node-0"})
    result = run(DeleteActivities(doors).delete_pods, DeletePodsRequest(incident=A, step="s", pods=inline(target)))
    assert [f.code for f in result.failures] == ["PolicyRefusal"] and "manifest on node node-0" in result.failures[
        0
    ].message


def test_a_pod_that_does_not_go_says_what_keeps_it(doors: Doors, admin: KubeApi, namespace: str) -> None:
    target = make_pod(admin, namespace, "web-0")
    where = f"/api/v1/namespaces/{namespace}/pods/web-0"
    json_patch(admin, where, {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/wait"]})
    activities = DeleteActivities(doors, gone_within=timedelta(seconds=0.5))
    result = run(activities.delete_pods, DeletePodsRequest(incident=A, step="s", pods=inline(target)))
    assert (result.done, result.failures[0].message) == (0, "deleted, but its finalizers keep it: example.com/wait")
    json_patch(admin, where, {"op": "remove", "path": "/metadata/finalizers"})


def test_killed_while_deleting_and_run_again_all_are_gone(doors: Doors, admin: KubeApi, namespace: str) -> None:
    targets = make_pods(admin, namespace, 3)
    asked = DeletePodsRequest(incident=A, step="s", pods=inline(*targets))
    beats: list[Any] = []
    with pytest.raises(Killed):
        run(DeleteActivities(killed_after(doors, 2)).delete_pods, asked, log=beats)
    result = run(DeleteActivities(doors).delete_pods, asked, beats[-1:])
    assert result.done + result.gone == 3 and result.failures == ()


def test_many_pods_are_awaited_by_pages(doors: Doors, admin: KubeApi, namespace: str) -> None:
    targets = make_pods(admin, namespace, 10)
    calls: list[str] = []
    asked = DeletePodsRequest(incident=A, step="s", pods=inline(*targets))
    assert run(DeleteActivities(counting(doors, calls)).delete_pods, asked).done == 10
    assert f"GET /api/v1/namespaces/{namespace}/pods" in calls
    assert sum(c.startswith("DELETE") for c in calls) >= 10
