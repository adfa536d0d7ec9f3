"""Renders the facts of an incident as one HTML file that asks for nothing outside of itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from activities.report import markup
from activities.report.blast import blast_radius
from activities.report.facts import Facts
from activities.report.picture import columns, stacked

GENERATOR: Final = "Firebreak incident report"
"""Stands at the beginning of every file, so that one can be told from what somebody else wrote."""


def render_html(facts: Facts) -> str:
    """The report as HTML: no script, nothing loaded, style and picture within. The same facts give the same bytes."""
    layers = blast_radius(facts)
    return _template().render(
        vars(facts), generator=markup.own(GENERATOR), wide=columns(layers), narrow=stacked(layers)
    )


def is_report(beginning: bytes) -> bool:
    """Whether a file that begins so is a report in HTML."""
    return f'<meta name="generator" content="{GENERATOR}">'.encode() in beginning


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("html")),
        autoescape=True,
        finalize=markup.finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = (markup.listed, markup.outside, markup.own, markup.plain, markup.prose, markup.words)
    environment.filters |= {f.__name__: f for f in names}
    return environment.get_template("page.html.j2")
