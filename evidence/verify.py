"""Verification: every hash again, every link again, and the name of what does not hold.

What it cannot find without the head: a tail that was cut off, or a chain that somebody rewrote as a whole, lists
included. The head is the hash of the newest manifest; it is in the workflow's result, which is not in this store.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Final, NamedTuple

from errors import EvidenceError, InputError, TargetGone
from evidence.entry import Entry, parse_entry
from evidence.manifest import Manifest, head_of, manifest_number, read_manifests
from evidence.replay import replay_manifest
from evidence.store import EvidenceStore, Stored, rehash

_MOST: Final = 200
_READERS: Final = 4


class ProblemKind(StrEnum):
    """What does not hold."""

    CHANGED = "changed"
    """An artefact or list is not what was recorded."""
    MISSING = "missing"
    """It is recorded and not there."""
    ADDED = "added"
    """It is there and no manifest records it: somebody added it, or its phase has not been sealed yet."""
    REORDERED = "reordered"
    """An entry stands in another place than it was sealed in."""
    EDITED = "edited"
    """An entry, a header or a footer of a manifest is not what was sealed."""
    BROKEN_CHAIN = "broken-chain"
    """A manifest does not follow the one before it."""
    TRUNCATED = "truncated"
    """The newest manifests are gone, or were rewritten: the head is not the one that was given."""


class Problem(NamedTuple):
    """One finding of the verification.

    Attributes:
        kind: What does not hold.
        key: The artefact, list or manifest, below the incident's prefix; an entry without artefact has its kind here.
        manifest: Number of the manifest, 0 when none is concerned.
        entry: Number of the entry in it, 0 when none is concerned.
        message: One sentence.
    """

    kind: ProblemKind
    key: str
    manifest: int
    entry: int
    message: str


class Verification(NamedTuple):
    """The result.

    Attributes:
        ok: Nothing was found. Without a given head this does not cover a cut tail (`head_checked`).
        manifests: How many there are.
        artefacts: How many are recorded; each was hashed again, and so were the lists that name them. It is what the
            head counts and `firebreak show` prints.
        bytes: Of these, as recorded.
        failed_collectors: Entries that say that something could not be collected; no problem of custody.
        head: Hash of the newest manifest.
        head_checked: Whether it was compared with a given one.
        problems: What was found, at most 200.
        more: How many problems were left out.
    """

    ok: bool
    manifests: int
    artefacts: int
    bytes: int
    failed_collectors: int
    head: str
    head_checked: bool
    problems: tuple[Problem, ...]
    more: int


def verify(store: EvidenceStore, prefix: str, head: str = "", manifests: int = 0) -> Verification:
    """Verify the evidence of one incident.

    Args:
        store: Where it is.
        prefix: The incident's place in it.
        head: Hash of the newest manifest as the workflow knows it, or "" when it is not known.
        manifests: How many manifests the workflow knows, or 0.

    Raises:
        Unavailable: The store does not answer; nothing is said about the evidence then. Also Forbidden.
    """
    return _Verifier(store, prefix).run(head, manifests)


class _Verifier:
    def __init__(self, store: EvidenceStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._problems: list[Problem] = []
        self._more = 0
        self._recorded: dict[str, tuple[Stored, int, int]] = {}
        self._failed = 0
        self._artefacts = 0
        self._size = 0

    def run(self, head: str, count: int) -> Verification:
        present = {k.removeprefix(f"{self._prefix}/") for k in self._store.keys(self._prefix)}
        chain = read_manifests(self._store, self._prefix)
        self._check_numbers(chain)
        for before, manifest in zip([None, *chain], chain, strict=False):
            self._check_manifest(before, manifest)
        self._check_artefacts()
        self._check_added(present)
        if head:
            self._check_head(chain, head, count)
        return Verification(
            ok=not self._problems,
            manifests=len(chain),
            artefacts=self._artefacts,
            bytes=self._size,
            failed_collectors=self._failed,
            head=head_of(chain).sha256,
            head_checked=bool(head),
            problems=tuple(self._problems),
            more=self._more,
        )

    def _found(self, kind: ProblemKind, key: str, message: str, manifest: int = 0, entry: int = 0) -> None:
        if len(self._problems) < _MOST:
            self._problems.append(Problem(kind, key, manifest, entry, message))
        else:
            self._more += 1

    def _check_numbers(self, chain: list[Manifest]) -> None:
        there = {m.number for m in chain}
        for number in range(1, max(there, default=1) + 1):
            if number not in there:
                self._found(ProblemKind.MISSING, f"manifest/{number:04d}.json", "the manifest is gone", number)

    def _check_manifest(self, before: Manifest | None, manifest: Manifest) -> None:
        number, name = manifest.number, f"manifest/{manifest.number:04d}.json"
        header = manifest.header
        if header is None or manifest.footer is None:
            self._found(ProblemKind.EDITED, name, "the manifest cannot be read", number)
            return
        if header.incident != self._prefix or header.number != number:
            self._found(ProblemKind.BROKEN_CHAIN, name, "it was sealed for another incident or number", number)
        expected = before.sha256 if before is not None else ""
        follows = number == (before.number + 1 if before is not None else 1)
        if follows and header.previous != expected:
            self._found(ProblemKind.BROKEN_CHAIN, name, "it does not rest on the manifest before it", number)
        for one in header.lists:
            self._record(Stored(one.key, one.sha256, one.size), number, 0)
        replay = replay_manifest(self._store, self._prefix, manifest, self._take)
        for kind, key, position, message in replay:
            self._found(ProblemKind(kind), key or name, message, number, position)

    def _take(self, raw: object, number: int, position: int) -> str:
        """Note one entry of a manifest; the answer names it for messages."""
        try:
            entry: Entry = parse_entry(raw)
        except EvidenceError:
            self._found(ProblemKind.EDITED, f"manifest/{number:04d}.json", "not an entry", number, position)
            return ""
        if not entry.collected:
            self._failed += 1
            return entry.kind
        self._artefacts += 1
        self._size += entry.size
        self._record(Stored(entry.key, entry.sha256, entry.size), number, position)
        return entry.key

    def _record(self, stored: Stored, number: int, position: int) -> None:
        known = self._recorded.setdefault(stored.key, (stored, number, position))
        if known[0].sha256 != stored.sha256:
            text = f"recorded with another hash than in manifest {known[1]}"
            self._found(ProblemKind.EDITED, stored.key, text, number, position)

    def _check_artefacts(self) -> None:
        recorded = [self._recorded[k] for k in sorted(self._recorded)]
        with ThreadPoolExecutor(_READERS, thread_name_prefix="verify") as pool:
            for (stored, number, position), now in zip(
                recorded, pool.map(self._rehash, [r[0].key for r in recorded]), strict=True
            ):
                if now is None:
                    self._found(ProblemKind.MISSING, stored.key, "recorded, and not there", number, position)
                    continue
                if now.sha256 != stored.sha256:
                    text = f"its hash is {now.sha256}, recorded was {stored.sha256}"
                    self._found(ProblemKind.CHANGED, stored.key, text, number, position)

    def _rehash(self, key: str) -> Stored | None:
        try:
            return rehash(self._store, f"{self._prefix}/{key}")
        except TargetGone:
            return None
        except InputError:
            # A key that climbs out of the prefix can only stand in a manifest that was edited.
            return Stored(key, "unreadable", 0)

    def _check_added(self, present: set[str]) -> None:
        for key in sorted(present - self._recorded.keys()):
            if manifest_number(key) is None:
                self._found(ProblemKind.ADDED, key, "no manifest records it: added, or its phase is not sealed yet")

    def _check_head(self, chain: list[Manifest], head: str, count: int) -> None:
        if chain and chain[-1].sha256 == head:
            return
        later = next((m.number for m in chain if m.sha256 == head), None)
        if later is not None:
            for manifest in chain:
                if manifest.number > later:
                    name = f"manifest/{manifest.number:04d}.json"
                    text = "it stands behind the head that was given"
                    self._found(ProblemKind.ADDED, name, text, manifest.number)
            return
        last = chain[-1].number if chain else 0
        name = f"manifest/{max(count, last, 1):04d}.json"
        if count and last < count:
            text = f"{count} manifests were sealed, the newest now is {last}"
        else:
            text = "no manifest has the hash that was given: the tail was cut off or rewritten"
        self._found(ProblemKind.TRUNCATED, name, text, last)
