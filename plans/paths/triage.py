"""What only a person can sort out (guide G5)."""

from __future__ import annotations

from plans.drafts import Draft
from plans.model import Path
from plans.situation import Situation


def steps(s: Situation) -> tuple[Draft, ...]:
    """One task. It is never carried out, because no program can; the incident shows it."""
    route = next(r for r in s.routes if r.path is Path.TRIAGE)
    task = Draft(
        action="review",
        targets=(),
        undo="Nothing to undo: it is a task for a person.",
        never=f"A person must look at it: {route.reason}",
    )
    return (task,)
