"""Sentences of our own around values from outside, before it is decided in which markup they are written.

The facts of a report are made once, for Markdown and for HTML. What Firebreak did not write itself stands in them as
`Outside`, so that each of the two can mark and escape it by its own rule, and neither can take it for ours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

NOTHING: Final = "(none)"
_STAND_IN: Final = "\N{REPLACEMENT CHARACTER}"
_MOST_MARKS: Final = 4
"""Combining marks on one letter. No script needs more, and a tower of them covers the lines above."""


@dataclass(frozen=True)
class Outside:
    """A value that Firebreak did not write, or not alone: from the finding, the cluster or a person.

    Attributes:
        prose: Whether it is a sentence and no name, so that it need not be set like one.
    """

    value: object
    prose: bool = False


class Sentence(tuple[str | Outside, ...]):
    """Words of our own, and values from outside among them. Made by `say` alone."""

    __slots__ = ()


def say(*parts: str | Outside | Sentence) -> Sentence:
    """A sentence from its parts. A plain string is taken for our own words."""
    return Sentence(_flat(parts))


def join(separator: str, sentences: Iterable[Sentence]) -> Sentence:
    """Sentences behind each other, empty ones left out."""
    parts: list[str | Outside] = []
    for sentence in filter(None, sentences):
        parts += [separator, *sentence] if parts else sentence
    return Sentence(parts)


def _flat(parts: Iterable[str | Outside | Sentence]) -> Iterator[str | Outside]:
    for part in parts:
        if isinstance(part, Sentence):
            yield from part
        else:
            yield part


def printable(value: object) -> str:
    """One line without anything that does not print: no control code, line break or mark of writing direction."""
    text = "".join(c if c.isprintable() else _STAND_IN for c in str(value)).strip()
    return text if text.isascii() else "".join(_few_marks(text))


def cut(text: str, limit: int) -> str:
    """A text of at most `limit` characters, which says that it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def moment(value: datetime | None) -> str:
    """A time in UTC, to the millisecond."""
    if value is None:
        return NOTHING
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def count(number: int, noun: str) -> str:
    """`1 pod`, `3 pods`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _few_marks(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            yield character
