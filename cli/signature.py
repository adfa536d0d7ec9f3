"""Who orders something and why, as the record keeps it."""

from __future__ import annotations

import getpass
import socket

from cli.text import clean
from errors import InputError

LONGEST_REASON = 500


def whoami() -> str:
    """`user@host` of whoever runs the command. It is a claim, not a proof."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a uid that has no name.
        user = "unknown"
    return clean(f"{user}@{socket.gethostname()}", 200)


def signed(by: str) -> str:
    """The name that was given, or else whoever runs the command."""
    return clean(by.strip(), 200) or whoami()


def checked_reason(text: str, expected: str, *, needed: bool = True) -> str:
    """A reason as the record keeps it.

    Args:
        text: As typed.
        expected: What a reason has to say, for whoever gave none.
        needed: Whether there must be one.

    Raises:
        InputError: It is missing, or too long.
    """
    if needed and not text.strip():
        raise InputError("--reason", expected)
    if len(text) > LONGEST_REASON:
        raise InputError("--reason", f"at most {LONGEST_REASON} characters", f"{len(text)}")
    return clean(text.strip(), LONGEST_REASON)
