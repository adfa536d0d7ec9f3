"""Which pods a finding means, asked of a real cluster (guide P1, P2, P3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from clients.kubernetes import Kubernetes
from clients.paths import list_path, object_path
from contracts.activities import Assessment
from findings.model import Container, Finding
from plans.model import Gate, Verdict
from tests.assess.support import (
    JsonObject,
    account_user,
    eventually,
    pod_spec,
    raw_finding,
    read,
    template,
    workload_of,
)

pytestmark = pytest.mark.stack

Found = Callable[..., Assessment]
Make = Callable[..., JsonObject]
Running = Callable[[str, int], list[JsonObject]]


def names(assessment: Assessment) -> list[str]:
    return [p.name for p in assessment.pods.inline]


def decision(assessment: Assessment) -> Verdict:
    terms = assessment.plan.terms(Gate.CONTAIN)
    assert terms is not None, assessment.plan.warnings
    return terms.decision


def selected(app: str) -> JsonObject:
    return {"selector": {"matchLabels": {"app": app}}, "template": template(app)}


# The last column says how many pods each makes on three nodes.
OWNERS: dict[str, tuple[str, JsonObject, int]] = {
    "deployments": ("Deployment", {**selected("a"), "replicas": 2}, 2),
    "replicasets": ("ReplicaSet", {**selected("a"), "replicas": 2}, 2),
    "StatefulSets": ("StatefulSet", {**selected("a"), "replicas": 2, "serviceName": "a"}, 2),
    "DAEMONSETS": ("DaemonSet", selected("a"), 3),
    "jobs": ("Job", {"template": template("a", restartPolicy="Never"), "parallelism": 2, "completions": 2}, 2),
    "replicationcontrollers": (
        "ReplicationController",
        {"selector": {"app": "a"}, "template": template("a"), "replicas": 2},
        2,
    ),
}


@pytest.mark.parametrize("written", OWNERS)
def test_every_workload_kind_is_followed_by_ownership(
    written: str, make: Make, running: Running, found: Found, space: str
) -> None:
    kind, spec, count = OWNERS[written]
    owner = make(kind, "owner", spec)
    owned = {p["metadata"]["uid"] for p in running("a", count)}
    # The same label under another controller: a selector would take it, ownership does not.
    other = make("ConfigMap", "other")["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other["uid"], "controller": True}
    make("Pod", "stranger", pod_spec(), labels={"app": "a"}, ownerReferences=[reference])
    assessment = found(workload=workload_of(owner, written))
    assert {p.uid for p in assessment.pods.inline} == owned
    assert {p.workload.kind for p in assessment.pods.inline if p.workload} == {kind}
    assert [w.ref.uid for w in assessment.workloads] == [owner["metadata"]["uid"]]
    assert decision(assessment) is Verdict.AUTO


def test_a_cronjob_is_followed_through_its_jobs(
    make: Make, running: Running, found: Found, admin_door: Kubernetes, space: str
) -> None:
    job_spec = {"template": template("c", restartPolicy="Never")}
    cron = make("CronJob", "cron", {"schedule": "* * * * *", "suspend": True, "jobTemplate": {"spec": job_spec}})
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": "cron",
        "uid": cron["metadata"]["uid"],
        "controller": True,
    }
    make("Job", "cron-1", job_spec, ownerReferences=[owner])
    make("Job", "other", job_spec)
    running("c", 2)
    assessment = found(workload=workload_of(cron, "cronjobs"))
    assert [n.rsplit("-", 1)[0] for n in names(assessment)] == ["cron-1"]
    top = assessment.pods.inline[0].workload
    assert top is not None and (top.kind, top.uid) == ("CronJob", cron["metadata"]["uid"])
    assert any("paused" in w for w in assessment.plan.warnings)


def test_one_pod_of_a_deployment_is_one_target(make: Make, running: Running, found: Found) -> None:
    deployment = make("Deployment", "web", {**selected("w"), "replicas": 3})
    pod, *others = running("w", 3)
    assessment = found(workload=workload_of(pod, "pods"))
    (target,) = assessment.pods.inline
    assert target.uid == pod["metadata"]["uid"]
    assert target.workload is not None and target.workload.uid == deployment["metadata"]["uid"]
    assert decision(assessment) is Verdict.AUTO
    assert len(others) == 2 and any("is also used by pods that are no targets" in w for w in assessment.plan.warnings)


def test_another_uid_under_the_name_asks_a_person(make: Make, found: Found) -> None:
    pod = make("Pod", "db-0", pod_spec())
    assessment = found(workload=workload_of(pod, "pods", uid="11111111-2222-3333-4444-555555555555"))
    assert names(assessment) == ["db-0"]
    assert decision(assessment) is Verdict.APPROVAL
    assert any("uid" in w for w in assessment.plan.warnings)


def test_a_pod_made_after_the_activity_is_another_one(make: Make, found: Found) -> None:
    pod = make("Pod", "db-0", pod_spec())
    # The finding names no uid, and the activity was over before this pod was made.
    assessment = found(workload=workload_of(pod, "pods", uid=""), age=timedelta(hours=1))
    assert decision(assessment) is Verdict.APPROVAL


def test_a_workload_that_was_made_anew_asks_a_person(make: Make, running: Running, found: Found) -> None:
    deployment = make("Deployment", "web", {**selected("w"), "replicas": 1})
    running("w", 1)
    assessment = found(workload=workload_of(deployment, "deployments", uid="0-0-0"))
    assert assessment.pods.count == 1
    assert decision(assessment) is Verdict.APPROVAL


def test_of_a_vanished_pod_its_owners_pods_are_proposed(
    make: Make, running: Running, found: Found, admin_door: Kubernetes, space: str
) -> None:
    make("Deployment", "web", {**selected("w"), "replicas": 1})
    (pod,) = running("w", 1)
    admin_door.delete(object_path("Pod", space, pod["metadata"]["name"]), uid=pod["metadata"]["uid"], grace_seconds=0)
    replacement = eventually(
        lambda: [p for p in running("w", 1) if p["metadata"]["uid"] != pod["metadata"]["uid"]], "a replacement"
    )
    assessment = found(workload=workload_of(pod, "pods"))
    assert [p.uid for p in assessment.pods.inline] == [replacement[0]["metadata"]["uid"]]
    assert decision(assessment) is Verdict.APPROVAL
    assert any("is gone" in w for w in assessment.plan.warnings)


def test_of_a_vanished_statefulset_pod_the_set_is_proposed(make: Make, running: Running, found: Found) -> None:
    make("StatefulSet", "db", {**selected("d"), "replicas": 1, "serviceName": "d"})
    (pod,) = running("d", 1)
    gone = workload_of(pod, "pods") | {"Name": "db-7"}
    assert names(found(workload=gone)) == ["db-0"]


def test_nothing_is_left_of_a_vanished_bare_pod(make: Make, found: Found, space: str) -> None:
    gone = {"Name": "ghost", "Namespace": space, "Type": "pods", "Uid": "0-0"}
    assessment = found(workload=gone)
    assert assessment.pods.count == 0 and assessment.changes == ()
    assert assessment.plan.plan_only or decision(assessment) is not Verdict.AUTO


def test_a_static_pod_is_named_as_such(make: Make, found: Found, admin_door: Kubernetes) -> None:
    node = next(admin_door.items(list_path("Node")))["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": node["name"], "uid": node["uid"], "controller": True}
    mirror = {"kubernetes.io/config.mirror": "abc", "kubernetes.io/config.source": "file"}
    spec = pod_spec(nodeName=node["name"])
    pod = make("Pod", f"static-{node['name']}", spec, annotations=mirror, ownerReferences=[owner])
    assessment = found(workload=workload_of(pod, "pods"))
    (target,) = assessment.pods.inline
    assert target.static and target.workload is not None and target.workload.kind == "Node"
    assert assessment.workloads == ()
    assert any("Static pods" in w for w in assessment.plan.warnings)


def test_a_pod_on_the_nodes_network_is_out_of_reach(make: Make, found: Found) -> None:
    pod = make("Pod", "host", pod_spec(hostNetwork=True))
    assessment = found(workload=workload_of(pod, "pods"))
    assert "network of its node" in assessment.pods.inline[0].unreachable
    assert "node" in [p.value for p in assessment.plan.paths]


def test_a_terminating_namespace_is_said(make: Make, found: Found, admin_door: Kubernetes, space: str) -> None:
    pod = make("Pod", "held", pod_spec(), finalizers=["test/keep"])
    path = object_path("Namespace", "", space)
    admin_door.delete(path, uid=admin_door.get(path)["metadata"]["uid"])
    try:
        assessment = found(workload=workload_of(pod, "pods"))
        assert names(assessment) == ["held"]
        assert any("Namespaces that are being deleted" in w for w in assessment.plan.warnings)
    finally:
        operation = {"op": "remove", "path": "/metadata/finalizers"}
        admin_door.patch(object_path("Pod", space, "held"), [operation])


def test_a_workload_scaled_to_zero_has_facts_and_no_pods(make: Make, found: Found) -> None:
    deployment = make("Deployment", "idle", {**selected("i"), "replicas": 0})
    assessment = found(workload=workload_of(deployment, "deployments"))
    assert assessment.pods.count == 0 and assessment.changes == ()
    assert [w.ref.name for w in assessment.workloads] == ["idle"]
    assert any("scaled to zero" in w for w in assessment.plan.warnings)


def test_a_service_account_means_every_pod_that_uses_it(make: Make, found: Found, space: str) -> None:
    account = make("ServiceAccount", "robot")
    for name in ("one", "two"):
        make("Pod", name, pod_spec(serviceAccountName="robot"))
    make("Pod", "three", pod_spec())
    uid = account["metadata"]["uid"]
    assessment = found(user=account_user(space, "robot", uid))
    assert names(assessment) == ["one", "two"]
    assert decision(found(user=account_user(space, "robot", "another-uid"))) is Verdict.APPROVAL


def test_a_named_pod_comes_before_the_account_that_called(make: Make, found: Found, space: str) -> None:
    make("ServiceAccount", "robot")
    make("Pod", "caller", pod_spec(serviceAccountName="robot"))
    victim = make("Pod", "victim", pod_spec())
    assessment = found(user=account_user(space, "robot"), workload=workload_of(victim, "pods"))
    assert names(assessment) == ["victim"]
    assert any("which made the call" in w and "caller" in w for w in assessment.plan.warnings)


@pytest.mark.parametrize(
    "workload",
    [
        {"Name": "x", "Namespace": "shop", "Type": "widgets", "Uid": "1"},
        {"Name": "x", "Type": "pods", "Uid": "1"},
        {"Name": "GeneratedFindingName", "Namespace": "Not_A_Namespace", "Type": "pods", "Uid": "1"},
        {"Name": "x.y", "Namespace": "kube-system", "Type": "cronjobs", "Uid": ""},
    ],
)
def test_what_cannot_be_found_is_an_outcome(workload: JsonObject, found: Found) -> None:
    assessment = found(workload=workload)
    assert assessment.pods.count == 0
    assert assessment.plan.warnings


def test_a_finding_that_names_only_a_container_means_its_pod(
    make: Make, running: Running, assess: Callable[[Finding], Assessment], admin_door: Kubernetes, space: str
) -> None:
    make("Deployment", "named", {**selected("c"), "replicas": 2})
    pod, _ = running("c", 2)
    name, statuses = pod["metadata"]["name"], pod["status"]["containerStatuses"]
    change = [
        {"op": "add", "path": "/status/containerStatuses/0/containerID", "value": "containerd://5c4a"},
        {"op": "test", "path": "/status/containerStatuses/0/name", "value": statuses[0]["name"]},
    ]
    admin_door.patch(object_path("Pod", space, name, "status"), change)
    about = read(raw_finding("c-1")).model_copy(update={"containers": (Container(name="app", image="x", id="5c4a"),)})
    assessment = assess(about)
    assert names(assessment) == [name]
    assert [c.resource.namespace for c in assessment.changes] == [space], "its namespace was read for policies too"
    nobody = about.model_copy(update={"containers": (Container(name="app", image="x", id="other"),)})
    assert names(assess(nobody)) == []
