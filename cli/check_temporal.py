"""The checks of `doctor` that ask the Temporal server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from cli.checks import Check, fail, ok, skip, warn
from cli.connect import connect
from cli.output import Output
from cli.text import clean, counted, duration
from contracts.names import CLUSTER, FINDING_ID, FINDING_TYPE, GATE, HOT_QUEUE, SEVERITY, SLOW_QUEUE, STATE
from errors import FirebreakError

_RPC_TIMEOUT = timedelta(seconds=10)
_SHORT_RETENTION = timedelta(days=30)
_RECENT = timedelta(minutes=2)
"""A poll lasts a minute, so a worker that lives was seen more recently than this."""
_MOST = 5

ATTRIBUTES = {
    FINDING_ID.name: ("Keyword", IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    FINDING_TYPE.name: ("Keyword", IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    CLUSTER.name: ("Keyword", IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    STATE.name: ("Keyword", IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    GATE.name: ("KeywordList", IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST),
    SEVERITY.name: ("Double", IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE),
}
_QUEUES = (
    (HOT_QUEUE, "workflows", TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
    (HOT_QUEUE, "containment", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    (SLOW_QUEUE, "collection and rollouts", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
)


async def check_temporal(output: Output) -> list[Check]:
    """Everything about the server and the workers on it."""
    try:
        client = await connect(output)
    except FirebreakError as error:
        down = fail("temporal", error.message, "start the embedded stack with `firebreak up`, or set TEMPORAL_ADDRESS")
        others = ("search-attributes", "retention", "workers", "stuck-incidents")
        return [down, *(skip(name, "Temporal does not answer") for name in others)]
    config = client.service_client.config
    return [
        ok("temporal", f"{config.target_host}, namespace {client.namespace}"),
        await _guarded("search-attributes", client, _search_attributes),
        await _guarded("retention", client, _retention),
        await _guarded("workers", client, check_workers),
        await _guarded("stuck-incidents", client, _stuck),
    ]


async def _guarded(name: str, client: Client, check: Callable[[Client], Awaitable[Check]]) -> Check:
    try:
        return await check(client)
    except RPCError as error:
        fix = "let this identity read the namespace, or ask whoever runs Temporal"
        return warn(name, f"Temporal answered {error.status.name}: {clean(error.message, 200)}", fix)


async def _search_attributes(client: Client) -> Check:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    found = (await client.operator_service.list_search_attributes(request, timeout=_RPC_TIMEOUT)).custom_attributes
    missing = [name for name in ATTRIBUTES if name not in found]
    wrong = [name for name, (_, kind) in ATTRIBUTES.items() if name in found and found[name] != kind]
    if wrong:
        kinds = ", ".join(f"{name} as {ATTRIBUTES[name][0]}" for name in wrong)
        return fail("search-attributes", f"of another type: {', '.join(wrong)}", f"register {kinds} elsewhere")
    if missing:
        options = " ".join(f"--name {name} --type {ATTRIBUTES[name][0]}" for name in missing)
        fix = f"temporal operator search-attribute create --namespace {client.namespace} {options}"
        return fail("search-attributes", f"not registered: {', '.join(missing)}; no incident can start", fix)
    return ok("search-attributes", f"all {len(ATTRIBUTES)} are registered")


async def _retention(client: Client) -> Check:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    answer = await client.workflow_service.describe_namespace(request, timeout=_RPC_TIMEOUT)
    kept = answer.config.workflow_execution_retention_ttl.ToTimedelta()
    if kept < _SHORT_RETENTION:
        fix = f"temporal operator namespace update --namespace {client.namespace} --retention 90d"
        text = f"closed incidents are forgotten after {duration(kept)}; a repeat after that begins anew"
        return warn("retention", text, fix)
    return ok("retention", f"closed incidents are kept for {duration(kept)}")


async def check_workers(client: Client) -> Check:
    """Whether a worker polls every queue."""
    polling = await pollers(client)
    idle = [f"{queue} ({work})" for (queue, work, _), alive in zip(_QUEUES, polling, strict=True) if not alive]
    if idle:
        fix = "start one with `firebreak worker`, or look at why the deployment's pods do not run"
        return fail("workers", f"no worker polls {', '.join(idle)}", fix)
    return ok("workers", f"{counted(len(set().union(*polling)), 'worker')} on both queues")


async def pollers(client: Client) -> list[set[str]]:
    """Who polled lately, by identity (`pid@host`): workflows, containment, and what is slow."""
    found = []
    for queue, _, kind in _QUEUES:
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )
        answer = await client.workflow_service.describe_task_queue(request, timeout=_RPC_TIMEOUT)
        since = datetime.now(UTC) - _RECENT
        found.append({p.identity for p in answer.pollers if p.last_access_time.ToDatetime(tzinfo=UTC) > since})
    return found


async def _stuck(client: Client) -> Check:
    query = "ExecutionStatus = 'Running' AND TemporalReportedProblems IS NOT NULL"
    found = [e.id async for e in client.list_workflows(query, limit=_MOST + 1, rpc_timeout=_RPC_TIMEOUT)]
    if found:
        names = ", ".join(clean(i, 200) for i in found[:_MOST]) + (" and more" if len(found) > _MOST else "")
        fix = "look at the failed workflow task in the Temporal UI; a worker of the right version resolves it"
        return fail("stuck-incidents", f"workflow tasks fail again and again: {names}", fix)
    return ok("stuck-incidents", "no workflow reports problems")


__all__ = ["ATTRIBUTES", "check_temporal", "pollers"]
