"""What the commands `evidence` do, and where the evidence of an incident is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from temporalio.client import Client, WorkflowExecutionDescription

from cli.connect import connect
from cli.ending import Code
from cli.ids import resolve
from cli.output import Output
from cli.reading import Reading, read_incident
from cli.text import clean, counted
from contracts.common import IncidentKey
from errors import InputError, TargetGone
from evidence.entry import Entry
from evidence.read import fetch, fetch_all, list_entries
from evidence.store import EvidenceStore, open_store
from evidence.verify import verify
from settings import load_settings


@dataclass(frozen=True)
class Custody:
    """Where the evidence of one incident is."""

    client: Client
    described: WorkflowExecutionDescription
    reading: Reading
    store: EvidenceStore
    prefix: str


async def find_custody(text: str, output: Output) -> Custody:
    """The incident's evidence: in the store that the incident names, else in the one of the settings."""
    client = await connect(output)
    described = await resolve(client, text)
    reading = await read_incident(client, described)
    first_run = described.raw_info.first_run_id or described.run_id
    key = IncidentKey(workflow_id=described.id, run_id=(reading.view.run_id if reading.view else "") or first_run)
    location = reading.view.evidence.store if reading.view else ""
    return Custody(client, described, reading, open_location(location or load_settings().evidence), key.evidence_prefix)


def open_location(location: str) -> EvidenceStore:
    """The store at a location, with a client of S3 where it needs one."""
    if not location.startswith("s3://"):
        return open_store(location)
    # The SDK of AWS takes half a second to import; a local folder needs none of it.
    from clients.aws import Aws

    return open_store(location, Aws(region=load_settings().region).s3)


async def list_evidence(text: str, output: Output) -> Code:
    """Print every entry in the order in which it was sealed."""
    custody = await find_custody(text, output)
    entries = await asyncio.to_thread(lambda: list(list_entries(custody.store, custody.prefix)))
    documents: list[JsonValue] = [_entry(entry) for entry in entries]
    place: dict[str, JsonValue] = {"store": custody.store.location, "prefix": custody.prefix}
    output.result({"incident": custody.reading.brief.incident, **place, "entries": documents})
    for entry in entries:
        _tell(entry, output)
    output.line(f"{counted(len(entries), 'entry', 'entries')} in {custody.store.location}/{custody.prefix}", "dim")
    return Code.DONE


async def get_evidence(text: str, key: str, folder: str, output: Output) -> Code:
    """Copy one artefact or all of them."""
    custody = await find_custody(text, output)
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise InputError("--to", "a folder", clean(folder, 200))
    if key:
        try:
            copied = {key: str(await asyncio.to_thread(fetch, custody.store, custody.prefix, key, target))}
        except TargetGone:
            raise InputError("KEY", "an artefact that `firebreak evidence list` shows", clean(key, 200)) from None
        failed: dict[str, str] = {}
    else:
        output.say(f"copying from {custody.store.location}")
        everything = await asyncio.to_thread(lambda: list(fetch_all(custody.store, custody.prefix, target)))
        copied = {k: str(target / custody.prefix / k) for k, problem in everything if not problem}
        failed = {k: problem for k, problem in everything if problem}
    output.result({
        "incident": custody.reading.brief.incident,
        "folder": str(target / custody.prefix),
        "copied": [{"key": k, "path": path} for k, path in copied.items()],
        "failed": [{"key": k, "message": message} for k, message in failed.items()],
    })  # fmt: skip
    output.line(f"{counted(len(copied), 'file')} in {target / custody.prefix}", "bold green")
    for k, message in failed.items():
        output.line(f"not copied  {clean(k, 200)}: {clean(message, 300)}", "bold red")
    return Code.FAILED if failed else Code.DONE


async def verify_evidence(text: str, output: Output) -> Code:
    """Verify the chain; the head is the one that Temporal knows, where it can be read."""
    custody = await find_custody(text, output)
    view = custody.reading.view
    head, manifests = (view.evidence.manifest_sha256, view.evidence.manifests) if view else ("", 0)
    if view is None:
        output.say(f"{custody.reading.note}; so the head of the chain is not compared", style="yellow")
    found = await asyncio.to_thread(verify, custody.store, custody.prefix, head, manifests)
    empty = found.manifests == 0
    ok = found.ok and not empty
    problems: list[JsonValue] = [
        {"kind": p.kind.value, "key": p.key, "manifest": p.manifest, "entry": p.entry, "message": p.message}
        for p in found.problems
    ]
    output.result({
        "incident": custody.reading.brief.incident,
        "store": custody.store.location,
        "prefix": custody.prefix,
        "ok": ok,
        "manifests": found.manifests,
        "artefacts": found.artefacts,
        "bytes": found.bytes,
        "failed_collectors": found.failed_collectors,
        "manifest_sha256": found.head,
        "head_checked": found.head_checked,
        "problems": problems,
        "more": found.more,
    })  # fmt: skip
    if empty:
        output.line("no evidence has been sealed for this incident", "bold yellow")
    else:
        verdict = "verified: nothing was changed, removed or added" if ok else "NOT what was sealed"
        output.line(verdict, "bold green" if ok else "bold red")
        what = f"{counted(found.artefacts, 'artefact')}, {found.bytes} bytes, {counted(found.manifests, 'manifest')}"
        head_text = "compared with Temporal's" if found.head_checked else "not compared with Temporal's"
        output.line(f"  {what}; the head of the chain was {head_text}")
    for p in found.problems:
        output.line(f"  {p.kind.value}  {clean(p.key, 200)}: {clean(p.message, 300)}", "red")
    return Code.DONE if ok else Code.FAILED


def _entry(entry: Entry) -> JsonValue:
    return {
        "key": entry.key,
        "kind": entry.kind,
        "outcome": entry.outcome.value,
        "reason": entry.reason,
        "size": entry.size,
        "sha256": entry.sha256,
        "source": entry.source,
        "subject": entry.subject.model_dump(mode="json"),
        "collected_at": entry.collected_at.isoformat(),
    }


def _tell(entry: Entry, output: Output) -> None:
    """The key whole, because people copy it, and below it what it is."""
    subject = entry.subject
    about = f"{subject.kind} {subject.namespace + '/' if subject.namespace else ''}{subject.name}".strip()
    what = f"{entry.kind} of {about}" if about else entry.kind
    if entry.collected:
        output.line(clean(entry.key, 900), "bold")
        output.line(
            f"  {clean(what, 300)}, {counted(entry.size, 'byte')}" + (f"; {entry.reason}" if entry.reason else "")
        )
    else:
        output.line(f"not collected: {clean(what, 300)}: {clean(entry.reason, 300)}", "red")
