"""A filter of GuardDuty as something that is created and undone: what it hides, not what it is said to be for.

Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_GetFilter.html
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import JsonValue

from activities.changes.kinds import Values, register
from activities.doors import Doors
from errors import InputError
from plans.model import ResourceRef
from plans.suppression import Criteria

KIND: Final = "FindingFilter"
_ARCHIVE: Final = "ARCHIVE"
_SAID: Final = (
    "Findings that were expected. Firebreak made this filter on approval (release of the incident deletes it)"
)
"""GuardDuty takes few characters here, so who approved it and why stands with the incident alone."""


def filter_value(criteria: Criteria) -> dict[str, JsonValue]:
    """A suppression rule as it is written down, compared and created."""
    return {"action": _ARCHIVE, "criteria": {f: {how: [*v] for how, v in c.items()} for f, c in criteria.items()}}


def detector_of(doors: Doors) -> str:
    """The detector that has the filters.

    Raises:
        TargetGone: GuardDuty is not enabled here.
    """
    return doors.settings.detector_id or doors.aws.guardduty.detector_id()


class FindingFilterKind:
    """The whole filter, by name; it is created and deleted, and never edited."""

    undoable = True

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """What the filter does and with which findings; None where there is none."""
        found = self._doors.aws.guardduty.filter(detector_of(self._doors), ref.name)
        return dict.fromkeys(fields, found)

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Create it, or delete it."""
        guardduty, detector, wanted = self._doors.aws.guardduty, detector_of(self._doors), new[""]
        if wanted is None:
            guardduty.delete_filter(detector, ref.name)
        elif now[""] is None and wanted["action"] == _ARCHIVE:
            guardduty.create_suppression(detector, ref.name, _SAID, wanted["criteria"])
        else:
            raise InputError("change", "a filter that is created or deleted", f"{ref}")


register(KIND, FindingFilterKind, watched=False)
