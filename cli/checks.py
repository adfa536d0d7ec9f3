"""What a check of `doctor` says, and how checks are run: each on its own, so that one that breaks hides no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from errors import FirebreakError


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """It works, and should be known."""
    FAIL = "fail"
    SKIP = "skip"
    """It could not be asked, because something else failed."""


@dataclass(frozen=True)
class Check:
    """One line of `doctor`. `fix` is a sentence, empty when there is nothing to fix."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def ok(name: str, detail: str) -> Check:
    """What works."""
    return Check(name, Status.OK, detail)


def warn(name: str, detail: str, fix: str) -> Check:
    """What works and should be known."""
    return Check(name, Status.WARN, detail, fix)


def fail(name: str, detail: str, fix: str) -> Check:
    """What keeps an incident from doing its work."""
    return Check(name, Status.FAIL, detail, fix)


def skip(name: str, because: str) -> Check:
    """What could not be asked."""
    return Check(name, Status.SKIP, f"not asked: {because}")


def guarded(name: str, fix: str, check: Callable[[], Check]) -> Check:
    """Run a check; an error of our tree is its failure, with the given fix."""
    try:
        return check()
    except FirebreakError as error:
        return fail(name, error.message, fix)
