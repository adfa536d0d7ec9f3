"""What `report` does: the stored report of an incident that is over, else one made now and stored nowhere."""

from __future__ import annotations

import asyncio
import hashlib

from pydantic import JsonValue

from activities.report.facts import Facts, gather
from activities.report.known import read_known
from activities.report.page import is_report, render_html
from activities.report.render import render_markdown
from cli.custody import Custody, find_custody
from cli.ending import Code
from cli.files import check_target, write_file
from cli.output import Output
from cli.recorded import read_record
from cli.text import clean, clean_lines
from contracts.incidents import IncidentView
from errors import InputError, TargetGone
from evidence.entry import checked
from evidence.read import find_entry, list_entries
from evidence.store import read_bytes

_LONGEST = 4 << 20
_HTML = "--html"


async def print_report(text: str, output: Output) -> Code:
    """Print the report of an incident."""
    custody, view = await _find(text, output)
    key = _full_key(custody, view)
    if key:
        raw = await asyncio.to_thread(read_bytes, custody.store, key)
        markdown, where = raw.decode("utf-8", "replace"), f"{custody.store.location}/{key}"
    else:
        markdown, where = render_markdown(await _facts(custody, view)), None
    output.result({**_document(custody, where), "markdown": markdown, "html": None})
    output.line(clean_lines(markdown, _LONGEST))
    output.say(where or _made_now(custody))
    return Code.DONE


async def write_page(text: str, file: str, output: Output) -> Code:
    """Write the report of an incident as HTML into a file, or to stdout.

    Raises:
        InputError: The file cannot be written.
        EvidenceError: What is stored is not what was sealed.
    """
    if file == "-" and output.json:
        raise InputError(_HTML, "a file, because with --json stdout has the document", file)
    if file != "-":
        check_target(_HTML, file, is_report)
    custody, view = await _find(text, output)
    page = await asyncio.to_thread(_stored_page, custody, view)
    where = f"{custody.store.location}/{_page_key(custody, view)}" if page is not None else None
    if page is None:
        page = render_html(await _facts(custody, view)).encode("utf-8", "replace")
    if file == "-":
        output.raw(page)
    else:
        path, sha256 = write_file(_HTML, file, page, is_report), hashlib.sha256(page).hexdigest()
        written: dict[str, JsonValue] = {"path": str(path), "sha256": sha256, "size": len(page)}
        output.result({**_document(custody, where), "markdown": None, "html": written})
        output.line(f"wrote {clean(path)}: {len(page)} bytes, sha256 {sha256}", "bold green")
    output.say(f"a copy of {where}" if where else _made_now(custody))
    return Code.DONE


async def _find(text: str, output: Output) -> tuple[Custody, IncidentView]:
    custody = await find_custody(text, output)
    if custody.reading.view is None:
        raise TargetGone(f"no report: {custody.reading.note}")
    return custody, custody.reading.view


def _made_now(custody: Custody) -> str:
    why = "the incident writes its report when it ends" if custody.reading.open else "the evidence has no such report"
    return f"made just now and stored nowhere: {why}"


def _document(custody: Custody, where: str | None) -> dict[str, JsonValue]:
    return {"incident": custody.reading.brief.incident, "draft": where is None, "key": where}


def _full_key(custody: Custody, view: IncidentView) -> str:
    if not view.report_key or view.report_key.startswith(f"{custody.prefix}/"):
        return view.report_key
    return f"{custody.prefix}/{view.report_key}"


def _page_key(custody: Custody, view: IncidentView) -> str:
    """The HTML stands beside the Markdown, under the same number."""
    return _full_key(custody, view).removesuffix(".md") + ".html"


def _stored_page(custody: Custody, view: IncidentView) -> bytes | None:
    """The page as it was sealed; None when the incident has none yet, or was over before there were any.

    A browser does with a page what stands in it, so one that does not have its recorded hash is not handed on.
    """
    if not view.report_key:
        return None
    key = _page_key(custody, view)
    try:
        entry = find_entry(custody.store, custody.prefix, key.removeprefix(f"{custody.prefix}/"))
    except TargetGone:
        return None
    return b"".join(checked(custody.store.get(key), entry.key, entry.sha256))


async def _facts(custody: Custody, view: IncidentView) -> Facts:
    record = await read_record(custody.client, custody.described)
    if record.start is None:
        raise TargetGone("no report: the incident's history does not say what it began with")
    entries = await asyncio.to_thread(lambda: list(list_entries(custody.store, custody.prefix)))
    known = await asyncio.to_thread(read_known, custody.store, custody.prefix, entries)
    return gather(view, record.start.finding, record.assessment, entries, known)
