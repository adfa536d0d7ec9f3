"""An image is refused at admission: by digest everywhere, by tag as written, and again admitted by release (I1)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from activities.doors import Doors
from activities.image.block import BlockActivities
from activities.image.refusal import PROBE_NAMESPACE, policy_name
from contracts.states import Containment
from contracts.steps import StepOutcome, StepPlan, StepRequest
from devstack.kube import KubeApi, KubeError
from plans.model import Gate
from tests.image.conftest import killed_before
from tests.isolation.support import run

pytestmark = pytest.mark.stack

Json = dict[str, Any]
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


@pytest.fixture
def digest() -> str:
    return f"sha256:{secrets.token_hex(32)}"


@pytest.fixture
def room(doors: Doors) -> BlockActivities:
    return BlockActivities(doors)


@pytest.fixture
def blocked(
    room: BlockActivities,
    request_for: Callable[..., StepRequest],
    carry_out: Callable[..., tuple[StepRequest, StepOutcome]],
    undo: Callable[[StepRequest], list[str]],
) -> Iterator[Callable[..., tuple[StepRequest, StepOutcome]]]:
    """Block images, and let them in again after the test."""
    made: list[StepRequest] = []

    def block(*images: str, of: str = "block") -> tuple[StepRequest, StepOutcome]:
        request, outcome = carry_out(
            room, room.block_image, request_for("image.block", *images, of=of, gate=Gate.CONTAIN)
        )
        made.append(request)
        return request, outcome

    yield block
    for request in made:
        undo(request)


def pod(image: str, **spec: Any) -> Json:
    containers = [{"name": "app", "image": image}]
    return {"metadata": {"generateName": "p-"}, "spec": {"containers": containers, **spec}}


def merge(admin: KubeApi, path: str, body: Json) -> None:
    admin.request("PATCH", path, body, content_type="application/strategic-merge-patch+json")


def admitted(admin: KubeApi, namespace: str, body: Json) -> str:
    """ "" when the API server would make the pod, else why not."""
    try:
        admin.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body)
    except KubeError as error:
        return str(error)
    return ""


def test_a_digest_is_refused_under_every_name_and_in_every_kind_of_container(
    blocked: Callable[..., tuple[StepRequest, StepOutcome]],
    undo: Callable[[StepRequest], list[str]],
    admin: KubeApi,
    namespace: str,
    digest: str,
) -> None:
    image = f"registry.example/shop/web@{digest}"
    request, outcome = blocked(image)
    assert outcome.complete
    assert outcome.containment is Containment.VERIFIED
    init = pod("registry.example/ok:1", initContainers=[{"name": "i", "image": image}])
    for body in (pod(image), pod(f"mirror.example/x:tag@{digest}"), init):
        assert policy_name(image) in admitted(admin, namespace, body)
    # Other images of the same repository go on.
    assert admitted(admin, namespace, pod("registry.example/shop/web:2")) == ""
    assert admitted(admin, namespace, pod(f"registry.example/shop/web@sha256:{'0' * 64}")) == ""

    assert undo(request) == []
    with pytest.raises(KubeError, match="404"):
        admin.request("GET", f"{POLICIES}/{policy_name(image)}")


def test_a_running_pod_can_still_be_changed_but_not_given_the_image(
    blocked: Callable[..., tuple[StepRequest, StepOutcome]], admin: KubeApi, namespace: str, digest: str
) -> None:
    image = f"registry.example/shop/web@{digest}"
    pods = f"/api/v1/namespaces/{namespace}/pods"
    old = admin.request("POST", pods, pod(image))["metadata"]["name"]
    good = admin.request("POST", pods, pod("registry.example/ok:1"))["metadata"]["name"]
    blocked(image)
    # Quarantine labels the pods that run the image: that must not be refused.
    merge(admin, f"{pods}/{old}", {"metadata": {"labels": {"seen": "yes"}}})
    change = {"spec": {"containers": [{"name": "app", "image": image}]}}
    with pytest.raises(KubeError, match=policy_name(image)):
        merge(admin, f"{pods}/{good}", change)
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": image}]}}
    for name in (old, good):
        with pytest.raises(KubeError, match=policy_name(image)):
            merge(admin, f"{pods}/{name}/ephemeralcontainers", debug)


def test_a_tag_is_refused_as_it_is_written_and_no_other(
    blocked: Callable[..., tuple[StepRequest, StepOutcome]], admin: KubeApi, namespace: str
) -> None:
    tag = f"registry.example/{secrets.token_hex(4)}:1.0"
    _, outcome = blocked(tag)
    assert outcome.complete
    assert policy_name(tag) in admitted(admin, namespace, pod(tag))
    assert admitted(admin, namespace, pod(f"{tag}.1")) == ""
    assert admitted(admin, namespace, pod(f"x{tag}")) == ""


def test_two_incidents_share_a_policy_and_the_last_release_removes_it(
    blocked: Callable[..., tuple[StepRequest, StepOutcome]],
    undo: Callable[[StepRequest], list[str]],
    admin: KubeApi,
    digest: str,
) -> None:
    image = f"registry.example/shop/web@{digest}"
    first, _ = blocked(image, of="one")
    second, outcome = blocked(f"mirror.example/web@{digest}", of="two")
    assert outcome.complete
    assert any("two" in kept for kept in undo(first))
    assert admin.request("GET", f"{POLICIES}/{policy_name(image)}")
    assert undo(second) == []
    with pytest.raises(KubeError, match="404"):
        admin.request("GET", f"{POLICIES}/{policy_name(image)}")


def test_a_worker_that_dies_between_policy_and_binding_is_followed_by_one_that_ends_the_work(
    doors: Doors,
    plan: Callable[[BlockActivities, StepRequest], StepPlan],
    request_for: Callable[..., StepRequest],
    undo: Callable[[StepRequest], list[str]],
    digest: str,
) -> None:
    request = request_for("image.block", f"registry.example/web@{digest}", of="killed", gate=Gate.CONTAIN)
    full = request.model_copy(update={"changes": plan(BlockActivities(doors), request).changes})
    with pytest.raises(KeyboardInterrupt):
        run(BlockActivities(killed_before(doors, 1)).block_image, full)
    outcome = run(BlockActivities(doors).block_image, full)
    assert outcome.complete
    assert undo(full) == []


def test_a_policy_that_somebody_narrowed_is_not_taken_for_a_proof(
    doors: Doors,
    blocked: Callable[..., tuple[StepRequest, StepOutcome]],
    admin: KubeApi,
    digest: str,
) -> None:
    image = f"registry.example/shop/web@{digest}"
    request, _ = blocked(image)
    narrowed = {"spec": {"matchConstraints": {"namespaceSelector": {"matchLabels": {"only": "here"}}}}}
    merge(admin, f"{POLICIES}/{policy_name(image)}", narrowed)
    outcome = run(BlockActivities(doors, in_force_within=3).block_image, request)
    assert not outcome.complete
    assert outcome.containment is Containment.INCOMPLETE
    assert outcome.failures[0].code == "Conflict"
    admin.request("DELETE", f"{POLICIES}/{policy_name(image)}")


def test_nothing_of_a_hostile_name_gets_into_an_expression(
    room: BlockActivities,
    plan: Callable[[BlockActivities, StepRequest], StepPlan],
    request_for: Callable[..., StepRequest],
) -> None:
    planned = plan(room, request_for("image.block", "x') || true || ('", gate=Gate.CONTAIN))
    assert planned.changes == ()
    assert planned.failures[0].code == "InputError"


def test_firebreak_can_make_no_pod_where_it_probes(firebreak: KubeApi) -> None:
    with pytest.raises(KubeError, match="exceeded quota"):
        firebreak.request("POST", f"/api/v1/namespaces/{PROBE_NAMESPACE}/pods", pod("registry.example/ok:1"))
