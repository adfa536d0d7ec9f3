"""Text from outside made safe to print, and moments and sizes as people read them."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime, timedelta

_STAND_IN = "\N{REPLACEMENT CHARACTER}"


def clean(text: object, limit: int = 2_000) -> str:
    """One printable line: no control or direction characters, no escape sequences, at most `limit` characters.

    Names and messages come from findings, pods and servers. On a terminal a control character could hide or forge
    what is shown; `str.isprintable` is false for all of them, for lone surrogates and for bidirectional overrides.
    """
    whole = str(text)
    line = " ".join(whole[: limit + 1].split())
    line = "".join(c if c.isprintable() else _STAND_IN for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clean_lines(text: str, limit: int = 100_000) -> str:
    """As `clean`, with the line breaks kept: for a report or static details."""
    lines = text[:limit].splitlines()
    return "\n".join("".join(c if c.isprintable() else _STAND_IN for c in line.replace("\t", "    ")) for line in lines)


def hanging(label: str, text: str, indent: int = 0, limit: int = 600, width: int = 98) -> str:
    """A label and a cleaned text, wrapped so that the text stands in a column of its own; words are never broken."""
    start = " " * indent + label
    return textwrap.fill(
        clean(text, limit),
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def moment(at: datetime | None) -> str:
    """A moment in UTC to the second, or a dash."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "-"


def iso(at: datetime | None) -> str | None:
    """A moment for machines: ISO 8601 in UTC, or None."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def duration(span: timedelta) -> str:
    """A length of time in its two largest units: `312 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    seconds = abs(span.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit} {rest} {small}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def relative(at: datetime | None, now: datetime | None = None) -> str:
    """How far away a moment is: `in 23 h 10 min` or `5 min ago`."""
    if at is None:
        return "-"
    span = at - (now or datetime.now(UTC))
    # Nobody needs tenths of a second of the past.
    length = duration(timedelta(seconds=max(1, round(abs(span.total_seconds()))))).replace(".0 s", " s")
    return f"in {length}" if span.total_seconds() > 0 else f"{length} ago"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 pod`, `3 pods`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
