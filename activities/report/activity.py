"""The activity `write_report`: the report into the evidence, in both of its forms, each sealed like every artefact."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError
from temporalio import activity

from activities.custody import activity_name, evidence_state
from activities.doors import Doors
from activities.report.facts import gather
from activities.report.known import read_known
from activities.report.page import render_html
from activities.report.render import render_markdown
from contracts.activities import ReportRequest, ReportResult
from contracts.incidents import IncidentView
from contracts.names import ActivityName
from errors import Conflict, EvidenceError, InputError
from evidence.entry import Entry
from evidence.manifest import seal
from evidence.read import list_entries
from evidence.store import EvidenceStore, Stored

_MOST_REPORTS: Final = 1_000
_OWN: Final = f"{ActivityName.WRITE_REPORT}/"


class Reporting:
    """Writes reports.

    Args:
        doors: The evidence store, and the worker's identity.
    """

    def __init__(self, doors: Doors) -> None:
        self._store = doors.store
        self._worker = doors.temporal.identity

    @activity.defn(name=ActivityName.WRITE_REPORT, no_thread_cancel_exception=True)
    def write_report(self, request: ReportRequest) -> ReportResult:
        """Render the report, store both of its forms under the next free number, and seal them.

        The same incident in the same state renders to the same bytes, so a repetition finds its own report and adds
        neither a second one nor a second manifest.

        Raises:
            InputError: The view is not that of an incident.
            EvidenceError: The evidence could not be read or written.
        """
        try:
            view = IncidentView.model_validate_json(request.view_json)
        except ValidationError as error:
            raise InputError("view_json", "the view of an incident", str(error.errors()[0]["loc"])) from None
        prefix = request.incident.evidence_prefix
        # What an attempt before this one has sealed does not count: a repetition must render and ask the very same.
        entries = [e for e in list_entries(self._store, prefix) if not e.activity.startswith(_OWN)]
        known = read_known(self._store, prefix, entries)
        facts = gather(view, request.finding, request.assessment, entries, known)
        forms = (render_markdown(facts).encode("utf-8", "replace"), render_html(facts).encode("utf-8", "replace"))
        markdown, page = store_report(self._store, prefix, *forms)
        sealed = [
            *self._targets(request, prefix, entries),
            self._entry(markdown, prefix, "report", "the incident's view"),
            self._entry(page, prefix, "report-html", "the incident's view"),
        ]
        head = seal(self._store, prefix, "report", (), sealed, sealed_by=self._worker)
        return ReportResult(
            key=markdown.key,
            sha256=markdown.sha256,
            evidence=evidence_state(self._store, head),
            html_key=page.key,
            html_sha256=page.sha256,
        )

    def _targets(self, request: ReportRequest, prefix: str, entries: list[Entry]) -> list[Entry]:
        """The list of targets, when it stands in the store and no phase has sealed it: nothing was carried out."""
        listed = request.assessment.pods.reference
        if listed is None or not listed.key.startswith(f"{prefix}/"):
            return []
        if any(e.kind == "targets" and e.sha256 == listed.sha256 for e in entries):
            return []
        return [self._entry(Stored(listed.key, listed.sha256, listed.size), prefix, "targets", "the plan")]

    def _entry(self, stored: Stored, prefix: str, kind: str, source: str) -> Entry:
        return Entry(
            key=stored.key.removeprefix(f"{prefix}/"),
            sha256=stored.sha256,
            size=stored.size,
            kind=kind,
            source=source,
            collected_at=datetime.now(UTC),
            activity=activity_name(),
            worker=self._worker,
        )


def store_report(store: EvidenceStore, prefix: str, markdown: bytes, page: bytes) -> tuple[Stored, Stored]:
    """Store both forms of a report under the first number that is free, or that holds the very same ones.

    The Markdown is stored first, so that where its number is taken nothing of the other is left under that number.

    Raises:
        EvidenceError: A thousand reports of one incident differ.
    """
    for number in range(1, _MOST_REPORTS + 1):
        name = f"{prefix}/report/{number:04d}"
        try:
            return store.create(f"{name}.md", markdown), store.create(f"{name}.html", page)
        except Conflict:
            continue
    raise EvidenceError(f"{prefix} has {_MOST_REPORTS} different reports already")
