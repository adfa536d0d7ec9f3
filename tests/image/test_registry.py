"""What ECR holds of an image: kept as evidence, archived, deleted, restored by release (guide I1, P6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from activities.doors import Doors
from activities.image.archive import ArchiveActivities
from activities.image.evidence import blob_key, folder, is_exported
from activities.image.export import ExportActivities
from activities.image.repository import SID, RepositoryActivities
from activities.steps import StepRoom
from contracts.steps import StepOutcome, StepPlan, StepRequest
from devstack.stack import StackInfo
from errors import Throttled
from evidence.store import read_bytes
from plans.model import Gate
from tests.image.conftest import killed_before
from tests.image.registry import Pushed, ecr_client, new_repository, push, push_index
from tests.isolation.support import run

if TYPE_CHECKING:
    from mypy_boto3_ecr.client import ECRClient

pytestmark = pytest.mark.stack

Made = tuple[StepRequest, StepOutcome]


@pytest.fixture(scope="session")
def ecr(stack: StackInfo) -> ECRClient:
    return ecr_client(stack)


@pytest.fixture
def repository(ecr: ECRClient) -> tuple[str, str]:
    return new_repository(ecr)


@pytest.fixture
def pushed(ecr: ECRClient, repository: tuple[str, str]) -> Pushed:
    return push(ecr, *repository, "1.0", "latest")


def status(ecr: ECRClient, image: Pushed) -> str:
    """What ECR says of an image, or "gone"."""
    found = ecr.describe_images(repositoryName=image.repository, filter={"imageStatus": "ANY"})
    mine = [i for i in found["imageDetails"] if i["imageDigest"] == image.digest]
    return mine[0]["imageStatus"] if mine else "gone"


def test_a_copy_of_an_image_is_what_ran_to_the_byte(
    doors: Doors, request_for: Callable[..., StepRequest], pushed: Pushed
) -> None:
    request = request_for("image.export", pushed.by_digest, gate=None)
    prefix = request.incident.evidence_prefix
    outcome = run(ExportActivities(doors).export_image, request)
    assert outcome.complete
    assert outcome.entries is not None
    assert outcome.artefacts == outcome.entries.count == 2 + len(pushed.blobs)
    assert read_bytes(doors.store, f"{prefix}/{folder(pushed.digest)}/manifest.json") == pushed.manifest
    for digest, data in pushed.blobs.items():
        assert read_bytes(doors.store, f"{prefix}/{blob_key(digest)}") == data
    lines = [json.loads(line) for line in read_bytes(doors.store, outcome.entries.key).splitlines()]
    assert {line["outcome"] for line in lines} == {"collected"}
    assert is_exported(doors.store, prefix, pushed.digest)
    # Once more after a crash that nobody noticed: the same artefacts, and nothing twice.
    again = run(ExportActivities(doors).export_image, request)
    assert (again.complete, again.artefacts) == (True, outcome.artefacts)


def test_an_index_is_kept_with_all_its_images(
    doors: Doors,
    request_for: Callable[..., StepRequest],
    carry_out: Callable[..., Made],
    ecr: ECRClient,
    repository: tuple[str, str],
) -> None:
    children = [push(ecr, *repository), push(ecr, *repository)]
    index = push_index(ecr, *repository, children, "multi")
    request = request_for("image.export", index.by_digest, gate=None)
    outcome = run(ExportActivities(doors).export_image, request)
    assert outcome.complete
    prefix = request.incident.evidence_prefix
    for one in (index, *children):
        assert read_bytes(doors.store, f"{prefix}/{folder(one.digest)}/manifest.json") == one.manifest
    for digest, data in index.blobs.items():
        assert read_bytes(doors.store, f"{prefix}/{blob_key(digest)}") == data
    # Another index may share its images, so they are left where they are, and a person is told.
    room = ArchiveActivities(doors)
    _, archived = carry_out(room, room.archive_image, request_for("image.archive", index.by_digest))
    assert archived.complete
    assert [status(ecr, one) for one in (index, *children)] == ["ARCHIVED", "ACTIVE", "ACTIVE"]
    assert children[0].digest in archived.tasks[0].text


def test_what_is_not_what_its_digest_says_is_never_kept(
    doors: Doors, request_for: Callable[..., StepRequest], pushed: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for("image.export", pushed.by_digest, gate=None)
    digest = list(pushed.blobs)[-1]
    real = doors.aws.ecr.layer

    def forged(repository: str, wanted: str) -> Any:
        return iter([b"x" * len(pushed.blobs[digest])]) if wanted == digest else real(repository, wanted)

    monkeypatch.setattr(doors.aws.ecr, "layer", forged)
    outcome = run(ExportActivities(doors).export_image, request)
    assert not outcome.complete
    assert "ECR says that it is" in outcome.failures[0].message
    prefix = request.incident.evidence_prefix
    assert f"{prefix}/{blob_key(digest)}" not in set(doors.store.keys(prefix))
    assert not is_exported(doors.store, prefix, pushed.digest)


def test_an_image_that_is_too_large_is_recorded_and_not_copied(
    doors: Doors, request_for: Callable[..., StepRequest], pushed: Pushed
) -> None:
    request = request_for("image.export", pushed.by_digest, gate=None)
    outcome = run(ExportActivities(doors, most_bytes=1000).export_image, request)
    assert not outcome.complete
    assert outcome.failures[0].code == "InputError"
    assert not is_exported(doors.store, request.incident.evidence_prefix, pushed.digest)


def test_an_archived_image_cannot_be_pulled_and_release_restores_it(
    doors: Doors,
    request_for: Callable[..., StepRequest],
    carry_out: Callable[..., Made],
    undo: Callable[[StepRequest], list[str]],
    ecr: ECRClient,
    pushed: Pushed,
) -> None:
    room = ArchiveActivities(doors)
    request, outcome = carry_out(room, room.archive_image, request_for("image.archive", pushed.by_digest))
    assert (outcome.complete, outcome.skipped) == (True, False)
    assert "no pod of the cluster runs it" in outcome.summary
    assert status(ecr, pushed) == "ARCHIVED"
    # A second incident holds it too: it finds the work done, and its release leaves the image where it is.
    other, second = carry_out(room, room.archive_image, request_for("image.archive", pushed.by_digest, of="other"))
    assert second.complete
    assert any("held by" in kept for kept in undo(other))
    assert status(ecr, pushed) == "ARCHIVED"
    assert undo(request) == []
    assert status(ecr, pushed) in ("ACTIVATING", "ACTIVE")


def test_an_image_without_a_copy_is_not_deleted(
    doors: Doors,
    request_for: Callable[..., StepRequest],
    plan: Callable[[StepRoom, StepRequest], StepPlan],
    ecr: ECRClient,
    pushed: Pushed,
) -> None:
    planned = plan(ArchiveActivities(doors), request_for("image.delete", pushed.by_digest))
    assert planned.blocked
    assert "only once the evidence holds a whole copy" in planned.failures[0].message
    assert any("tags 1.0 and latest" in n for n in planned.notes)
    assert status(ecr, pushed) == "ACTIVE"


def test_a_deleted_image_takes_its_tags_and_nothing_else(
    doors: Doors,
    request_for: Callable[..., StepRequest],
    carry_out: Callable[..., Made],
    undo: Callable[[StepRequest], list[str]],
    ecr: ECRClient,
    repository: tuple[str, str],
    pushed: Pushed,
) -> None:
    kept = push(ecr, *repository, "2.0")
    run(ExportActivities(doors).export_image, request_for("image.export", pushed.by_digest, gate=None))
    room = ArchiveActivities(doors)
    archived, _ = carry_out(room, room.archive_image, request_for("image.archive", pushed.by_digest))
    request, outcome = carry_out(room, room.delete_image, request_for("image.delete", pushed.by_digest))
    assert (outcome.complete, outcome.skipped) == (True, False)
    assert "tags 1.0 and latest" in outcome.summary
    assert (status(ecr, pushed), status(ecr, kept)) == ("gone", "ACTIVE")
    # Deleted once more after a crash: already so.
    assert run(room.delete_image, request).complete
    assert any("nothing brings it back" in k for k in undo(request))
    assert undo(archived) == []
    # Gone already is an outcome: there is nothing to plan, to make or to keep.
    _, again = carry_out(room, room.archive_image, request_for("image.archive", pushed.by_digest))
    assert (again.complete, again.skipped) == (True, True)
    assert "gone already" in again.summary
    copied = run(ExportActivities(doors).export_image, request_for("image.export", pushed.by_digest, gate=None))
    assert (copied.complete, copied.skipped) == (True, True)


def test_a_worker_that_dies_before_it_deletes_is_followed_by_one_that_does(
    doors: Doors,
    request_for: Callable[..., StepRequest],
    plan: Callable[[StepRoom, StepRequest], StepPlan],
    ecr: ECRClient,
    pushed: Pushed,
) -> None:
    run(ExportActivities(doors).export_image, request_for("image.export", pushed.by_digest, gate=None))
    request = request_for("image.delete", pushed.by_digest)
    full = request.model_copy(update={"changes": plan(ArchiveActivities(doors), request).changes})
    with pytest.raises(KeyboardInterrupt):
        run(ArchiveActivities(killed_before(doors, 0)).delete_image, full)
    assert status(ecr, pushed) == "ACTIVE"
    assert run(ArchiveActivities(doors).delete_image, full).complete
    assert status(ecr, pushed) == "gone"


@pytest.mark.parametrize("registry", ["registry.example", "210987654321.dkr.ecr.us-east-1.amazonaws.com", "x"])
def test_another_registry_is_a_task_for_its_owner(
    doors: Doors, request_for: Callable[..., StepRequest], carry_out: Callable[..., Made], registry: str
) -> None:
    image = f"{registry}/shop/web@sha256:{'a' * 64}"
    rooms = ArchiveActivities(doors), ExportActivities(doors)
    for room, verb, name in (
        (rooms[0], rooms[0].archive_image, "image.archive"),
        (rooms[0], rooms[0].delete_image, "image.delete"),
        (rooms[1], rooms[1].export_image, "image.export"),
    ):
        _, outcome = carry_out(room, verb, request_for(name, image))
        assert (outcome.complete, outcome.skipped) == (True, True)
        assert [t.step for t in outcome.tasks] == [name]
        assert image in outcome.tasks[0].text


def test_a_repository_that_does_not_exist_is_said_and_is_no_crash(
    doors: Doors, request_for: Callable[..., StepRequest], carry_out: Callable[..., Made], pushed: Pushed
) -> None:
    image = pushed.by_digest.replace("/shop/", "/no-such/")
    room = ArchiveActivities(doors)
    _, outcome = carry_out(room, room.archive_image, request_for("image.archive", image))
    assert (outcome.complete, outcome.skipped) == (True, True)


def test_a_closed_repository_refuses_every_pull_and_gets_its_own_policy_back(
    doors: Doors,
    request_for: Callable[..., StepRequest],
    plan: Callable[[StepRoom, StepRequest], StepPlan],
    carry_out: Callable[..., Made],
    undo: Callable[[StepRequest], list[str]],
    ecr: ECRClient,
    repository: tuple[str, str],
    pushed: Pushed,
) -> None:
    name = repository[0]
    allow = {"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage"]}
    before = {"Version": "2012-10-17", "Statement": [allow]}
    ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(before))
    room = RepositoryActivities(doors)
    request = request_for("image.deny_repository", name, gate=Gate.TERMINATE)
    notes = plan(room, request).notes
    assert any("tags: 1.0 and latest" in n for n in notes)
    request, outcome = carry_out(room, room.deny_repository, request)
    assert (outcome.complete, outcome.skipped) == (True, False)
    now = json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"])
    assert [s["Sid"] for s in now["Statement"]] == ["a", SID]
    assert undo(request) == []
    assert json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"]) == before


def test_a_repository_without_a_policy_has_none_after_release(
    doors: Doors,
    request_for: Callable[..., StepRequest],
    carry_out: Callable[..., Made],
    undo: Callable[[StepRequest], list[str]],
    ecr: ECRClient,
    repository: tuple[str, str],
) -> None:
    room = RepositoryActivities(doors)
    request, outcome = carry_out(room, room.deny_repository, request_for("image.deny_repository", repository[0]))
    assert outcome.complete
    assert undo(request) == []
    with pytest.raises(ecr.exceptions.RepositoryPolicyNotFoundException):
        ecr.get_repository_policy(repositoryName=repository[0])


def test_a_refusal_of_ecr_is_a_failure_that_names_the_permission_and_a_full_service_is_tried_again(
    doors: Doors,
    request_for: Callable[..., StepRequest],
    plan: Callable[[StepRoom, StepRequest], StepPlan],
    pushed: Pushed,
    ecr: ECRClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = ArchiveActivities(doors)
    request = request_for("image.archive", pushed.by_digest)
    full = request.model_copy(update={"changes": plan(room, request).changes})

    def answer(code: str) -> Callable[..., Any]:
        def raises(**_: Any) -> Any:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "UpdateImageStorageClass")

        return raises

    monkeypatch.setattr(doors.aws.ecr._client, "update_image_storage_class", answer("AccessDeniedException"))
    outcome = run(room.archive_image, full)
    assert not outcome.complete
    assert outcome.failures[0].code == "Forbidden"
    assert "ecr:UpdateImageStorageClass" in outcome.failures[0].message
    monkeypatch.setattr(doors.aws.ecr._client, "update_image_storage_class", answer("ThrottlingException"))
    with pytest.raises(Throttled):
        run(room.archive_image, full)
    assert status(ecr, pushed) == "ACTIVE"


def test_an_image_of_which_a_layer_is_lost_is_no_whole_copy(
    doors: Doors, request_for: Callable[..., StepRequest], ecr: ECRClient, repository: tuple[str, str]
) -> None:
    lost = push(ecr, *repository, "1.0", lost=True)
    request = request_for("image.export", lost.by_digest, gate=None)
    outcome = run(ExportActivities(doors).export_image, request)
    assert not outcome.complete
    assert "LayersNotFoundException" in outcome.failures[0].message
    assert not is_exported(doors.store, request.incident.evidence_prefix, lost.digest)
