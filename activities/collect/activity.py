"""The activity `collect_pods`: two waves over all pods, then their audit events; one list of entries at the end.

Each wave leaves a part for each pod, written once. A retry finds the parts and goes on behind them, so that nothing is
collected twice and nothing rests on the memory of a worker that died. The audit log comes last: what is in it stays.
"""

from __future__ import annotations

import hashlib
import queue
import re
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from temporalio import activity

from activities.collect import pod_audit
from activities.collect.audit import log_around
from activities.collect.case import PodCase
from activities.collect.entries import Part, Parts, list_entry
from activities.collect.model import Collector, Wave
from activities.collect.node_view.collector import NodeView
from activities.collect.node_view.instrument import Instrument
from activities.collect.parallel import for_each
from activities.collect.pod_audit import PodsAudit
from activities.collect.recorder import Recorder
from activities.collect.registry import COLLECTORS
from activities.collect.shared import Shared
from activities.custody import activity_name
from activities.doors import Doors
from activities.isolation.walk import stop_if_cancelled
from activities.targets import read_targets
from contracts.activities import CollectProgress, CollectRequest, CollectResult
from contracts.common import PodTarget
from contracts.names import ActivityName
from evidence.entry import Entry, EntrySubject, Outcome
from evidence.store import Stored, is_plain_key

THREADS: Final = 6
"""Most of the time goes into waiting for the API server and the store."""
PATIENT_ATTEMPTS: Final = 8
"""With this activity's retry policy about a minute and a half. A later attempt records what stays silent as failed, so
that one broken endpoint cannot keep the rest of the evidence away."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Collecting:
    """Collects evidence about pods.

    Args:
        doors: The Kubernetes API, the evidence store, and the worker's identity.
        collectors: What to collect.
    """

    def __init__(self, doors: Doors, collectors: Sequence[Collector] = COLLECTORS) -> None:
        self._doors = doors
        self._kubernetes = doors.kubernetes
        self._store = doors.store
        self._worker = doors.temporal.identity
        self._collectors = collectors

    @activity.defn(name=ActivityName.COLLECT_PODS, no_thread_cancel_exception=True)
    def collect_pods(self, request: CollectRequest) -> CollectResult:
        """Collect for every pod; see the module.

        Raises:
            EvidenceError: The store failed; also Unavailable, Forbidden and Throttled.
        """
        targets = read_targets(self._store, request.pods)
        pods = [p for p in targets if is_segment(p.uid)]
        prefix = request.incident.evidence_prefix
        parts = Parts(self._store, prefix, _list_name(request.step, targets), request.step)
        finished = parts.finished()
        if finished is not None:
            return finished
        shared = Shared(self._kubernetes)
        collectors = (*self._of_the_node(request, pods), *self._collectors)
        waves = [w for w in Wave if any(c.wave is w for c in collectors)]
        progress = CollectProgress(waves=tuple(w.name for w in waves), pods=len(pods))
        self._count_again(parts)
        for wave in waves:
            of_wave = [c for c in collectors if c.wave is wave]
            self._run_wave(wave, of_wave, pods, parts, shared, progress.model_copy(update={"wave": wave.name}))
        ordered = [Part(pod.uid, wave) for wave in waves for pod in pods]
        ordered += self._run_audit(request, pods, parts, progress.model_copy(update={"wave": "AUDIT"}))
        further = [*self._reference(request), *(self._refusal(p) for p in targets if not is_segment(p.uid))]
        return parts.finish(ordered, further, partial(self._listed, "entry-list", "the entries of one part"))

    def _of_the_node(self, request: CollectRequest, pods: Sequence[PodTarget]) -> tuple[Collector, ...]:
        """Looking at containers from their node, where the policy names an image to look with."""
        if not request.node_view_image:
            return ()
        instrument = Instrument(self._kubernetes, request.node_view_image, request.incident.evidence_prefix)
        return (Collector("node-view", Wave.NODE, NodeView(instrument, pods).tasks),)

    def _run_wave(
        self,
        wave: Wave,
        collectors: Sequence[Collector],
        pods: Sequence[PodTarget],
        parts: Parts,
        shared: Shared,
        progress: CollectProgress,
    ) -> None:
        beats: queue.SimpleQueue[None] = queue.SimpleQueue()
        recorder = self._recorder(parts, partial(beats.put, None), "pods")
        rest = [p for p in pods if Part(p.uid, wave) not in parts.done]
        if not rest:
            return

        def work(pod: PodTarget) -> None:
            case = PodCase(pod, shared, self._store, f"{parts.prefix}/pods/{pod.uid}")
            parts.write(Part(pod.uid, wave), recorder.record(case, collectors))

        def look(progressed: bool) -> None:
            if progressed:
                activity.heartbeat(parts.said(progress))
            stop_if_cancelled()

        for_each(rest, work, threads=min(THREADS, len(rest)), beats=beats, look=look)

    def _run_audit(
        self, request: CollectRequest, pods: Sequence[PodTarget], parts: Parts, progress: CollectProgress
    ) -> list[Part]:
        """The pods' audit events, as a part of their own, unless there are no pods."""
        if not pods:
            return []
        audit = PodsAudit(log_around(self._doors, request.first_seen, request.last_seen), pods)
        if audit.part not in parts.done:

            def beat() -> None:
                activity.heartbeat(parts.said(progress))
                stop_if_cancelled()

            recorder = self._recorder(parts, beat, pod_audit.FOLDER)
            parts.write(audit.part, list(recorder.take(audit, audit.tasks)))
            beat()
        return [audit.part]

    def _count_again(self, parts: Parts) -> None:
        """Count what earlier attempts finished: one read for each part, of which only a retry finds any."""
        beats: queue.SimpleQueue[None] = queue.SimpleQueue()
        found = sorted(parts.done)
        if not found:
            return

        def look(progressed: bool) -> None:
            if progressed:
                # What the last attempt said stays until the count is whole, so that no number goes back.
                activity.heartbeat(*activity.info().heartbeat_details)
            stop_if_cancelled()

        for_each(found, parts.count, threads=min(THREADS, len(found)), beats=beats, look=look)

    def _recorder(self, parts: Parts, beat: Callable[[], None], folder: str) -> Recorder:
        attempt, prefix = activity.info().attempt, parts.prefix
        # Only an attempt before this one can have left artefacts without a part that names them.
        present: Container[str] = frozenset(self._store.keys(f"{prefix}/{folder}")) if attempt > 1 else frozenset()
        return Recorder(
            store=self._store,
            prefix=prefix,
            activity=activity_name(),
            worker=self._worker,
            patient=attempt < PATIENT_ATTEMPTS,
            present=present,
            count=parts.counts.entry,
            beat=beat,
        )

    def _listed(self, kind: str, source: str, stored: Stored) -> Entry:
        return list_entry(stored, kind, source=source, activity=activity_name(), worker=self._worker)

    def _reference(self, request: CollectRequest) -> list[Entry]:
        """The list of targets itself, when it is one in the store: what was collected rests on it."""
        listed, prefix = request.pods.reference, f"{request.incident.evidence_prefix}/"
        if listed is None or not listed.key.startswith(prefix):
            return []
        stored = Stored(listed.key.removeprefix(prefix), listed.sha256, listed.size)
        return [self._listed("targets", "the plan", stored)]

    def _refusal(self, pod: PodTarget) -> Entry:
        return Entry(
            kind="pod",
            subject=EntrySubject(kind="Pod", namespace=pod.namespace, name=pod.name, uid=pod.uid),
            collected_at=datetime.now(UTC),
            activity=activity_name(),
            worker=self._worker,
            outcome=Outcome.FAILED,
            reason="InputError: its uid is not one that the API server gives",
        )


def is_segment(uid: str) -> bool:
    """Whether a uid can be one segment of a key."""
    return "/" not in uid and is_plain_key(uid)


def _list_name(step: str, pods: Sequence[PodTarget]) -> str:
    """The same pods in the same step are the same collection, however often it is tried."""
    digest = hashlib.sha256("\n".join(p.uid for p in pods).encode("utf-8", "backslashreplace")).hexdigest()
    return f"{_UNSAFE.sub('-', step)[:60].strip('-.') or 'step'}-{digest[:16]}"
