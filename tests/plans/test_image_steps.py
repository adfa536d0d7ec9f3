"""The image path of a plan: which images are suspected, what is counted, what asks a person (guide I1, I2)."""

from __future__ import annotations

import pytest

from findings.model import Container, Finding
from plans.images import digest_of, ecr_image, image_doubt, is_reference, normalised, suspected_images
from plans.model import Gate, Plan, ResourceRef, Step, Verdict
from plans.observed import ContainerFacts, ImageFacts, PodFacts, WorkloadFacts
from plans.planner import make_plan
from plans.policy import Policy
from tests.plans.builders import a_finding, a_pod, a_workload, an_observed

MALWARE = "Execution:Kubernetes/MaliciousFile"
BAD = f"nginx@sha256:{'a' * 64}"
ECR = f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/shop/web@sha256:{'a' * 64}"


def step(plan: Plan, name: str) -> Step:
    return next(s for s in plan.steps if s.step == name)


def accusing(**more: object) -> Finding:
    return a_finding(type=MALWARE, **more)


def image_plan(finding: Finding | None = None, **observed: object) -> Plan:
    fields = {"images": (ImageFacts(name=BAD, tags=("nginx:1.27",)),), "images_counted": True, **observed}
    return make_plan(finding or accusing(), an_observed(**fields), Policy(), unbuilt=frozenset())


def other(index: int, **more: object) -> PodFacts:
    return a_pod(index, namespace="batch", name=f"b-{index}", uid=f"b-{index}", **more)


def two_containers(**images: str) -> PodFacts:
    facts = tuple(ContainerFacts(name=n, image=i, image_id=f"{n}@sha256:{n[0] * 64}") for n, i in images.items())
    return a_pod(containers=facts)


def test_an_image_whose_pods_are_counted_is_contained_by_itself() -> None:
    plan = image_plan(image_pods=(other(0),), image_pod_count=1, image_pod_namespaces=("batch",))
    assert {s.step for s in plan.steps if s.gate is Gate.CONTAIN and s.decision is Verdict.AUTO} == {
        "pod.quarantine",
        "image.block",
        "image.quarantine",
    }
    assert [t.name for t in step(plan, "image.quarantine").targets] == ["b-0"]
    assert {t.name for t in step(plan, "image.block").targets} == {BAD, "nginx:1.27"}


def test_how_a_workload_was_started_says_nothing_about_its_image() -> None:
    privileged = a_finding(type="PrivilegeEscalation:Kubernetes/PrivilegedContainer")
    plan = image_plan(privileged, image_pods=(other(0),), image_pod_count=1, image_pod_namespaces=("batch",))
    for name in ("image.block", "image.quarantine"):
        assert step(plan, name).decision is Verdict.APPROVAL
        assert "not what its image holds" in step(plan, name).reason
    # The pod that the finding names is contained all the same.
    assert step(plan, "pod.quarantine").decision is Verdict.AUTO


def test_pods_of_both_paths_count_together_against_the_budget_of_an_incident() -> None:
    pods = tuple(other(i) for i in range(50))
    plan = image_plan(image_pods=pods, image_pod_count=50, image_pod_namespaces=("batch",))
    assert step(plan, "image.quarantine").decision is Verdict.APPROVAL
    assert "51 pods are more than the 50" in step(plan, "image.quarantine").reason
    # The one pod that the finding names is none of that.
    assert step(plan, "pod.quarantine").decision is Verdict.AUTO


def test_a_protected_namespace_or_account_of_any_pod_asks_a_person() -> None:
    plan = image_plan(image_pods=(), image_pod_count=300, image_pod_namespaces=("batch", "kube-system"))
    assert "Protected: the namespace kube-system." in step(plan, "image.block").reason
    policy = Policy.model_validate({"protected": {"principals": ["system:serviceaccount:batch:web"]}})
    observed = an_observed(images=(ImageFacts(name=BAD),), images_counted=True, image_pods=(other(0),))
    plan = make_plan(accusing(), observed, policy, unbuilt=frozenset())
    assert "Protected: the pods run as batch/web." in step(plan, "image.quarantine").reason


def test_a_list_too_long_for_the_plan_is_a_count_and_a_hash() -> None:
    pods = tuple(other(i) for i in range(200))
    quarantine = step(
        image_plan(image_pods=pods, image_pod_count=500, image_targets_sha256="sha256:x"), "image.quarantine"
    )
    assert (quarantine.target_count, quarantine.targets_sha256) == (500, "sha256:x")


def test_a_tag_that_was_moved_is_not_refused() -> None:
    plan = image_plan(images=(ImageFacts(name=BAD, tags=("nginx:1.27", "nginx:old"), moved_tags=("nginx:1.27",)),))
    assert {t.name for t in step(plan, "image.block").targets} == {BAD, "nginx:old"}


def test_what_no_pod_runs_is_refused_all_the_same_and_nothing_else_is_to_contain() -> None:
    plan = image_plan()
    assert step(plan, "image.block").decision is Verdict.AUTO
    assert step(plan, "image.quarantine").decision is Verdict.NEVER
    assert step(plan, "image.delete_pods").decision is Verdict.NEVER


def test_a_template_is_repaired_with_the_image_that_the_approval_carries() -> None:
    ref = ResourceRef(kind="Deployment", namespace="batch", name="asleep", uid="d-2")
    job = ResourceRef(kind="Job", namespace="batch", name="once", uid="j-2")
    redeploy = step(image_plan(image_workloads=(WorkloadFacts(ref=ref), WorkloadFacts(ref=job))), "image.redeploy")
    assert [t.name for t in redeploy.targets] == ["asleep"]
    assert "fixed image" in redeploy.reason


def test_a_static_pod_is_contained_and_never_deleted() -> None:
    plan = image_plan(image_pods=(other(0), other(1, static=True)), image_pod_count=2)
    assert step(plan, "image.quarantine").target_count == 2
    assert [t.name for t in step(plan, "image.delete_pods").targets] == ["b-0"]


def test_a_repository_is_closed_only_when_several_of_its_images_are_compromised() -> None:
    def deny(*names: str) -> Step:
        return step(image_plan(images=tuple(ImageFacts(name=n) for n in names)), "image.deny_repository")

    assert deny(BAD).decision is Verdict.NEVER
    assert deny(ECR).decision is Verdict.NEVER
    second = ECR.replace("a" * 64, "b" * 64)
    assert deny(ECR, second).decision is Verdict.APPROVAL
    assert [t.name for t in deny(ECR, second).targets] == ["shop/web"]
    assert deny(ECR, second.replace("shop/web", "shop/api")).decision is Verdict.NEVER


def test_only_the_accused_container_of_a_pod_is_suspected() -> None:
    pod = two_containers(app="registry.example/app:1", proxy="registry.example/proxy:1")
    accused = accusing(containers=(Container(name="app", image="registry.example/app:1"),))
    assert suspected_images(accused, [pod]) == (f"app@sha256:{'a' * 64}",)
    assert image_doubt(accused, suspected_images(accused, [pod]), [pod]) == ""
    # A workload of two images says nothing about which of them it is.
    named = tuple(Container(name=n, image=f"registry.example/{n}:1") for n in ("app", "proxy"))
    both = accusing(workload=a_workload(containers=named))
    assert len(suspected_images(both, [pod])) == 2
    assert "does not say which" in image_doubt(both, suspected_images(both, [pod]), [pod])
    # What runs is not what the finding names: a person decides.
    elsewhere = accusing(containers=(Container(name="x", image="registry.example/x:1"),))
    assert len(suspected_images(elsewhere, [pod])) == 2
    assert "is not written in any" in image_doubt(elsewhere, suspected_images(elsewhere, [pod]), [pod])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("docker.io/library/nginx:latest", "docker.io/library/nginx:latest"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        (f"nginx:1@sha256:{'a' * 64}", f"docker.io/library/nginx@sha256:{'a' * 64}"),
    ],
)
def test_references_are_compared_as_runtimes_read_them(written: str, meant: str) -> None:
    assert normalised(written) == meant


def test_a_digest_is_only_what_ends_a_reference() -> None:
    digest = f"sha256:{'a' * 64}"
    assert [digest_of(r) for r in (f"a@{digest}", f"docker-pullable://a@{digest}", digest)] == [digest] * 3
    assert [digest_of(r) for r in (f"a:{digest}x", "a:1", f"{digest}@b", "")] == [""] * 4


def test_an_image_of_ecr_is_told_by_its_whole_address() -> None:
    image = ecr_image(ECR)
    assert image is not None
    assert (image.account, image.region, image.name) == (
        "111122223333",
        "eu-central-1",
        f"shop/web@sha256:{'a' * 64}",
    )
    for foreign in (ECR.replace("amazonaws.com", "amazonaws.com.evil.example"), f"evil.example/{ECR}", BAD):
        assert ecr_image(foreign) is None


@pytest.mark.parametrize("hostile", ["a' || true", 'a"b', "a\\b", "a\nb", "", "a b", "ä"])
def test_what_is_no_reference_gets_into_no_expression(hostile: str) -> None:
    assert not is_reference(hostile)
