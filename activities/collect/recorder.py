"""Runs collectors for one pod and writes what they find: an entry for every artefact, and for every failure.

A collector's own failure is recorded, and the others go on. A failure of the store is not: nothing could be recorded
then, so it leaves the activity and Temporal retries. So does a silent API server, for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from activities.collect.case import PodCase
from activities.collect.model import Collector, Deadline, Found, Task
from activities.collect.shared import failed
from errors import Conflict, FirebreakError, Throttled, Unavailable
from evidence.entry import Entry, EntrySubject, Outcome
from evidence.store import EvidenceStore, Stored, rehash


class _SourceFailedError(Exception):
    """The content broke off while it was being stored. `cause` is the collector's error, not the store's."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause
        super().__init__(str(cause))


class Case(Protocol):
    """What artefacts are about: a pod, a node, an identity."""

    @property
    def subject(self) -> EntrySubject:
        """As entries name it."""

    @property
    def place(self) -> str:
        """Its folder below the incident's prefix: our own words and a uid."""


@dataclass(frozen=True)
class Recorder:
    """Writes artefacts of one activity.

    Attributes:
        store: Where to.
        prefix: The incident's place in it.
        activity: The activity with its id and attempt, for the entries.
        worker: Identity of the worker.
        patient: Whether a silent API server is left to Temporal's retry; on a late attempt it is recorded instead.
        present: Keys that an earlier attempt left, which are not collected again.
        count: Called with every entry.
        beat: Called whenever something arrived.
    """

    store: EvidenceStore
    prefix: str
    activity: str
    worker: str
    patient: bool
    present: Container[str]
    count: Callable[[Entry], None]
    beat: Callable[[], None]

    def record(self, case: PodCase, collectors: Sequence[Collector]) -> list[Entry]:
        """The entries of some collectors for one pod.

        Raises:
            EvidenceError: The store failed; also Unavailable, Forbidden and Throttled of the store.
            Unavailable, Throttled: The API server does not answer, and is given time.
        """
        return [entry for collector in collectors for entry in self._run(case, collector)]

    def _run(self, case: PodCase, collector: Collector) -> Iterator[Entry]:
        try:
            tasks = list(collector.tasks(case))
        except Exception as error:  # noqa: BLE001  # One collector's bug must not cost the evidence of the others.
            entry = self._failed(case, collector.name, error, patient=self.patient)
            self.count(entry)
            yield entry
            return
        yield from self.take(case, tasks)

    def take(self, case: Case, tasks: Iterable[Task]) -> Iterator[Entry]:
        """The entries of some tasks; raises as `record` does."""
        for task in tasks:
            entry = self._take(case, task)
            self.count(entry)
            yield entry
            self.beat()

    def _take(self, case: Case, task: Task) -> Entry:
        key = f"{case.place}/{task.file}"
        if f"{self.prefix}/{key}" in self.present:
            kept = rehash(self.store, f"{self.prefix}/{key}")
            return self._kept(case, task, kept, "collected by an earlier attempt, whose entry was lost")
        try:
            found = task.run(Deadline(task.seconds, self.beat))
        except Exception as error:  # noqa: BLE001  # As above.
            return self._failed(case, task.kind, error, patient=self.patient and task.patient)
        try:
            stored = self._store(f"{self.prefix}/{key}", found)
        except _SourceFailedError as broken:
            return self._failed(case, task.kind, broken.cause, patient=self.patient and task.patient)
        except Conflict:
            kept = rehash(self.store, f"{self.prefix}/{key}")
            return self._kept(case, task, kept, "the first copy is kept; a later reading differed from it")
        finally:
            found.close()
        return Entry(
            key=key,
            sha256=stored.sha256,
            size=stored.size,
            kind=task.kind,
            source=found.source,
            subject=found.subject or case.subject,
            collected_at=datetime.now(UTC),
            activity=self.activity,
            worker=self.worker,
            reason=found.note(),
            redactions=(*found.redactions, *found.taken()),
        )

    def _store(self, key: str, found: Found) -> Stored:
        if isinstance(found.content, bytes):
            return self.store.create(key, found.content)
        return self.store.put(key, _marked(found.content))

    def _kept(self, case: Case, task: Task, stored: Stored, reason: str) -> Entry:
        return Entry(
            key=stored.key.removeprefix(f"{self.prefix}/"),
            sha256=stored.sha256,
            size=stored.size,
            kind=task.kind,
            subject=case.subject,
            collected_at=datetime.now(UTC),
            activity=self.activity,
            worker=self.worker,
            reason=reason,
        )

    def _failed(self, case: Case, kind: str, error: Exception, *, patient: bool) -> Entry:
        if patient and isinstance(error, Unavailable | Throttled):
            raise error
        return Entry(
            kind=kind,
            subject=case.subject,
            collected_at=datetime.now(UTC),
            activity=self.activity,
            worker=self.worker,
            outcome=Outcome.FAILED,
            # The text of an unexpected error may hold anything; its type says where to look.
            reason=failed(error) if isinstance(error, FirebreakError) else f"Internal: {type(error).__name__}",
        )


def _marked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks; an error of their own is told apart from one of the store that reads them."""
    try:
        yield from chunks
    except Exception as error:
        raise _SourceFailedError(error) from error
