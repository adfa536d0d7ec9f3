"""Numbered manifests: each seals the entries of one phase and the manifest before it; see `evidence.document`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from errors import Conflict, EvidenceError, InputError
from evidence.document import (
    Footer,
    Header,
    SealedList,
    chain_next,
    chain_start,
    is_record,
    parse_footer,
    parse_header,
    parse_record,
    read_line,
)
from evidence.entry import Digest, Entry, canonical, checked, lines_of, parse_entry
from evidence.store import EvidenceStore, is_plain_key, rehash

_NUMBERED: Final = re.compile(r"manifest/(\d{4,8})\.json", re.ASCII)
_TRIES: Final = 100


class Manifest(NamedTuple):
    """A manifest without its entries. `header` and `footer` are None when they cannot be read."""

    number: int
    sha256: str
    header: Header | None
    footer: Footer | None


class Head(NamedTuple):
    """Where a chain stands. `sha256` is the hash of the newest manifest; empty when there is none."""

    manifests: int
    sha256: str
    artefacts: int
    bytes: int


def manifest_key(prefix: str, number: int) -> str:
    """The key of a manifest in the store."""
    return f"{prefix}/manifest/{number:04d}.json"


def manifest_number(key: str) -> int | None:
    """The number of a manifest by its key below the prefix, or None for any other key."""
    match = _NUMBERED.fullmatch(key)
    return int(match[1]) if match else None


def read_manifests(store: EvidenceStore, prefix: str) -> list[Manifest]:
    """All manifests of an incident, by number, without their entries.

    Nothing is judged here: a seal goes on behind whatever stands there, and `verify` says what is wrong with it.
    """
    found = (manifest_number(k.removeprefix(f"{prefix}/")) for k in store.keys(f"{prefix}/manifest"))
    return [_outline(store, prefix, n) for n in sorted(n for n in found if n is not None)]


def head_of(manifests: Sequence[Manifest]) -> Head:
    """Where a chain stands."""
    footer = next((m.footer for m in reversed(manifests) if m.footer), None)
    return Head(
        manifests=manifests[-1].number if manifests else 0,
        sha256=manifests[-1].sha256 if manifests else "",
        artefacts=footer.total_artefacts if footer else 0,
        bytes=footer.total_bytes if footer else 0,
    )


def read_entries(store: EvidenceStore, prefix: str, number: int) -> Iterator[Entry]:
    """The entries of one manifest, in order.

    Raises:
        TargetGone: There is no such manifest.
        EvidenceError: It cannot be read.
    """
    for line in lines_of(store.get(manifest_key(prefix, number))):
        if is_record(line):
            yield parse_entry(parse_record(line)["entry"])


def seal(
    store: EvidenceStore,
    prefix: str,
    phase: str,
    lists: Sequence[SealedList],
    entries: Sequence[Entry],
    *,
    sealed_by: str,
) -> Head:
    """Chain entries into the next manifest; the same request again, also after a crash, adds nothing.

    Two that seal at the same moment both succeed: the number goes to one of them, and the other takes the next.

    Args:
        store: Where the incident's evidence is.
        prefix: The incident's place in it.
        phase: What the entries belong to, for people.
        lists: Lists of entries below the prefix, with the hashes that their collectors returned.
        entries: Further entries, behind those of the lists.
        sealed_by: Identity of the worker.

    Returns:
        Where the chain stands now.

    Raises:
        EvidenceError: A list does not have its hash, or an entry of it cannot be read.
    """
    for one in lists:
        if not is_plain_key(one.key):
            raise InputError("lists", "keys below the incident's prefix", one.key)
    token = _token(phase, lists, entries)
    for _ in range(_TRIES):
        manifests = read_manifests(store, prefix)
        if any(m.header is not None and m.header.token == token for m in manifests):
            return head_of(manifests)
        before = head_of(manifests)
        header = Header(
            incident=prefix,
            number=before.manifests + 1,
            phase=phase,
            token=token,
            sealed_at=datetime.now(UTC),
            sealed_by=sealed_by,
            previous=before.sha256,
            lists=tuple(lists),
        )
        try:
            store.put(manifest_key(prefix, header.number), _document(store, header, entries, before))
        except Conflict:
            # Somebody else took the number: perhaps with the very same request.
            continue
    raise EvidenceError(f"no number was free for a manifest of {prefix}")


def _token(phase: str, lists: Sequence[SealedList], entries: Sequence[Entry]) -> str:
    asked = [phase, [[o.key, o.sha256] for o in lists], [[e.key, e.sha256, e.kind] for e in entries]]
    return hashlib.sha256(canonical(asked)).hexdigest()


def _document(store: EvidenceStore, header: Header, entries: Sequence[Entry], before: Head) -> Iterator[bytes]:
    """The lines of a manifest. It fails at its end, before it is published, when a list is not what it should be."""
    yield canonical({"header": header.model_dump(mode="json")})[:-1] + b',"entries":[\n'
    chain = chain_start(header.incident, header.number, header.previous)
    count = artefacts = size = 0
    for entry, raw in _all_entries(store, header, entries):
        count += 1
        chain = chain_next(chain, count, raw)
        artefacts += entry.collected
        size += entry.size if entry.collected else 0
        yield (b"," if count > 1 else b"") + canonical({"chain": chain, "entry": raw, "n": count}) + b"\n"
    footer = Footer(
        entries=count,
        artefacts=artefacts,
        total_artefacts=before.artefacts + artefacts,
        total_bytes=before.bytes + size,
        chain=chain,
    )
    yield b"]," + canonical({"footer": footer.model_dump(mode="json")})[1:] + b"\n"


def _all_entries(store: EvidenceStore, header: Header, entries: Sequence[Entry]) -> Iterator[tuple[Entry, object]]:
    """Each entry with the JSON value that is sealed.

    Of a list it is the very value that stands there, so that a newer worker's manifest repeats an older one's list.
    """
    for one in header.lists:
        chunks = checked(store.get(f"{header.incident}/{one.key}"), one.key, one.sha256)
        for line in lines_of(chunks):
            yield read_line(line), json.loads(line)
    for entry in entries:
        yield entry, entry.model_dump(mode="json")


def _outline(store: EvidenceStore, prefix: str, number: int) -> Manifest:
    key = manifest_key(prefix, number)
    digest = Digest()
    first = last = b""
    try:
        for line in lines_of(digest.watch(store.get(key))):
            first = first or line
            last = line
        header, footer, stored = parse_header(first), parse_footer(last), digest.stored(key)
    except EvidenceError:
        # Whoever spoiled a manifest must not be able to stop the sealing of what comes after it.
        return Manifest(number, rehash(store, key).sha256, None, None)
    return Manifest(number, stored.sha256, header, footer)
