"""What `list` and `show` do."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from cli.connect import connect
from cli.ending import Code
from cli.ids import resolve
from cli.output import Output
from cli.paused import PauseReader
from cli.reading import Brief, read_incident
from cli.screen import brief_lines, incident_screen
from cli.view import brief_document, incident_document
from contracts.names import WorkflowName

_RPC_TIMEOUT = timedelta(seconds=10)
_OPEN = " AND ExecutionStatus = 'Running'"


async def list_incidents(output: Output, *, closed: bool, limit: int) -> Code:
    """Print the incidents, the newest first, from search attributes alone."""
    client = await connect(output)
    query = f"WorkflowType = '{WorkflowName.REMEDIATE_FINDING.value}'" + ("" if closed else _OPEN)
    # Temporal lists the newest first; one more than asked for tells whether there are more.
    executions = client.list_workflows(query, limit=limit + 1, rpc_timeout=_RPC_TIMEOUT)
    briefs = [Brief.of(execution) async for execution in executions]
    more = len(briefs) > limit
    shown = briefs[:limit]
    if output.json:
        output.document({"incidents": [brief_document(brief) for brief in shown], "more": more})
    elif shown:
        output.show(brief_lines(shown))
    else:
        output.line("No incidents." if closed else "No open incidents; --all shows the closed ones.")
    if more:
        output.say(f"only the newest {limit} are shown; --limit shows more")
    return Code.DONE


async def show_incident(text: str, output: Output) -> Code:
    """Print one incident."""
    client = await connect(output)
    with PauseReader(once=True) as pause:
        reading = await read_incident(client, await resolve(client, text))
        if reading.open:
            await asyncio.to_thread(pause.wait)
        reading = pause.seen(reading)
    output.result(incident_document(reading), incident_screen(reading))
    return Code.DONE
