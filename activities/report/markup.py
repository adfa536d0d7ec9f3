"""The one rule of the report in HTML: what Firebreak did not write itself stands, escaped, in a `code` element.

As in Markdown the template cannot forget it: every expression passes through `finalize`, and what is no markup of ours
comes out escaped and marked. In an attribute and in the picture a text from outside passes through `plain`: escaped as
well, and unmarked, because there can be no elements.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from html import escape
from typing import Final

from activities.report.words import NOTHING, Outside, Sentence, cut, moment, printable

_LONGEST: Final = 500
_LONGEST_TITLE: Final = 2_000
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_THOUSANDS: Final = "\N{NARROW NO-BREAK SPACE}"


class Html(str):
    """HTML of our own. Values from outside enter it through `outside` and `plain` only, which escape them."""

    __slots__ = ()

    def __html__(self) -> str:
        """How Jinja learns that the text is escaped already."""
        return str(self)


_NOTHING: Final = Html(f'<span class="none">{NOTHING}</span>')


def outside(value: object, limit: int = _LONGEST) -> Html:
    """A value from outside: on one line, cut to a length, and then with more of it in the title."""
    text = printable(value)
    if not text:
        return _NOTHING
    title = f' title="{plain(text)}"' if len(text) > limit else ""
    return Html(f"<code{title}>{plain(text, limit)}</code>")


def prose(value: object, limit: int = _LONGEST) -> Html:
    """As `outside`, for sentences: they are marked like every value from outside, and set as text."""
    return Html(outside(value, limit).replace("<code", '<code class="prose"', 1))


def plain(value: object, limit: int = _LONGEST_TITLE) -> Html:
    """A value from outside for an attribute or the picture."""
    return Html(escape(cut(printable(value), limit)))


def own(text: str) -> Html:
    """Words of our own, which are escaped all the same."""
    return Html(escape(text))


def words(state: StrEnum) -> Html:
    """A state in words: `AwaitingApproval` becomes `Awaiting approval`."""
    text = _CAMEL.sub(" ", state.value).replace("-", " ")
    return own(text[:1].upper() + text[1:].lower())


def finalize(value: object) -> Html:
    """What one expression of the template becomes."""
    match value:
        case Sentence():
            return Html("".join(_part(part) for part in value))
        case bool():
            return own("yes" if value else "no")
        case int():
            return own(f"{value:,}".replace(",", _THOUSANDS))
        case float():
            return own(f"{value:g}")
        case StrEnum():
            # A closed set of our own words.
            return own(value.value)
        case datetime():
            return Html(f"<time>{moment(value)}</time>")
        case None:
            return _NOTHING
        case _ if hasattr(value, "__html__"):
            # Ours, or what a macro has made of the like.
            return Html(value)
        case _:
            return outside(value)


def _part(part: str | Outside) -> Html:
    if isinstance(part, Outside):
        return prose(part.value) if part.prose else outside(part.value)
    return own(part)


def listed(values: object, most: int = 20) -> Html:
    """Values from outside behind each other, each in an element of its own."""
    items = [values] if isinstance(values, str) else list(values) if isinstance(values, list | tuple) else []
    text = ", ".join(outside(v) for v in items[:most]) or _NOTHING
    return Html(text + (f" and {len(items) - most} more" if len(items) > most else ""))
