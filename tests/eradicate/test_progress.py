from typing import Any

import pytest

from activities.eradicate.progress import Stage, is_new, rollout_state, trouble

W, C, F = Stage.WAITING, Stage.COMPLETE, Stage.FAILED


def live(spec: dict[str, Any], status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"generation": 2, **metadata}, "spec": spec, "status": {"observedGeneration": 2, **status}}


LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
SCHEDULED = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
DONE = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "stage", "says"),
    [
        ("Deployment", {"replicas": 3}, DONE, C, "3 of 3 pods updated"),
        ("Deployment", {}, {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, C, "1 of 1"),
        ("Deployment", {"replicas": 3}, {**DONE, "observedGeneration": 1}, W, "not seen the new template"),
        ("Deployment", {"replicas": 3}, {**DONE, "availableReplicas": 2}, W, "2 available"),
        ("Deployment", {"replicas": 3}, {**DONE, "replicas": 4}, W, "1 old ones left"),
        # Recreate: the old pods go first, and for a moment there is none at all.
        ("Deployment", {"replicas": 3, "strategy": {"type": "Recreate"}}, {}, W, "0 of 3"),
        ("Deployment", {"replicas": 0}, {}, C, "scaled to zero"),
        ("Deployment", {"replicas": 3, "paused": True}, DONE, F, "paused"),
        ("Deployment", {"replicas": 3}, {"conditions": [LATE]}, F, "timed out"),
        ("StatefulSet", {"replicas": 2}, {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}, W, "1 of 2"),
        ("StatefulSet", {"replicas": 2},
         {"replicas": 2, "currentRevision": "b", "updateRevision": "b", "availableReplicas": 2}, C, "2 of 2"),
        ("StatefulSet", {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, {"replicas": 2}, C, "OnDelete"),
        ("StatefulSet", {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}}, DONE, F, "partition"),
        ("StatefulSet", {"replicas": 0}, {}, C, "zero"),
        ("DaemonSet", {}, {**SCHEDULED, "updatedNumberScheduled": 2}, W, "2 of 3"),
        ("DaemonSet", {}, SCHEDULED, C, "3 of 3"),
        ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, {"desiredNumberScheduled": 3}, C, "OnDelete"),
        ("ReplicaSet", {"replicas": 2}, {}, C, "as they are deleted"),
        ("ReplicationController", {"replicas": 2}, {}, C, "as they are deleted"),
        ("CronJob", {}, {"active": [{"name": "nightly-1"}]}, C, "nightly-1"),
        ("Job", {}, {}, F, "cannot be watched"),
    ],
)  # fmt: skip
def test_where_a_rollout_stands(
    kind: str, spec: dict[str, Any], status: dict[str, Any], stage: Stage, says: str
) -> None:
    state = rollout_state(kind, live(spec, status))
    assert state.stage is stage
    assert says in state.detail


def test_a_workload_that_is_being_deleted_or_owned_cannot_be_rolled_out() -> None:
    assert rollout_state("Deployment", live({}, DONE, deletionTimestamp="now")).stage is F
    assert "owner" in rollout_state("ReplicaSet", live({}, {}, ownerReferences=[{"controller": True}])).detail


@pytest.mark.parametrize(
    ("reason", "hopeless"),
    [("ImagePullBackOff", True), ("ErrImagePull", True), ("CrashLoopBackOff", True), ("ContainerCreating", False)],
)
def test_what_keeps_a_pod_from_starting(reason: str, hopeless: bool) -> None:
    waiting = {"name": "main", "state": {"waiting": {"reason": reason, "message": "m" * 1000}}}
    for group in ("containerStatuses", "initContainerStatuses"):
        said = trouble({"status": {group: [waiting]}})
        assert bool(said) is hopeless
        assert len(said) < 300
    assert trouble({"status": {"containerStatuses": [{"name": "main", "state": {"running": {}}}]}}) == ""
    assert trouble({}) == ""


def test_a_new_pod_has_every_image_of_the_template() -> None:
    template = {
        "spec": {"containers": [{"name": "a", "image": "x:2"}], "initContainers": [{"name": "i", "image": "y"}]}
    }
    workload = {"metadata": {}, "spec": {"template": template}}
    assert is_new("Deployment", workload, template)
    # A sidecar that a webhook put in does not matter.
    more = {
        "spec": {**template["spec"], "containers": [*template["spec"]["containers"], {"name": "mesh", "image": "m"}]}
    }
    assert is_new("Deployment", workload, more)
    assert not is_new("Deployment", workload, {"spec": {"containers": [{"name": "a", "image": "x:1"}]}})
