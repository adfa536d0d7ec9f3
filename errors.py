"""The exception tree: every failure that Firebreak names, with a stable code.

::

    FirebreakError
    ├── InputError         bad input; names the field and what was expected     not retryable
    ├── PolicyRefusal      the policy or a protection forbids the step          not retryable
    ├── TargetGone         the object does not exist (any more)                 not retryable
    ├── Conflict           somebody else changed or holds the object            retryable
    ├── Paused             an operator holds every mutation of the cluster          retryable
    ├── Throttled          the service asks for patience (``retry_after``)      retryable
    ├── Forbidden          our identity lacks a permission                      not retryable
    ├── Unavailable        the service does not answer, or answers 5xx          retryable
    └── EvidenceError      an artefact could not be stored, read or verified    retryable

The clients translate once, at their edge; one activity interceptor turns the tree into Temporal's
``ApplicationError(type=code)``. A refusal and "already gone" that a step expects are outcomes, not exceptions.
"""

from __future__ import annotations

from typing import ClassVar

_LONGEST_MESSAGE = 600


class FirebreakError(Exception):
    """The root of the tree.

    Attributes:
        code: A stable word for machines: it appears in histories, in ``failures[].code`` and in metrics.
        retryable: Whether the same call may succeed later without anybody doing anything.
    """

    code: ClassVar[str] = "Internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        # Error texts come from outside and end in histories and terminals; they are cut and kept on one line.
        text = "".join(c if c.isprintable() else " " for c in message)
        super().__init__(text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…")

    @property
    def message(self) -> str:
        """The text, printable and at most 600 characters."""
        return str(self.args[0])


class InputError(FirebreakError):
    """Bad input. ``field`` is the path of the offending field, ``expected`` what should have stood there."""

    code = "InputError"

    def __init__(self, field: str, expected: str, found: str = "") -> None:
        self.field = field
        self.expected = expected
        self.found = found
        super().__init__(f"{field}: expected {expected}" + (f", found {found}" if found else ""))


class PolicyRefusal(FirebreakError):
    """The policy, a protection or the budget forbids the step."""

    code = "PolicyRefusal"


class TargetGone(FirebreakError):
    """The object does not exist, or another one stands under its name."""

    code = "TargetGone"


class Conflict(FirebreakError):
    """Somebody else changed the object first, or another incident holds it."""

    code = "Conflict"
    retryable = True


class Paused(FirebreakError):
    """`firebreak pause` holds every mutation of this cluster until `firebreak resume`."""

    code = "Paused"
    retryable = True


class Throttled(FirebreakError):
    """The service asks us to slow down; ``retry_after`` is in seconds."""

    code = "Throttled"
    retryable = True

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Forbidden(FirebreakError):
    """Our own identity lacks a permission, or an admission policy refused us."""

    code = "Forbidden"


class Unavailable(FirebreakError):
    """The service does not answer, or answers that it cannot."""

    code = "Unavailable"
    retryable = True


class EvidenceError(FirebreakError):
    """An artefact could not be stored, read or verified."""

    code = "EvidenceError"
    retryable = True
