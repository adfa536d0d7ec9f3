"""Adding up verdicts on containment: of the steps of a path, and of the paths of an incident."""

from __future__ import annotations

from collections.abc import Set

from contracts.states import WORST_FIRST, Containment


def worst(verdicts: Set[Containment]) -> Containment:
    """What several verdicts come to; nothing to contain where there is none."""
    if Containment.NONE in verdicts and Containment.VERIFIED in verdicts:
        # Something is cut off and something else is not: that is neither none nor anything to rely on.
        return Containment.INCOMPLETE
    return next((c for c in WORST_FIRST if c in verdicts), Containment.NOT_APPLICABLE)
