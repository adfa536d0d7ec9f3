"""What is taken out of manifests: values of environment variables, wherever a template of a pod stands.

They are where applications keep passwords, and evidence is read by more people than the namespace. The names stay, and
each entry lists what was taken out. Secrets are never read at all, neither are ConfigMaps. What is kept on purpose:
commands and arguments, because they are what an attacker writes.
"""

from __future__ import annotations

from typing import Any, Final

from contracts.changes import pointer

REDACTED: Final = "[redacted]"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""Holds the whole manifest once more, as text."""
MOST_LISTED: Final = 200


def redact(manifest: Any) -> tuple[Any, tuple[str, ...]]:
    """A copy of a manifest without the values of its environment variables.

    Returns:
        The copy, and the JSON pointers of what was taken out, at most 200 and then how many more.
    """
    taken: list[str] = []
    copy = _walk(manifest, (), taken)
    return copy, listed_redactions(taken)


def listed_redactions(taken: list[str], more: int = 0) -> tuple[str, ...]:
    """The pointers as an entry lists them: at most 200, and then how many more there are."""
    left_out = more + max(0, len(taken) - MOST_LISTED)
    shown = taken[:MOST_LISTED]
    return (*shown, f"and {left_out} more, marked {REDACTED} in the artefact") if left_out else tuple(shown)


def _walk(value: Any, path: tuple[str, ...], taken: list[str]) -> Any:
    if isinstance(value, list):
        return [_walk(item, (*path, str(n)), taken) for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    copy: dict[str, Any] = {}
    for key, item in value.items():
        here = (*path, key)
        if key == "env" and isinstance(item, list):
            copy[key] = [_variable(one, (*here, str(n)), taken) for n, one in enumerate(item)]
        elif key == LAST_APPLIED:
            taken.append(pointer(*here))
            copy[key] = REDACTED
        else:
            copy[key] = _walk(item, here, taken)
    return copy


def _variable(value: Any, path: tuple[str, ...], taken: list[str]) -> Any:
    """A variable with `valueFrom` only names where its value is, so it stays whole."""
    if not isinstance(value, dict) or not value.get("value"):
        return value
    taken.append(pointer(*path, "value"))
    return value | {"value": REDACTED}
