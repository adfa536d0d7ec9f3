"""The report of an incident in Markdown: what happened, what was done, what it rests on, and what is left to do."""

from activities.report.activity import Reporting
from activities.report.render import render_report

__all__ = ["Reporting", "render_report"]
