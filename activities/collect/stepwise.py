"""One collection of a step that the step chain carries out: a part for each thing it is about, then the list of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, TypeVar

from temporalio import activity

from activities.collect.activity import PATIENT_ATTEMPTS
from activities.collect.entries import Part, Parts, list_entry
from activities.collect.model import Task, Wave
from activities.collect.recorder import Case, Recorder
from activities.custody import activity_name
from activities.doors import Doors
from activities.isolation.walk import stop_if_cancelled
from contracts.activities import CollectProgress, CollectResult
from contracts.steps import StepRequest
from evidence.entry import Entry
from evidence.store import Stored

OneCase = TypeVar("OneCase", bound=Case)
_NODES: Final = "nodes"
_WAVE: Final = Wave.LASTING


class StepCollection:
    """Collects about some cases, one after the other; a retry goes on behind those that are done.

    Args:
        doors: The evidence store, and the worker's identity.
        request: The step.
        folder: Below the incident's prefix, where the cases have their places.
    """

    def __init__(self, doors: Doors, request: StepRequest, folder: str) -> None:
        self._doors = doors
        self._step = request.step.step
        self._prefix = request.incident.evidence_prefix
        self._folder = folder

    def collect(
        self,
        cases: Sequence[tuple[str, OneCase]],
        tasks: Callable[[OneCase], Iterable[Task]],
        further: Sequence[Entry] = (),
    ) -> CollectResult:
        """Collect what the tasks find for each case.

        Args:
            cases: Each with the segment of a key that it is known by.
            tasks: Of one case.
            further: Entries of the collection as a whole.

        Raises:
            EvidenceError: The store failed; also Unavailable, Forbidden and Throttled.
        """
        parts = Parts(self._doors.store, self._prefix, self._step.replace(".", "-"), self._step)
        if (finished := parts.finished()) is not None:
            return finished
        for part in sorted(parts.done):
            parts.count(part)
        progress = CollectProgress(nodes=len(cases) if self._folder == _NODES else None)

        def say() -> None:
            activity.heartbeat(parts.said(progress))
            stop_if_cancelled()

        recorder = self._recorder(parts, say)
        order = [Part(name, _WAVE) for name, _ in cases]
        for part, (_, case) in zip(order, cases, strict=True):
            if part not in parts.done:
                parts.write(part, list(recorder.take(case, tasks(case))))
            say()
        return parts.finish(order, further, partial(_listed, self._doors))

    def _recorder(self, parts: Parts, say: Callable[[], None]) -> Recorder:
        attempt = activity.info().attempt
        there = self._doors.store.keys(f"{self._prefix}/{self._folder}") if attempt > 1 else ()
        return Recorder(
            store=self._doors.store,
            prefix=self._prefix,
            activity=activity_name(),
            worker=self._doors.temporal.identity,
            patient=attempt < PATIENT_ATTEMPTS,
            present=frozenset(there),
            count=parts.counts.entry,
            beat=say,
        )


def _listed(doors: Doors, stored: Stored) -> Entry:
    source = "the entries of one of those that the step is about"
    return list_entry(stored, "entry-list", source=source, activity=activity_name(), worker=doors.temporal.identity)
