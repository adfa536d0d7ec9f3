"""The report of an incident, in Markdown and in HTML: what happened, what was done, what it rests on, what is left."""

from activities.report.activity import Reporting
from activities.report.render import render_report

__all__ = ["Reporting", "render_report"]
