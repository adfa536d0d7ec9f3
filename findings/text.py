"""Which text a finding may carry where. Names are rejected when they cannot be true; free text is made harmless.

Kubernetes refuses a namespace, workload or service account whose name is not a DNS name, so such a name in a finding
is no name of any object, and acting on a repaired one would hit something else: the finding is rejected. Request
fields, impersonated names and process names are whatever the attacker typed: they must never stop a response, so
they are made printable and cut instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_LONGEST_FOUND = 60
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Text:
    """A rule for one kind of text.

    Attributes:
        longest: In characters; longer free text is cut and ends in "…", a longer name is rejected.
        expected: What the rule asks for, as an error says it; empty for free text, which is never rejected.
        valid: Whether a text obeys the rule.
        cut: Whether a longer text is cut nevertheless.
    """

    longest: int
    expected: str = ""
    valid: Callable[[str], bool] = bool
    cut: bool = False

    def obeyed(self, text: str) -> bool:
        """Whether a text is valid and not too long."""
        return len(text) <= self.longest and self.valid(text)


def _matching(pattern: str) -> Callable[[str], bool]:
    """A test that the whole text matches; ``$`` alone would let a final line break through."""
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _path_segment(text: str) -> bool:
    """The rule of Kubernetes for RBAC names (``IsValidPathSegmentName``), and printable."""
    return text.isprintable() and text not in (".", "..") and not set("/%") & set(text)


FREE: Final = Text(longest=1024)
"""A line of free text: what is not printable becomes U+FFFD, line breaks and tabs become spaces."""

LONG: Final = Text(longest=4096)
"""As FREE, for descriptions and addresses."""

IDENTITY: Final = Text(1024, "a printable name", str.isprintable, cut=True)
"""An authenticated name: never repaired, because the result could be somebody else's name. The cut form of a longer
one ends in "…" and is no ARN, service account or address, so it names nobody."""

TYPE: Final = Text(200, "a finding type of at most 200 printable characters", str.isprintable)

FINDING_ID: Final = Text(
    300,
    "a finding id of letters, digits, '.', '_' and '-', at most 300",
    _matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*"),
)
ACCOUNT: Final = Text(64, "an account id of 12 digits", _matching(r"[A-Za-z0-9][A-Za-z0-9-]*"))
REGION: Final = Text(64, "a region such as us-east-1", _matching(r"[a-z0-9][a-z0-9-]*"))

NAME: Final = Text(
    253,
    "a name of letters, digits, '.', '_' and '-', at most 253",
    _matching(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"),
)
"""An object's name or uid. Wider than DNS-1123 by upper case and "_", which sample findings and EKS clusters use."""

RBAC_NAME: Final = Text(253, "an RBAC name without '/' and '%', at most 253 characters", _path_segment)


def cleaned(text: str, longest: int) -> str:
    """Free text on one line, printable, at most ``longest`` characters."""
    line = "".join(c if c.isprintable() else " " if c.isspace() else _REPLACEMENT for c in text[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "…"


def describe(value: object) -> str:
    """A value in a few safe words, for the ``found`` of an error: never the whole of it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            # Python refuses to print an integer of thousands of digits.
            return "a huge number" if isinstance(value, int) and abs(value) > 10**30 else f"the number {value}"
        case str():
            shown = ascii(value[:_LONGEST_FOUND])
            if len(shown) <= _LONGEST_FOUND and len(value) <= _LONGEST_FOUND:
                return shown
            return f"{shown[:_LONGEST_FOUND]}… ({len(value)} characters)"
        case list():
            return "an empty list" if not value else "a list"
        case _:
            return "an empty object" if not value else "an object"
