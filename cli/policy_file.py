"""Reads the policy that an installation names."""

from __future__ import annotations

from pathlib import Path

from errors import InputError
from plans.policy import Policy, load_policy


def load_policy_file(path: Path | None) -> Policy:
    """The policy of a file, or the defaults when there is none.

    Raises:
        InputError: The file cannot be read, or does not fit.
    """
    if path is None:
        return Policy()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError("policy", "a readable file", f"{path} ({reason})") from None
    return load_policy(text)
