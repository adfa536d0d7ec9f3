"""What a change may say of a Secret: its metadata, never its values, which would stand in history and in records."""

from __future__ import annotations

from typing import Any, Final

from errors import PolicyRefusal
from plans.model import Change

_VALUES: Final = ("data", "stringData")
_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl keeps the whole object there, values included:
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/"""


def refuse_secrets(change: Change) -> None:
    """Make sure that a change shows no value of a Secret, neither before nor after.

    Allowed are fields below `/metadata` and `/type`, and a Secret as a whole without its values.

    Raises:
        PolicyRefusal: It does. The message names the field and nothing of what stands there.
    """
    if not change.resource.kind.endswith("Secret"):
        return
    for field, value in (*change.before.items(), *change.after.items()):
        first = field.split("/", 2)[1] if field else ""
        if first in _VALUES or _APPLIED.replace("/", "~1") in field or _shows(value):
            raise PolicyRefusal(f"{change.resource}: {field or 'it'} would show what is secret; changes name no values")


def _shows(value: Any) -> bool:
    """Whether a value has a member that holds, or repeats, what is secret."""
    if not isinstance(value, dict):
        return False
    return any(k in (*_VALUES, _APPLIED) or _shows(v) for k, v in value.items())
