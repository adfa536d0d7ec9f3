"""The demo's last proof: the evidence verified, and a copy of it that outlives the stack."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from cli.custody import open_location
from cli.demo.stage import DemoError
from cli.text import counted
from contracts.common import IncidentKey
from contracts.incidents import IncidentView
from errors import EvidenceError
from evidence.read import fetch_all
from evidence.verify import verify


class Tell(Protocol):
    """Prints one line."""

    def __call__(self, text: str, style: str = "") -> None:
        """Print it."""
        ...


def keep_evidence(view: IncidentView, folder: Path, tell: Tell) -> Path:
    """Verify the evidence of an incident that is over and copy it.

    Returns:
        The path of the report in Markdown, below the folder; the one in HTML stands beside it.

    Raises:
        EvidenceError: It does not hold.
        DemoError: The incident ended without a report.
    """
    store = open_location(view.evidence.store)
    prefix = IncidentKey(workflow_id=view.incident, run_id=view.run_id).evidence_prefix
    found = verify(store, prefix, view.evidence.manifest_sha256, view.evidence.manifests)
    if not found.ok or not found.manifests:
        raise EvidenceError(f"the evidence does not hold: {found.problems[:3]}")
    copied = [key for key, problem in fetch_all(store, prefix, folder) if not problem]
    what = f"{counted(found.artefacts, 'artefact')} in {counted(found.manifests, 'manifest')}"
    tell(f"evidence: {what}, every hash computed again and verified", "bold green")
    tell(f"copied {counted(len(copied), 'file')} to {folder / prefix}")
    if not view.report_key:
        raise DemoError("the incident ended without a report")
    key = view.report_key if view.report_key.startswith(prefix) else f"{prefix}/{view.report_key}"
    report = folder / "report.md"
    shutil.copyfile(folder / key, report)
    page = report.with_suffix(".html")
    shutil.copyfile((folder / key).with_suffix(".html"), page)
    tell(f"the report for a browser: {page}", "bold")
    return report
