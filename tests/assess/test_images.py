"""Who runs a suspected image, in the whole cluster: by digest, in every kind of container, and in templates (I2)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator

import pytest

from clients.kubernetes import Kubernetes
from clients.paths import list_path, object_path
from contracts.activities import Assessment
from contracts.common import PodTarget
from plans.model import Step
from tests.assess.support import JsonObject, eventually, template, workload_of

pytestmark = pytest.mark.stack

MALWARE = "Execution:Kubernetes/MaliciousFile"


def accused(pod: JsonObject, *images: str) -> JsonObject:
    """`KubernetesWorkloadDetails` that name the containers, as findings of this type do."""
    containers = [{"Name": f"c{i}", "Image": image} for i, image in enumerate(images)]
    return workload_of(pod, "pods") | {"Containers": containers}


def digest_under(tag: str) -> str:
    """The digest that the embedded kubelets report for an image by tag."""
    return f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"


def containers(**images: str) -> JsonObject:
    return {"containers": [{"name": n, "image": i} for n, i in images.items()]}


def step(assessment: Assessment, name: str) -> Step:
    return next(s for s in assessment.plan.steps if s.step == name)


def names(targets: tuple[PodTarget, ...]) -> list[str]:
    return [t.name for t in targets]


@pytest.fixture
def image() -> str:
    return f"registry.example/{uuid.uuid4().hex[:8]}/web"


@pytest.fixture
def elsewhere(admin_door: Kubernetes, namespace: str) -> Iterator[str]:
    """A second namespace."""
    name = f"{namespace}-b"
    made = admin_door.create(list_path("Namespace"), {"metadata": {"name": name}})

    def there() -> bool:
        return any(a["metadata"]["name"] == "default" for a in admin_door.items(list_path("ServiceAccount", name)))

    eventually(there, "the default service account")
    yield name
    admin_door.delete(object_path("Namespace", "", name), uid=made["metadata"]["uid"])


@pytest.fixture
def running_pod(admin_door: Kubernetes, space: str) -> Callable[..., JsonObject]:
    """Make a pod and wait until its containers run."""

    def make(name: str, spec: JsonObject, namespace: str = "") -> JsonObject:
        where = namespace or space
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}
        admin_door.create(list_path("Pod", where), body)

        def up() -> JsonObject | None:
            live = admin_door.get(object_path("Pod", where, name))
            return live if live["status"].get("phase") == "Running" else None

        found: JsonObject = eventually(up, f"pod {name}")
        return found

    return make


def test_pods_and_templates_of_all_namespaces_are_found_by_digest(
    found: Callable[..., Assessment],
    running_pod: Callable[..., JsonObject],
    make: Callable[..., JsonObject],
    elsewhere: str,
    image: str,
) -> None:
    tag, digest = f"{image}:1", digest_under(f"{image}:1")
    bad = running_pod("bad", containers(app=tag, proxy="registry.example/proxy:1"))
    # The same content as an init container, and under another repository's name.
    running_pod(
        "initiated",
        containers(app="registry.example/ok:1") | {"initContainers": [{"name": "setup", "image": f"{image}@{digest}"}]},
        elsewhere,
    )
    running_pod("mirrored", containers(app=f"mirror.example/x@{digest}"), elsewhere)
    # A harmless image beside the accused one, and another tag of the same repository.
    running_pod("proxy-only", containers(proxy="registry.example/proxy:1"), elsewhere)
    running_pod("other-tag", containers(app=f"{image}:2"), elsewhere)
    selector = {"selector": {"matchLabels": {"app": "asleep"}}, "template": template("asleep", **containers(app=tag))}
    make("Deployment", "asleep", selector | {"replicas": 0})
    job = {"template": {"spec": containers(app=tag) | {"restartPolicy": "Never"}}}
    make("CronJob", "nightly", {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}})

    assessment = found(finding_type=MALWARE, workload=accused(bad, tag))
    assert [t.name for t in step(assessment, "image.export").targets] == [f"{image}@{digest}"]
    assert {t.name for t in step(assessment, "image.block").targets} == {f"{image}@{digest}", tag}
    assert names(assessment.pods.inline) == ["bad"]
    assert names(assessment.image_pods.inline) == ["initiated", "mirrored"]
    assert {w.ref.name for w in assessment.image_workloads} == {"asleep", "nightly"}
    # The deny-all policy of the pods' namespace is planned for the path of the image.
    assert {(c.step, c.resource.namespace) for c in assessment.image_changes} == {("image.quarantine", elsewhere)}
    assert "not been counted" not in step(assessment, "image.quarantine").reason


def test_a_tag_that_was_moved_is_no_target_and_is_said(
    found: Callable[..., Assessment],
    running_pod: Callable[..., JsonObject],
    make: Callable[..., JsonObject],
    admin_door: Kubernetes,
    space: str,
    image: str,
) -> None:
    tag = f"{image}:1"
    bad = running_pod("bad", containers(app=tag))
    moved = running_pod("moved", containers(app=tag))
    statuses = moved["status"]["containerStatuses"]
    other = f"{image}@sha256:{'a' * 64}"
    path = object_path("Pod", space, "moved", "status")
    change = [{"op": "replace", "path": "/status/containerStatuses", "value": [statuses[0] | {"imageID": other}]}]
    admin_door.patch(path, change)
    selector = {"selector": {"matchLabels": {"app": "asleep"}}, "template": template("asleep", **containers(app=tag))}
    make("Deployment", "asleep", selector | {"replicas": 0})

    assessment = found(finding_type=MALWARE, workload=accused(bad, tag))
    assert assessment.image_pods.count == 0
    assert assessment.image_workloads == ()
    assert [t.name for t in step(assessment, "image.block").targets] == [f"{image}@{digest_under(tag)}"]
    assert any("was moved" in w for w in assessment.plan.warnings)
    assert step(assessment, "image.quarantine").decision.value == "never"


def test_protected_namespaces_and_many_images_ask_a_person(
    found: Callable[..., Assessment], running_pod: Callable[..., JsonObject], image: str, admin_door: Kubernetes
) -> None:
    tag = f"{image}:1"
    bad = running_pod("bad", containers(c0=tag, c1="registry.example/other:1"))
    name = f"system-{uuid.uuid4().hex[:6]}"
    held = running_pod(name, containers(app=f"{image}@{digest_under(tag)}"), "kube-system")
    try:
        assessment = found(finding_type=MALWARE, workload=accused(bad, tag, "registry.example/other:1"))
    finally:
        admin_door.delete(object_path("Pod", "kube-system", name), uid=held["metadata"]["uid"])
    block = step(assessment, "image.block")
    assert block.decision.value == "approval"
    assert "Protected: the namespace kube-system." in block.reason
    assert "does not say which is compromised" in block.reason
    # The pod that the finding names is contained by itself all the same.
    assert step(assessment, "pod.quarantine").decision.value == "auto"


def test_a_finding_without_the_image_path_does_not_search_the_cluster(
    found: Callable[..., Assessment], running_pod: Callable[..., JsonObject], image: str
) -> None:
    bad = running_pod("bad", containers(app=f"{image}:1"))
    assessment = found(workload=accused(bad, f"{image}:1"))
    assert assessment.image_pods.count == 0
    assert not [s for s in assessment.plan.steps if s.path.value == "image"]
