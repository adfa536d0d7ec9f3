"""Renders the report: a pure function of the view, the finding, the assessment and the entries of the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from activities.report.escape import Own, code, finalize, listed
from activities.report.known import KnownContainer
from activities.report.paragraph import first_paragraph, undecided
from activities.report.summary import next_steps, other_targets, timeline
from contracts.activities import Assessment
from contracts.incidents import IncidentView
from evidence.entry import Entry
from findings.model import Finding

MOST_ROWS: Final = 500
"""Of a table. Manifests hold everything; a report is read by people."""
MOST_PREVIEWS: Final = 30


def render_report(
    view: IncidentView,
    finding: Finding,
    assessment: Assessment | None,
    entries: Sequence[Entry],
    known: Sequence[KnownContainer] = (),
) -> str:
    """The report in Markdown.

    It rests on its arguments alone, without a clock, so that the same incident renders to the same bytes.

    Args:
        view: The incident as `firebreak show` prints it.
        finding: The finding that started it.
        assessment: What the plan rests on; None when it is not at hand.
        entries: The sealed entries of the evidence; those of reports are left out.
        known: Containers as they were collected.
    """
    kept = [e for e in entries if e.kind != "report"]
    sealed = [e for e in kept if e.collected]
    return _template().render(
        view=view,
        finding=finding,
        assessment=assessment,
        plan=view.plan,
        step_states={s.step: s for s in view.steps},
        paragraph=first_paragraph(view, finding),
        timeline=timeline(view, finding, kept),
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
        undone=frozenset(view.undone),
        most=MOST_ROWS,
    )


@cache
def _template() -> Template:
    # Autoescape is for HTML. Here `finalize` does for Markdown what it would do: nothing passes by itself.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701  # See above.
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "listed": listed, "own": Own}
    return environment.get_template("report.md.j2")
