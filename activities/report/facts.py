"""The facts of a report, gathered once: Markdown and HTML say the same, each in its own markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from activities.report.changed import Changed, changed, standing
from activities.report.known import KnownContainer
from activities.report.paragraph import Summary, is_over, summarize, undecided
from activities.report.summary import NextStep, next_steps, other_targets
from activities.report.timeline import Moment, timeline
from contracts.activities import Assessment
from contracts.incidents import GateView, IncidentView, StepStatus
from contracts.steps import TaskView
from evidence.entry import Entry
from findings.model import Finding
from plans.model import Plan, Target

MOST_ROWS: Final = 500
"""Of a table. Manifests hold everything; a report is read by people."""
MOST_PREVIEWS: Final = 30
REPORTS: Final = frozenset({"report", "report-html"})
"""Kinds of artefacts that are reports themselves."""


@dataclass(frozen=True)
class Facts:
    """What a report tells.

    Attributes:
        view: The incident as `firebreak show` prints it.
        finding: The finding that started it.
        assessment: What the plan rests on; None when it is not at hand.
        plan: The plan, when there is one.
        over: Whether the incident has ended.
        step_states: Where each step stands, by its name.
        summary: The beginning.
        timeline: What happened, in order.
        next_steps: Commands that go on from here.
        undecided: Gates behind which something has not been done.
        sealed: The entries of the evidence, without reports and without what could not be collected.
        records: How many of them are records of the changes.
        size: Of all of them, in bytes.
        failed: What could not be collected.
        known: Containers as they were collected.
        others: What the steps act on beside pods.
        previews: What the approvers of each step were shown.
        open_tasks: Tasks that nobody has done.
        undone: How many changes were undone.
        changes: The first changes; `more_changes` says how many there are beside them.
        most: So many rows of a table are shown.
    """

    view: IncidentView
    finding: Finding
    assessment: Assessment | None
    plan: Plan | None
    over: bool
    step_states: dict[str, StepStatus]
    summary: Summary
    timeline: tuple[Moment, ...]
    next_steps: list[NextStep]
    undecided: list[GateView]
    sealed: list[Entry]
    records: int
    size: int
    failed: list[Entry]
    known: Sequence[KnownContainer]
    others: list[Target]
    previews: list[tuple[str, tuple[str, ...]]]
    open_tasks: list[TaskView]
    undone: int
    changes: tuple[Changed, ...]
    more_changes: int
    most: int = MOST_ROWS


def gather(
    view: IncidentView,
    finding: Finding,
    assessment: Assessment | None,
    entries: Sequence[Entry],
    known: Sequence[KnownContainer] = (),
) -> Facts:
    """The facts. They rest on the arguments alone, without a clock: the same incident gives the same report.

    Args:
        view: The incident as `firebreak show` prints it.
        finding: The finding that started it.
        assessment: What the plan rests on; None when it is not at hand.
        entries: The sealed entries of the evidence; those of reports are left out.
        known: Containers as they were collected.
    """
    kept = [e for e in entries if e.kind not in REPORTS]
    sealed = [e for e in kept if e.collected]
    changes = changed(view, MOST_ROWS)
    return Facts(
        view=view,
        finding=finding,
        assessment=assessment,
        plan=view.plan,
        over=is_over(view),
        step_states={s.step: s for s in view.steps},
        summary=summarize(view, finding),
        timeline=timeline(view, finding, kept, changes),
        next_steps=next_steps(view),
        undecided=undecided(view),
        sealed=sealed,
        records=sum(e.kind == "changes" for e in sealed),
        size=sum(e.size for e in sealed),
        failed=[e for e in kept if not e.collected],
        known=known,
        others=other_targets(view),
        previews=[(s, said[:MOST_PREVIEWS]) for g in view.gates for s in g.steps if (said := view.previews.get(s))],
        open_tasks=[t for t in view.tasks if not t.done],
        undone=len(view.changes) - len(standing(view)),
        changes=changes,
        more_changes=len(view.changes) - len(changes),
    )
