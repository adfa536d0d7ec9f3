"""Paths whose workflow ended without a result: what is said of them, and from where they go on."""

from __future__ import annotations

from contracts.common import Failure
from contracts.incidents import PathProgress, StepStatus
from contracts.states import StepState
from plans.model import Path
from workflows.record import IncidentRecord

_KEPT = (StepState.DONE, StepState.SKIPPED)


def say_lost(record: IncidentRecord, path: Path, reason: str) -> None:
    """What the path had not done is not done, and says so; what it was doing is unknown."""
    failure = Failure(step=path.value, target=record.key.workflow_id, code="Internal", message=reason[:300])
    record.failures[_name(path)] = [failure]
    for name in _unfinished(record, path):
        record.steps[name] = StepStatus(step=name, state=StepState.FAILED, detail="its workflow ended")


def found_again(record: IncidentRecord, path: Path) -> PathProgress | None:
    """What the path had reported last, with every change of its own; None when it never reported."""
    record.failures.pop(_name(path), None)
    for name in _unfinished(record, path):
        record.steps[name] = StepStatus(step=name, state=StepState.PLANNED)
    reported = record.paths.get(path)
    if reported is None:
        return None
    mine = tuple(c for c in record.changes.values() if c.step.startswith(f"{path.value}."))
    return reported.model_copy(
        update={
            "changes": mine,
            "undone": tuple(c.key for c in mine if c.key in record.undone),
            # What failed because its workflow ended is begun again; what was done stays so.
            "steps": tuple(s for s in reported.steps if s.state in _KEPT),
            "failures": (),
        }
    )


def _unfinished(record: IncidentRecord, path: Path) -> list[str]:
    mine = [s for s in record.steps.values() if s.step.startswith(f"{path.value}.")]
    return [s.step for s in mine if s.state not in _KEPT]


def _name(path: Path) -> str:
    """Under which name the loss of a path stands among the failures."""
    return f"{path.value} workflow"
