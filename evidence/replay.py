"""One manifest again, line by line: does each entry follow from the one before, and is it what its list says?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import NamedTuple

from errors import EvidenceError, InputError, TargetGone
from evidence.document import Header, chain_next, chain_start, is_record, parse_record
from evidence.entry import canonical, lines_of
from evidence.manifest import Manifest, manifest_key
from evidence.store import EvidenceStore, rehash

Take = Callable[[object, int, int], str]
"""Called with an entry's JSON value, the manifest's number and the entry's place; answers with a name for it."""


class Doubt(NamedTuple):
    """Something that does not hold within one manifest. `key` is empty when the manifest itself is meant."""

    kind: str
    key: str
    position: int
    message: str


def replay_manifest(store: EvidenceStore, prefix: str, manifest: Manifest, take: Take) -> Iterator[Doubt]:
    """Replay one manifest whose header and footer can be read."""
    header, footer = manifest.header, manifest.footer
    if header is None or footer is None:
        return
    listed = _listed(store, prefix, header)
    chain = chain_start(header.incident, header.number, header.previous)
    last = position = 0
    seen: set[int] = set()
    try:
        for line in lines_of(store.get(manifest_key(prefix, manifest.number))):
            if not is_record(line):
                continue
            position += 1
            record = parse_record(line)
            raw, number = record["entry"], record["n"]
            name = take(raw, manifest.number, position)
            if number != last + 1:
                yield _misplaced(number, last, name, position, seen)
            if chain_next(chain, _as_number(number), raw) != record["chain"] and number == last + 1:
                yield Doubt("edited", name, position, "the entry is not what was sealed")
            expected = next(listed, None)
            if expected and expected != canonical(raw):
                yield Doubt("edited", name, position, "the entry differs from the list that its collector wrote")
            # Going on from what is written names every break once, instead of everything behind the first one.
            chain, last = str(record["chain"]), _as_number(number)
            seen.add(last)
    except EvidenceError as error:
        yield Doubt("edited", "", position, error.message)
        return
    if position != footer.entries or chain != footer.chain:
        yield Doubt("edited", "", position, f"{footer.entries} entries were sealed, {position} are there")


def _misplaced(number: object, last: int, name: str, position: int, seen: set[int]) -> Doubt:
    if isinstance(number, int) and number > last + 1 and number not in seen:
        text = f"entry {number} follows entry {last}: what was between them was taken out or moved"
        return Doubt("reordered", name, position, text)
    return Doubt("reordered", name, position, f"entry {number} stands behind entry {last}")


def _as_number(value: object) -> int:
    return value if isinstance(value, int) else -1


def _listed(store: EvidenceStore, prefix: str, header: Header) -> Iterator[bytes]:
    """The lines of the lists, which the first entries repeat; empty lines for a list that is not what it was.

    Such a list is reported as an artefact, and its lines prove nothing about the manifest.
    """
    for one in header.lists:
        key = f"{prefix}/{one.key}"
        try:
            intact = rehash(store, key).sha256 == one.sha256
        except (TargetGone, InputError):
            intact = False
        yield from lines_of(store.get(key)) if intact else repeat(b"", one.count)
