"""Renders the facts of an incident as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from activities.report.escape import Own, code, finalize, listed
from activities.report.facts import Facts, gather
from activities.report.known import KnownContainer
from contracts.activities import Assessment
from contracts.incidents import IncidentView
from evidence.entry import Entry
from findings.model import Finding


def render_report(
    view: IncidentView,
    finding: Finding,
    assessment: Assessment | None,
    entries: Sequence[Entry],
    known: Sequence[KnownContainer] = (),
) -> str:
    """The report of an incident in Markdown; `gather` says what the arguments are."""
    return render_markdown(gather(view, finding, assessment, entries, known))


def render_markdown(facts: Facts) -> str:
    """The report in Markdown. The same facts render to the same bytes."""
    return _template().render(vars(facts))


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
