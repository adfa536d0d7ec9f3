"""The activities `archive_image` and `delete_image`: nobody pulls the image any more, then it is gone (guide I1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pydantic import JsonValue
from temporalio import activity

from activities.changes.ecr import IMAGE, MANIFEST, STORAGE
from activities.image.evidence import images_of_index, is_exported
from activities.image.registry import owner_tasks, sort_images
from activities.image.running import running_pods
from activities.isolation.walk import SYSTEMIC, failure_of
from activities.steps import Planner, StepRoom, beat
from clients.aws.ecr import ImageState
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest, Task
from errors import FirebreakError, PolicyRefusal, TargetGone
from plans.images import EcrImage, digest_of, shown_all
from plans.model import Change, ResourceRef
from plans.situation import listed

_SHOWN = 5


class ArchiveActivities(StepRoom):
    """Takes images out of the registry: first so that they can be restored, then for good."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"image.archive": self._plan_archive, "image.delete": self._plan_delete}

    @activity.defn(name=ActivityName.ARCHIVE_IMAGE, no_thread_cancel_exception=True)
    def archive_image(self, request: StepRequest) -> StepOutcome:
        """Archive the digests, read their status again, and look once more for pods that run them.

        Raises:
            Paused, Throttled, Unavailable: A service stands in the way; a retry goes on.
        """
        made = self._make(request)
        ours, others = sort_images(request, self._doors.settings)
        states = {image: self._state(image) for image in ours}
        active = [i.name for i, s in states.items() if s is not None and s.status != "ARCHIVED"]
        # Those that were replaced are not to come back, whoever makes them.
        pods = running_pods(self._doors.kubernetes, [t.name for t in request.step.targets], beat)
        running = [str(p) for p in pods]
        reasons = [f"{name} can still be pulled." for name in active]
        reasons += [f"{len(running)} pods still run the image: {listed(running, _SHOWN)}."] if running else []
        archived = [i.name for i, s in states.items() if s is not None and s.status == "ARCHIVED"]
        gone = [i.name for i, s in states.items() if s is None]
        return StepOutcome(
            complete=not active and not made.failures,
            skipped=not archived,
            summary=_summary(("archived", archived), ("gone already", gone), ("left to their owner", list(others)))
            + ("" if running else "; no pod of the cluster runs it"),
            failures=made.failures,
            reasons=tuple(reasons),
            tasks=(*owner_tasks(request, others, "Take away"), *self._index_tasks(request, ours)),
            notes=tuple(reasons),
        )

    @activity.defn(name=ActivityName.DELETE_IMAGE, no_thread_cancel_exception=True)
    def delete_image(self, request: StepRequest) -> StepOutcome:
        """Delete the digests, and ask for them again.

        Raises:
            Paused, Throttled, Unavailable: ECR stands in the way; a retry goes on.
        """
        made = self._make(request)
        ours, others = sort_images(request, self._doors.settings)
        left = [i.name for i in ours if self._state(i) is not None]
        planned = {c.resource.name: c for c in request.changes}
        deleted = [_with_tags(planned[i.name]) for i in ours if i.name in planned and i.name not in left]
        return StepOutcome(
            complete=not left and not made.failures,
            skipped=not deleted and not left,
            summary=_summary(("deleted", deleted), ("still there", left), ("left to their owner", list(others))),
            failures=made.failures,
            tasks=owner_tasks(request, others, "Delete"),
        )

    def _index_tasks(self, request: StepRequest, images: Iterable[EcrImage]) -> list[Task]:
        """An index is one digest and its images are others, which another index may share: a person looks at them."""
        prefix, tasks = request.incident.evidence_prefix, []
        for image in images:
            if children := images_of_index(self._doors.store, prefix, image.digest):
                text = (
                    f"Look at the {len(children)} images of the index {image.name}: they can still be pulled by their "
                    f"own digests: {shown_all(children, _SHOWN)}."
                )
                tasks.append(
                    Task(id=f"{request.step.step}-index-{image.digest[7:15]}", step=request.step.step, text=text)
                )
        return tasks

    def _plan_archive(self, request: StepRequest) -> StepPlan:
        def change(image: EcrImage, state: ImageState) -> Change:
            return Change(
                step=request.step.step,
                resource=ResourceRef(kind=IMAGE, name=image.name),
                summary="archived, so that it cannot be pulled",
                before={STORAGE: "ARCHIVE" if state.status == "ARCHIVED" else "STANDARD"},
                after={STORAGE: "ARCHIVE"},
            )

        plan = self._planned(request, change)
        notes = [f"{name}: who pulls it by any tag or by digest is refused." for name in _names(plan)]
        return plan.model_copy(update={"notes": (*notes, "It can be restored, which takes up to 20 minutes.")})

    def _plan_delete(self, request: StepRequest) -> StepPlan:
        def change(image: EcrImage, state: ImageState) -> Change:
            return Change(
                step=request.step.step,
                resource=ResourceRef(kind=MANIFEST, name=image.name),
                summary="deleted with its tags",
                before={"": {"tags": list[JsonValue](sorted(state.tags))}},
                after={"": None},
            )

        plan = self._planned(request, change)
        prefix = request.incident.evidence_prefix
        missing = [c for c in plan.changes if not is_exported(self._doors.store, prefix, digest_of(c.resource.name))]
        refusals = tuple(
            failure_of(
                request.step.step,
                c.resource,
                PolicyRefusal(f"{c.resource}: it is deleted only once the evidence holds a whole copy of it"),
            )
            for c in missing
        )
        notes = [f"{_with_tags(c)}: nothing brings it back but pushing the copy in the evidence." for c in plan.changes]
        notes += ["AWS charges an archived image for 90 days, also when it is deleted before."] if plan.changes else []
        return plan.model_copy(
            update={
                "failures": (*plan.failures, *refusals),
                # Whatever else could be deleted waits with it: the incident asks again once the copy is there.
                "blocked": bool(refusals),
                "notes": tuple(notes),
            }
        )

    def _planned(self, request: StepRequest, change: Callable[[EcrImage, ImageState], Change]) -> StepPlan:
        changes: list[Change] = []
        failures: list[Failure] = []
        for image in sort_images(request, self._doors.settings).ours:
            beat()
            try:
                state = self._state(image)
            except SYSTEMIC:
                raise
            except FirebreakError as error:
                failures.append(failure_of(request.step.step, ResourceRef(kind=IMAGE, name=image.name), error))
                continue
            if state is not None:
                changes.append(change(image, state))
        return StepPlan(changes=tuple(changes), failures=tuple(failures))

    def _state(self, image: EcrImage) -> ImageState | None:
        try:
            return self._doors.aws.ecr.image(image.repository, image.digest)
        except TargetGone:
            return None


def _names(plan: StepPlan) -> list[str]:
    return [c.resource.name for c in plan.changes]


def _with_tags(change: Change) -> str:
    before = change.before.get("")
    tags = before.get("tags") if isinstance(before, dict) else None
    named = [str(t) for t in tags] if isinstance(tags, list) else []
    return f"{change.resource.name} (tags {listed(named)})" if named else f"{change.resource.name} (without a tag)"


def _summary(*parts: tuple[str, list[str]]) -> str:
    return "; ".join(f"{what}: {shown_all(names, _SHOWN)}" for what, names in parts if names) or "nothing to do"
