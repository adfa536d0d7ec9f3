"""The activities `plan_redeploy` and `redeploy_workloads`: the fixed image into the templates of workloads (P8)."""

from __future__ import annotations

from temporalio import activity

from activities.doors import Doors
from activities.eradicate.images import fixed_repository, repository_of
from activities.eradicate.workloads import TEMPLATES, Container, containers, obstacle
from activities.isolation.changes import apply_change
from activities.isolation.objects import check_uid
from activities.isolation.walk import MOST_FAILURES, MOST_GONE, SYSTEMIC, failure_of, stop_if_cancelled
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import object_path
from contracts.activities import ChangeRequest, RedeployPlan, RedeployRequest, StepResult
from contracts.common import Failure
from contracts.names import ActivityName
from errors import Conflict, FirebreakError, InputError, TargetGone
from plans.model import Change, ResourceRef


class RedeployActivities:
    """Gives workloads the fixed image."""

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes

    @activity.defn(name=ActivityName.PLAN_REDEPLOY)
    def plan_redeploy(self, request: RedeployRequest) -> RedeployPlan:
        """The changes that put the image into each workload's template, with before-state. Changes nothing.

        A container runs the vulnerable image when its image comes from the repository of the fixed one.

        Raises:
            InputError: The image is not named by digest.
            Throttled, Unavailable: The API server does not answer.
        """
        repository = fixed_repository(request.image)
        changes: list[Change] = []
        failures: list[Failure] = []
        for workload in request.workloads:
            _beat()
            try:
                change = _plan(self._kubernetes, workload.ref, request.image, repository, request.step)
            except SYSTEMIC:
                raise
            except FirebreakError as error:
                failures.append(failure_of(request.step, workload.ref, error))
            else:
                changes += [change] if change else []
        return RedeployPlan(changes=tuple(changes), failures=tuple(failures[:MOST_FAILURES]))

    @activity.defn(name=ActivityName.REDEPLOY_WORKLOADS, no_thread_cancel_exception=True)
    def redeploy_workloads(self, request: ChangeRequest) -> StepResult:
        """Make the planned changes; each is tested against the uid, the container's name and the image before it.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a workload, stands in the way. A retry begins anew: what
                stands already is left alone.
        """
        done, gone = 0, []
        failures: list[Failure] = []
        for change in request.changes:
            _beat()
            try:
                apply_change(self._kubernetes, change, request.incident.workflow_id)
                done += 1
            except TargetGone:
                gone.append(str(change.resource))
            except SYSTEMIC:
                raise
            except FirebreakError as error:
                failures.append(failure_of(request.step, change.resource, error))
        return StepResult(
            done=done,
            gone=len(gone),
            gone_targets=tuple(gone[:MOST_GONE]),
            failures=tuple(failures[:MOST_FAILURES]),
        )


def _plan(kubernetes: Kubernetes, ref: ResourceRef, image: str, repository: str, step: str) -> Change | None:
    """The change of one workload; None when it has the image already."""
    if ref.kind == "Job":
        raise InputError("workloads", "a workload whose template can change", f"{ref}: the template of a Job is fixed")
    if ref.kind not in TEMPLATES:
        raise InputError("workloads", f"one of {', '.join(TEMPLATES)}", str(ref))
    live = kubernetes.get(object_path(ref.kind, ref.namespace, ref.name))
    check_uid(live, ref)
    hindered = obstacle(ref.kind, live)
    if hindered:
        raise Conflict(f"{ref}: {hindered}")
    found = list(containers(ref.kind, live))
    vulnerable = [c for c in found if repository_of(c.image) == repository]
    if not vulnerable:
        names = ", ".join(f"{c.name} ({c.image})" for c in found)
        raise InputError("image", f"an image of a repository that {ref} uses: {names}", image)
    pending = [c for c in vulnerable if c.image != image]
    return _change(live, ref, pending, image, step) if pending else None


def _change(live: JsonObject, ref: ResourceRef, pending: list[Container], image: str, step: str) -> Change:
    # The name is the same before and after: it is tested, so that the image never gets into another container that has
    # moved to this place in the list.
    names = {f"{c.pointer}/name": c.name for c in pending}
    return Change(
        step=step,
        resource=ref.model_copy(update={"uid": live["metadata"]["uid"]}),
        summary=f"image of {', '.join(c.name for c in pending)} becomes {image}",
        before={**names, **{f"{c.pointer}/image": c.image for c in pending}},
        after={**names, **{f"{c.pointer}/image": image for c in pending}},
    )


def _beat() -> None:
    activity.heartbeat()
    stop_if_cancelled()
