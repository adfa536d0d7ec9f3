"""What `report` does: the stored report of an incident that is over, else one made now and stored nowhere."""

from __future__ import annotations

import asyncio

from pydantic import JsonValue

from activities.report.render import render_report
from cli.custody import Custody, find_custody
from cli.ending import Code
from cli.output import Output
from cli.recorded import read_record
from cli.text import clean_lines
from contracts.incidents import IncidentView
from errors import TargetGone
from evidence.read import list_entries
from evidence.store import read_bytes

_LONGEST = 4 << 20


async def print_report(text: str, output: Output) -> Code:
    """Print the report of an incident."""
    custody = await find_custody(text, output)
    view = custody.reading.view
    if view is None:
        raise TargetGone(f"no report: {custody.reading.note}")
    key = _full_key(custody, view)
    if key:
        raw = await asyncio.to_thread(read_bytes, custody.store, key)
        markdown, where = raw.decode("utf-8", "replace"), f"{custody.store.location}/{key}"
    else:
        markdown, where = await _draft(custody, view), None
    document: dict[str, JsonValue] = {
        "incident": custody.reading.brief.incident,
        "draft": where is None,
        "key": where,
        "markdown": markdown,
    }
    output.result(document)
    output.line(clean_lines(markdown, _LONGEST))
    output.say(where or "made just now and stored nowhere: the incident writes its report when it ends")
    return Code.DONE


def _full_key(custody: Custody, view: IncidentView) -> str:
    if not view.report_key or view.report_key.startswith(f"{custody.prefix}/"):
        return view.report_key
    return f"{custody.prefix}/{view.report_key}"


async def _draft(custody: Custody, view: IncidentView) -> str:
    record = await read_record(custody.client, custody.described)
    if record.start is None:
        raise TargetGone("no report: the incident's history does not say what it began with")
    entries = await asyncio.to_thread(lambda: list(list_entries(custody.store, custody.prefix)))
    return render_report(view, record.start.finding, record.assessment, entries)
