"""One line of the record: what was collected, from where, when and by whom, or why it could not be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from errors import EvidenceError
from evidence.store import Stored

_LONGEST_TEXT: Final = 600
_LONGEST_LINE: Final = 1 << 20


def _clean(value: object) -> object:
    """One printable line: names and reasons come from outside and end in terminals."""
    if not isinstance(value, str):
        return value
    text = "".join(c if c.isprintable() else " " for c in value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


Text = Annotated[str, BeforeValidator(_clean)]


class Outcome(StrEnum):
    """What became of one collector."""

    COLLECTED = "collected"
    FAILED = "failed"


class EntrySubject(BaseModel):
    """The object that an artefact is about. The uid identifies it; the names are for people and never become a key."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    kind: Text = ""
    namespace: Text = ""
    name: Text = ""
    uid: Text = ""


class Entry(BaseModel):
    """One artefact, or one that could not be collected.

    Attributes:
        key: Below the incident's prefix; empty when the collector failed.
        sha256: Of the artefact, 64 hex digits.
        size: In bytes.
        kind: What it is: ``pod-manifest``, ``container-log``, ….
        source: The call that it came from.
        subject: The object that it is about.
        collected_at: When the collector ended, UTC.
        activity: The activity with its id and attempt.
        worker: Identity of the worker process.
        outcome: Whether there is an artefact.
        reason: Why it failed; or what a reader must know of the artefact, such as that it was cut.
        redactions: JSON pointers of the values that were taken out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    key: str = ""
    sha256: str = ""
    size: Annotated[int, Field(ge=0)] = 0
    kind: Text
    source: Text = ""
    subject: EntrySubject = EntrySubject()
    collected_at: AwareDatetime
    activity: Text = ""
    worker: Text = ""
    outcome: Outcome = Outcome.COLLECTED
    reason: Text = ""
    redactions: tuple[Text, ...] = ()

    @property
    def collected(self) -> bool:
        """Whether there is an artefact."""
        return self.outcome is Outcome.COLLECTED

    def line(self) -> bytes:
        """The entry as one canonical line, without its end."""
        return canonical(self.model_dump(mode="json"))


def canonical(value: object) -> bytes:
    """Canonical JSON: sorted keys, no spaces, ASCII. The same value always gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def parse_entry(raw: Any) -> Entry:
    """An entry from its JSON value.

    Raises:
        EvidenceError: It is not one.
    """
    try:
        return Entry.model_validate(raw)
    except ValidationError as error:
        raise EvidenceError(f"not an entry: {error.errors()[0]['loc']}") from None


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream, in bounded memory, without their ends.

    Raises:
        EvidenceError: A line is longer than a megabyte, which no line of ours is.
    """
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > _LONGEST_LINE:
            raise EvidenceError("a line is longer than a megabyte")
    if rest:
        yield rest


class Digest:
    """Hashes a stream that somebody else consumes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, hashed as they pass."""
        for chunk in chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    def stored(self, key: str) -> Stored:
        """What passed so far, under a key."""
        return Stored(key, self._hash.hexdigest(), self.size)


def checked(chunks: Iterable[bytes], key: str, sha256: str) -> Iterator[bytes]:
    """The same chunks; the end of the stream is reached only when their hash is the expected one.

    A store that writes this stream publishes nothing when it fails.

    Raises:
        EvidenceError: The content is not what was recorded.
    """
    digest = Digest()
    yield from digest.watch(chunks)
    if digest.stored(key).sha256 != sha256:
        raise EvidenceError(f"{key} does not have the recorded hash {sha256}")
