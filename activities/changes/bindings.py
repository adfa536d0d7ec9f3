"""Who stands in a binding, one subject at a time.

The field of a subject is `/subjects/<kind>/<namespace>/<name>`; its value is its entries and where the first of them
stood. So two incidents that take two subjects out of one binding hold two changes, and each can be undone by itself.
"""

from __future__ import annotations

from typing import Any, Final

from activities.changes.kinds import Values
from activities.changes.kubernetes import KubernetesKind
from activities.isolation.fields import patch_operations
from clients.kubernetes import JsonObject
from clients.paths import object_path
from contracts.changes import pointer
from errors import Conflict
from plans.model import ResourceRef

SUBJECTS: Final = "/subjects"


def subject_field(subject: JsonObject) -> str:
    """The field of the subject that an entry names."""
    return pointer("subjects", *(str(subject.get(part, "")) for part in ("kind", "namespace", "name")))


def subject_value(subjects: list[JsonObject], field: str) -> dict[str, Any] | None:
    """The entries of one subject and where the first stands; None when there is none."""
    found = [(at, s) for at, s in enumerate(subjects) if subject_field(s) == field]
    return {"at": found[0][0], "entries": [s for _, s in found]} if found else None


class BindingKind(KubernetesKind):
    """Bindings, through the identity that may edit them. A field that is no subject's is one of the object."""

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """Subjects, and other fields of the live object."""
        mine = tuple(f for f in fields if f.startswith(f"{SUBJECTS}/"))
        others = tuple(f for f in fields if f not in mine)
        values = super().read(ref, others) if others else {}
        if mine:
            subjects = self._live(ref).get("subjects") or []
            values |= {field: subject_value(subjects, field) for field in mine}
        return values

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Take subjects out, or put them back where they stood, if the list is still the one that was read."""
        mine = {f: v for f, v in new.items() if f.startswith(f"{SUBJECTS}/")}
        if others := {f: v for f, v in new.items() if f not in mine}:
            super().write(ref, {f: now[f] for f in others}, others)
        if not mine:
            return
        live = self._live(ref)
        subjects: list[JsonObject] = live.get("subjects") or []
        for field in mine:
            if subject_value(subjects, field) != now[field]:
                raise Conflict(f"{ref}: {field} changed between two reads")
        left = [s for s in subjects if subject_field(s) not in mine]
        for value in sorted((v for v in mine.values() if v is not None), key=lambda v: int(v["at"])):
            left[value["at"] : value["at"]] = value["entries"]
        self._kubernetes.patch(
            object_path(ref.kind, ref.namespace, ref.name), patch_operations(live, {SUBJECTS: left or None})
        )
