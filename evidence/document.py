"""How a manifest is written: its parts, the links of its chain, and reading them back line by line.

A manifest is one JSON document, written so that it can be read line by line in bounded memory: its first line holds
the header, then there is one entry a line, the last line holds the footer. Each entry carries the hash of itself and
everything before it in the manifest; the first rests on the incident, the number and the hash of the manifest before.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from errors import EvidenceError
from evidence.entry import Entry, canonical, parse_entry

_MODEL: Final = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
_Part = TypeVar("_Part", bound=BaseModel)


class SealedList(BaseModel):
    """A list of entries as its collector wrote it; the manifest repeats its lines in their order."""

    model_config = _MODEL

    key: str
    sha256: str
    count: int = 0
    size: int = 0


class Header(BaseModel):
    """The beginning of a manifest.

    Attributes:
        incident: The prefix, so that a manifest of another incident cannot take this one's place.
        previous: sha256 of the manifest before; empty in the first.
        token: What was asked to be sealed; the same request is sealed once.
        lists: Whose entries come first, in this order.
    """

    model_config = _MODEL

    format: Literal[1] = 1
    incident: str
    number: int
    phase: str
    token: str
    sealed_at: AwareDatetime
    sealed_by: str
    previous: str
    lists: tuple[SealedList, ...] = ()


class Footer(BaseModel):
    """The end of a manifest: counts of its own, totals of all up to it, and the last hash of its entries."""

    model_config = _MODEL

    entries: int
    artefacts: int
    total_artefacts: int
    total_bytes: int
    chain: str


def chain_start(incident: str, number: int, previous: str) -> str:
    """What the first entry of a manifest rests on."""
    return hashlib.sha256(canonical(["firebreak", incident, number, previous])).hexdigest()


def chain_next(chain: str, number: int, entry: object) -> str:
    """The hash of an entry's JSON value, its place in the manifest, and all before it."""
    return hashlib.sha256(canonical([chain, number, entry])).hexdigest()


def is_record(line: bytes) -> bool:
    """Whether a line of a manifest looks like an entry, and not like its header or footer."""
    return line.lstrip(b",").startswith(b'{"chain":')


def parse_record(line: bytes) -> dict[str, object]:
    """One line between header and footer: ``{"chain": …, "entry": …, "n": …}``.

    Raises:
        EvidenceError: It is not one.
    """
    try:
        record = json.loads(line.lstrip(b","))
    except ValueError:
        record = None
    if not isinstance(record, dict) or not {"chain", "entry", "n"} <= record.keys():
        raise EvidenceError("a line of the manifest is not an entry")
    return record


def parse_header(line: bytes) -> Header:
    """The first line of a manifest.

    Raises:
        EvidenceError: It is not one.
    """
    return _part(Header, line.removesuffix(b',"entries":['), b"}", "header")


def parse_footer(line: bytes) -> Footer:
    """The last line of a manifest.

    Raises:
        EvidenceError: It is not one.
    """
    return _part(Footer, b"{" + line.removeprefix(b"],"), b"", "footer")


def _part(model: type[_Part], text: bytes, closing: bytes, name: str) -> _Part:
    try:
        return model.model_validate(json.loads(text + closing)[name])
    except (ValueError, KeyError, TypeError, ValidationError):
        raise EvidenceError(f"the {name} of the manifest cannot be read") from None


def read_line(line: bytes) -> Entry:
    """An entry from a line of a list.

    Raises:
        EvidenceError: It is not one.
    """
    try:
        return parse_entry(json.loads(line))
    except ValueError:
        raise EvidenceError("a line of the list is not JSON") from None
