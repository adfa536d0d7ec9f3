"""The one rule of the report in Markdown: what Firebreak did not write itself stands in a code span.

In a code span Markdown interprets nothing: no heading, link, HTML, emphasis or mention can come of it. What could end
the span, the line or a table's cell is replaced before: a backtick, a bar, and everything that does not print, which
takes in line breaks, terminal control codes and marks that reverse the direction of writing.

The template cannot forget it: every expression passes through `finalize`, and only `Own` text passes unchanged.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from activities.report.words import NOTHING, Outside, Sentence, cut, moment, printable

_LONGEST: Final = 500
_REPLACED: Final = str.maketrans({"`": "\u02cb", "|": "\u00a6"})


class Own(str):
    """Markdown of our own words. Values from outside enter it through `code` only."""

    __slots__ = ()


def code(value: object, limit: int = _LONGEST) -> Own:
    """A value from outside as a code span, on one line, cut to a length; `NOTHING` when it is empty."""
    text = printable(value).translate(_REPLACED)
    return Own(f"`{cut(text, limit)}`" if text else NOTHING)


def finalize(value: object) -> str:
    """What one expression of the template becomes."""
    match value:
        case Own():
            return value
        case Sentence():
            return "".join(code(part.value) if isinstance(part, Outside) else part for part in value)
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case float():
            return f"{value:g}"
        case StrEnum():
            # A closed set of our own words.
            return value.value
        case datetime():
            return moment(value)
        case None:
            return NOTHING
        case _:
            return code(value)


def listed(values: object, most: int = 20) -> Own:
    """Values from outside behind each other, each in its own span."""
    items = [values] if isinstance(values, str) else list(values) if isinstance(values, list | tuple) else []
    text = ", ".join(code(v) for v in items[:most])
    return Own((text or NOTHING) + (f" and {len(items) - most} more" if len(items) > most else ""))
