"""The entries of one collection: a part for each pod and wave, and in the end one list of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from activities.collect.counts import Counts
from activities.collect.model import Wave
from activities.collect.node_view.sockets import STILL_OPEN
from contracts.activities import CollectProgress, CollectResult
from contracts.common import Failure, StoredList
from errors import Conflict, EvidenceError, TargetGone
from evidence.document import read_line
from evidence.entry import Digest, Entry, lines_of
from evidence.store import EvidenceStore, Stored

_MOST_FAILURES: Final = 50


class Part(NamedTuple):
    """What one wave collected of one pod."""

    uid: str
    wave: Wave


class Parts:
    """Parts and list of one collection. Safe to share between threads.

    Args:
        store: The evidence store.
        prefix: The incident's place in it.
        name: Of the collection: the same request always has the same.
        step: Of the plan, for the failures.
    """

    def __init__(self, store: EvidenceStore, prefix: str, name: str, step: str) -> None:
        self.prefix = prefix
        self._store = store
        self._folder = f"{prefix}/entries/{name}"
        self._step = step
        self.counts = Counts()
        self.done = {part for key in store.keys(self._folder) if (part := self._part(key)) is not None}

    def write(self, part: Part, entries: Sequence[Entry]) -> None:
        """Write one part, unless an attempt that was thought dead has just written it.

        Its entries were counted when they were made; the part itself is an artefact too.
        """
        data = b"".join(e.line() + b"\n" for e in entries)
        try:
            self._store.create(self._key(part), data)
        except Conflict:
            # Both parts are true; the first one stays, as everywhere in the evidence.
            pass
        self.counts.artefact(len(data))
        self.done.add(part)

    def count(self, part: Part) -> None:
        """Count a part that an earlier attempt wrote."""
        digest = Digest()
        try:
            entries = [read_line(line) for line in lines_of(digest.watch(self._store.get(self._key(part))))]
        except (EvidenceError, TargetGone):
            # `finish` says so. What is only shown must not keep away what is still to be collected.
            return
        for entry in entries:
            self.counts.entry(entry)
        self.counts.artefact(digest.stored(self._key(part)).size)

    def said(self, progress: CollectProgress) -> dict[str, object]:
        """What a heartbeat says: where the collection is, with the numbers as they stand."""
        now = {"parts": len(self.done), **self.counts.so_far()._asdict()}
        return progress.model_copy(update=now).model_dump(mode="json", exclude_none=True)

    def finished(self) -> CollectResult | None:
        """The result, when an earlier attempt has written the list."""
        tally = _Tally(self._step)
        digest = Digest()
        try:
            chunks = self._store.get(self._list_key)
        except TargetGone:
            return None
        for line in lines_of(digest.watch(chunks)):
            tally.add(read_line(line))
        return tally.result(digest.stored(self._list_key))

    def finish(
        self, parts: Sequence[Part], further: Sequence[Entry], describe: Callable[[Stored], Entry]
    ) -> CollectResult:
        """Write the list of all parts, and read it back as the result.

        Args:
            parts: In the order in which they are listed.
            further: Entries of the collection as a whole; they come first.
            describe: The entry of a part itself.
        """
        tally = _Tally(self._step)

        def lines() -> Iterator[bytes]:
            for entry in self._entries(parts, further, describe):
                tally.add(entry)
                yield entry.line() + b"\n"

        try:
            return tally.result(self._store.put(self._list_key, lines()))
        except Conflict:
            result = self.finished()
            if result is None:
                raise
            return result

    def _entries(
        self, parts: Sequence[Part], further: Sequence[Entry], describe: Callable[[Stored], Entry]
    ) -> Iterator[Entry]:
        yield from further
        for part in parts:
            digest = Digest()
            for line in lines_of(digest.watch(self._store.get(self._key(part)))):
                yield read_line(line)
            yield describe(digest.stored(self._key(part).removeprefix(f"{self.prefix}/")))

    @property
    def _list_key(self) -> str:
        return f"{self._folder}.jsonl"

    def _key(self, part: Part) -> str:
        return f"{self._folder}/{part.uid}-{part.wave.value}.jsonl"

    def _part(self, key: str) -> Part | None:
        uid, _, wave = key.removeprefix(f"{self._folder}/").removesuffix(".jsonl").rpartition("-")
        return Part(uid, Wave(int(wave))) if wave in {str(w.value) for w in Wave} else None


class _Tally:
    """Counts the entries as they pass."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._count = self._artefacts = self._bytes = 0
        self._failures: list[Failure] = []
        self._proposals: list[str] = []

    def add(self, entry: Entry) -> None:
        self._count += 1
        if entry.collected:
            self._artefacts += 1
            self._bytes += entry.size
            if STILL_OPEN in entry.reason and len(self._proposals) < _MOST_FAILURES:
                self._proposals.append(entry.reason)
        elif len(self._failures) < _MOST_FAILURES:
            code, _, message = entry.reason.partition(": ")
            target = f"{entry.kind} of {entry.subject.kind} {entry.subject.namespace}/{entry.subject.name}"
            self._failures.append(Failure(step=self._step, target=target, code=code, message=message))

    def result(self, stored: Stored) -> CollectResult:
        return CollectResult(
            entries=StoredList(key=stored.key, sha256=stored.sha256, count=self._count, size=stored.size),
            artefacts=self._artefacts,
            bytes=self._bytes,
            failures=tuple(self._failures),
            proposals=tuple(self._proposals),
        )


def list_entry(stored: Stored, kind: str, *, source: str, activity: str, worker: str, reason: str = "") -> Entry:
    """The entry of a list that the collection itself wrote or was given."""
    return Entry(
        key=stored.key,
        sha256=stored.sha256,
        size=stored.size,
        kind=kind,
        source=source,
        collected_at=datetime.now(UTC),
        activity=activity,
        worker=worker,
        reason=reason,
    )
