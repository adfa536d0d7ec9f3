"""From what a person types to the one incident that it means.

A workflow id is looked up directly. A finding id, or its beginning, is searched by search attribute; that index lags a
moment behind, so a whole finding id is also tried directly where the settings name the account and region.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from cli.text import clean
from contracts.names import FINDING_ID, WorkflowName, incident_id
from errors import InputError
from settings import load_settings

_PREFIXES = ("gd/", "manual/")
_FINDING_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,299}")
_EXPECTED = "a workflow id (gd/…), a finding id or its first characters"
_RPC_TIMEOUT = timedelta(seconds=10)
_MOST_CANDIDATES = 20
_SEARCHES, _PAUSE = 4, 0.4
"""The index of a busy server lags by about a second; an incident started just now should be found."""


async def resolve(client: Client, text: str) -> WorkflowExecutionDescription:
    """The latest run of the incident that `text` means.

    Raises:
        InputError: It means no incident, or several; the error lists up to twenty of them.
    """
    given = text.strip()
    if given.startswith(_PREFIXES):
        found = await describe(client, given)
        if found is None:
            raise InputError("ID", "an incident that exists; `firebreak list` shows them", clean(given, 200))
        if found.workflow_type != WorkflowName.REMEDIATE_FINDING.value:
            parent = found.parent_id or "its incident"
            raise InputError("ID", f"an incident, such as {clean(parent, 400)}", f"a {clean(found.workflow_type, 60)}")
        return found
    if not _FINDING_ID.fullmatch(given):
        raise InputError("ID", _EXPECTED, clean(given, 100) or "nothing")
    return await _by_account(client, given) or await _by_search(client, given)


async def _by_account(client: Client, finding_id: str) -> WorkflowExecutionDescription | None:
    settings = load_settings()
    if not settings.account or not settings.region:
        return None
    return await describe(client, incident_id(settings.account, settings.region, finding_id))


async def _by_search(client: Client, prefix: str) -> WorkflowExecutionDescription:
    for attempt in range(_SEARCHES):
        if attempt:
            # An eventually consistent index has no event to wait for.
            await asyncio.sleep(_PAUSE)
        ids = await _search(client, prefix)
        if len(ids) > 1:
            listed = ", ".join(clean(i, 400) for i in ids[:_MOST_CANDIDATES])
            more = " and more" if len(ids) > _MOST_CANDIDATES else ""
            raise InputError("ID", "an id that only one incident has", f"{len(ids)} of them: {listed}{more}")
        if ids and (found := await describe(client, ids[0])) is not None:
            return found
    raise InputError("ID", f"{_EXPECTED} of an incident; `firebreak list` shows them", clean(prefix, 200))


async def _search(client: Client, prefix: str) -> list[str]:
    """Workflow ids of the incidents whose finding id is, else begins with, the text; it holds no quotes."""
    kind = f"WorkflowType = '{WorkflowName.REMEDIATE_FINDING.value}'"
    for condition in (f"{FINDING_ID.name} = '{prefix}'", f"{FINDING_ID.name} STARTS_WITH '{prefix}'"):
        ids: dict[str, None] = {}
        async for execution in client.list_workflows(f"{kind} AND {condition}", rpc_timeout=_RPC_TIMEOUT):
            ids[execution.id] = None
            if len(ids) > _MOST_CANDIDATES:
                break
        if ids:
            return list(ids)
    return []


async def describe(client: Client, workflow_id: str) -> WorkflowExecutionDescription | None:
    """The latest run of a workflow, or None where there is none."""
    try:
        return await client.get_workflow_handle(workflow_id).describe(rpc_timeout=_RPC_TIMEOUT)
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            return None
        raise
