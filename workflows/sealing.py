"""Sealing what a path has collected and changed into the chain of custody, once a phase."""

from __future__ import annotations

from contracts.activities import SealRequest
from contracts.common import EvidenceState, StoredList
from contracts.names import ActivityName
from workflows.calls import StepFailed, call
from workflows.path_state import PathState


async def seal(state: PathState, phase: str, entries: tuple[StoredList, ...] = ()) -> None:
    """Chain the entries of a phase, and the path's changes so far, into the next manifest.

    Raises:
        StepFailed: Entries could not be sealed, so that the step which collected them is not done.
    """
    try:
        state.evidence = await call(
            ActivityName.SEAL_EVIDENCE,
            SealRequest(
                incident=state.incident,
                phase=phase,
                entries=entries,
                changes=tuple(state.changes.values()),
                undone=tuple(state.all_undone),
            ),
            EvidenceState,
            summary=f"seal the evidence of {phase}",
        )
    except StepFailed as failed:
        if entries:
            raise
        # Changes are in history in any case; a manifest that could not be written is said, and blocks nothing.
        state.failures[f"seal {phase}"] = [failed.failure(f"seal {phase}")]
