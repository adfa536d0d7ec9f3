"""The activity `watch_rollout`: waits until the changed workloads run the new template, and fails early (guide P8)."""

from __future__ import annotations

import time
from datetime import timedelta

from temporalio import activity

from activities.doors import Doors
from activities.eradicate.progress import RolloutState, Stage, is_new, is_ready, pod_selector, rollout_state, trouble
from activities.isolation.objects import check_uid
from activities.isolation.walk import failure_of, stop_if_cancelled
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path, object_path
from contracts.activities import RolloutRequest, RolloutResult
from contracts.common import Failure
from contracts.names import ActivityName
from errors import Conflict, FirebreakError, TargetGone, Unavailable
from plans.model import ResourceRef

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_MOST = 20


class RolloutActivities:
    """Watches rollouts."""

    def __init__(self, doors: Doors, *, trouble_grace: timedelta = timedelta(seconds=30)) -> None:
        """Act through the doors.

        Args:
            doors: The clients.
            trouble_grace: How long a new pod may be unable to start before the rollout counts as failed: a registry
                that hiccups, or a dependency that comes up a moment later, heals within it.
        """
        self._kubernetes = doors.kubernetes
        self._grace = trouble_grace.total_seconds()

    @activity.defn(name=ActivityName.WATCH_ROLLOUT)
    def watch_rollout(self, request: RolloutRequest) -> RolloutResult:
        """Wait until every workload reports all pods updated and available. Changes nothing.

        Returns:
            Complete; or not, with what failed: the controller's own deadline, a paused rollout, new pods that cannot
            start, or the time that the request allows.

        Raises:
            Throttled, Unavailable: The API server does not answer; a retry goes on with the time that is left.
        """
        watch = _Watch(self._kubernetes, request.step, self._grace)
        waited = _waited()
        started = time.monotonic() - waited
        pause = _FIRST_PAUSE
        while True:
            watch.look(request.workloads)
            waited = time.monotonic() - started
            activity.heartbeat({"waited": waited})
            stop_if_cancelled()
            if watch.failures or watch.complete(request.workloads):
                break
            if waited >= request.timeout_seconds:
                watch.time_out(request.timeout_seconds)
                break
            # Returns at once when the activity is cancelled, and the next round stops.
            activity.wait_for_cancelled_sync(timedelta(seconds=pause))
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        return RolloutResult(
            complete=not watch.failures, failures=tuple(watch.failures[:_MOST]), summary=watch.summary()
        )


class _Watch:
    """What was seen so far."""

    def __init__(self, kubernetes: Kubernetes, step: str, grace: float) -> None:
        self._kubernetes = kubernetes
        self._step = step
        self._grace = grace
        self._states: dict[ResourceRef, RolloutState] = {}
        self._troubled_since: dict[str, float] = {}
        self.failures: list[Failure] = []

    def look(self, workloads: tuple[ResourceRef, ...]) -> None:
        """Look once at each workload that is not complete yet, and at its new pods."""
        for ref in workloads:
            known = self._states.get(ref)
            if known is not None and known.stage is Stage.COMPLETE:
                continue
            state = self._look_at(ref)
            self._states[ref] = state
            if state.stage is Stage.FAILED:
                self._fail(ref, Conflict(f"{ref}: {state.detail}"))

    def complete(self, workloads: tuple[ResourceRef, ...]) -> bool:
        """Whether nothing is left to wait for."""
        return all(self._states[ref].stage is Stage.COMPLETE for ref in workloads)

    def time_out(self, seconds: int) -> None:
        """Whatever is not complete has failed."""
        for ref, state in self._states.items():
            if state.stage is Stage.WAITING:
                self._fail(ref, Unavailable(f"{ref}: not rolled out within {seconds} s: {state.detail}"))

    def summary(self) -> str:
        """One line for people."""
        done = sum(s.stage is Stage.COMPLETE for s in self._states.values())
        details = "; ".join(f"{ref}: {state.detail}" for ref, state in list(self._states.items())[:5] if state.detail)
        return f"{done} of {len(self._states)} workloads have the new template" + (f". {details}" if details else "")

    def _look_at(self, ref: ResourceRef) -> RolloutState:
        try:
            live = self._kubernetes.get(object_path(ref.kind, ref.namespace, ref.name))
            check_uid(live, ref)
        except TargetGone:
            return RolloutState(Stage.COMPLETE, "it is gone")
        state = rollout_state(ref.kind, live)
        return self._new_pods(ref, live) or state if state.stage is Stage.WAITING else state

    def _new_pods(self, ref: ResourceRef, live: JsonObject) -> RolloutState | None:
        """A failure when a new pod has not been able to start for longer than the grace."""
        selector = pod_selector(ref.kind, live)
        if not selector:
            return None
        now = time.monotonic()
        for pod in self._kubernetes.items(list_path("Pod", ref.namespace), labelSelector=selector):
            uid = pod["metadata"]["uid"]
            what = trouble(pod) if is_new(ref.kind, live, pod) else ""
            if is_ready(pod):
                # Only readiness ends a trouble: in a crash loop a container runs for a moment again and again.
                self._troubled_since.pop(uid, None)
            elif what and now - self._troubled_since.setdefault(uid, now) >= self._grace:
                return RolloutState(Stage.FAILED, f"new pod {pod['metadata']['name']} does not start: {what}")
        return None

    def _fail(self, ref: ResourceRef, error: FirebreakError) -> None:
        self.failures.append(failure_of(self._step, ref, error))


def _waited() -> float:
    """The seconds that earlier attempts of this activity have waited."""
    for detail in activity.info().heartbeat_details[:1]:
        if isinstance(detail, dict) and isinstance(detail.get("waited"), int | float):
            return float(detail["waited"])
    return 0.0
