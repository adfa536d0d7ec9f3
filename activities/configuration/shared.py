"""What other incidents have taken out of bindings already, for an aim of their own, and this one needs as well."""

from __future__ import annotations

from collections.abc import Callable

from activities.changes.engine import Engine
from clients.kubernetes import JsonObject
from plans.model import Change, ResourceRef

_BINDINGS = ("ClusterRoleBinding", "RoleBinding")


def taken_out_by_others(engine: Engine, step: str, wanted: Callable[[ResourceRef, JsonObject], bool]) -> list[Change]:
    """Their changes of subjects that are wanted out: whoever needs one holds it, so that the last release undoes it.

    Args:
        engine: Knows what is held.
        step: The step that needs them.
        wanted: Whether a subject is to be out of a binding.
    """
    held = (r.change for r in engine.held.all() if not r.releasing and r.change.resource.kind in _BINDINGS)
    mine = [c for c in held if any(wanted(c.resource, entry) for entry in entries_of(c))]
    return [c.model_copy(update={"step": step}) for c in mine if not engine.gone(c)]


def entries_of(change: Change) -> list[JsonObject]:
    """The entries of subjects that a change takes out (activities.changes.bindings)."""
    values = [value for value in change.before.values() if isinstance(value, dict)]
    found: list[JsonObject] = []
    for value in values:
        entries = value.get("entries")
        found += [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    return found
