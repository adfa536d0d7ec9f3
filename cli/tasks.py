"""What `task list` and `task done` do."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from pydantic import JsonValue
from rich.console import Group
from temporalio.client import Client

from cli.connect import connect
from cli.ending import Code
from cli.ids import resolve
from cli.output import Output
from cli.reading import Reading, read_incident, refresh
from cli.signature import checked_reason, signed
from cli.step_screen import open_tasks, task_lines
from cli.text import clean, counted
from cli.view import task_document
from contracts.incidents import IncidentView
from contracts.names import Handler
from contracts.steps import TaskDone, TaskView
from errors import InputError, Unavailable

_RPC_TIMEOUT = timedelta(seconds=10)
_PATIENCE, _INTERVAL = 10.0, 0.1


async def list_tasks(text: str, output: Output) -> Code:
    """Print the tasks of an incident, running or over."""
    client = await connect(output)
    reading = await read_incident(client, await resolve(client, text))
    view = reading.view
    if view is None:
        raise Unavailable(f"what people have to do is not known: {reading.note}")
    waiting = open_tasks(view)
    ordered = [*waiting, *(t for t in view.tasks if t.done)]
    document: dict[str, JsonValue] = {
        "incident": view.incident,
        "open": len(waiting),
        "tasks": [task_document(t) for t in ordered],
    }
    if view.tasks:
        output.result(document, Group(*task_lines(view, len(view.tasks))))
    else:
        output.result(document)
        output.line("No tasks." if view.plan is None or not reading.open else "No tasks so far.")
    return Code.DONE


async def finish_task(text: str, task: str, *, reason: str, by: str, output: Output) -> Code:
    """Tell an incident that a task is done, and wait until it has taken that in."""
    why = checked_reason(reason, "a sentence that says what was done; it stands in the record")
    client = await connect(output)
    reading = await read_incident(client, await resolve(client, text))
    message = TaskDone(task=task, by=signed(by), reason=why)
    if reading.view is not None:
        known = _task(reading.view, task)
        if known.done or not reading.open:
            said = f"it was done already by {known.by}" if known.done else "the incident is closed"
            return _print(reading, task, False, f"{said}; nothing is recorded", output)
    elif not reading.open:
        return _print(reading, task, False, "the incident is closed; nothing is recorded", output)
    handle = client.get_workflow_handle(reading.brief.incident, run_id=reading.brief.run_id)
    await handle.signal(Handler.TASK_DONE.value, message, rpc_timeout=_RPC_TIMEOUT)
    if reading.view is None:
        return _print(reading, task, None, "queued: no worker answered; the first one that runs takes it", output)
    return await _outcome(client, reading, message, output)


async def _outcome(client: Client, reading: Reading, message: TaskDone, output: Output) -> Code:
    """What the incident made of it: a signal has no answer, so the incident is read again."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        reading = await refresh(client, reading.brief.incident)
        found = _task(reading.view, message.task) if reading.view is not None else None
        if found is not None and found.done:
            mine = (found.by, found.reason) == (message.by, message.reason)
            if not mine:
                return _print(reading, message.task, False, f"it was done already by {found.by}", output)
            left = len(open_tasks(reading.view)) if reading.view is not None else 0
            rest = f"{counted(left, 'task')} left" if left else "none is left"
            return _print(reading, message.task, True, f"done; {rest}", output)
        if not reading.open:
            return _print(reading, message.task, False, "the incident closed in the meantime", output)
        await asyncio.sleep(_INTERVAL)
    return _print(reading, message.task, None, "queued: the incident has not taken it in yet", output)


def _task(view: IncidentView, task: str) -> TaskView:
    found = next((t for t in view.tasks if t.task.id == task), None)
    if found is None:
        has = ", ".join(t.task.id for t in open_tasks(view)[:20]) or "none"
        raise InputError("TASK", f"a task of this incident; open are {has}", clean(task, 100))
    return found


def _print(reading: Reading, task: str, accepted: bool | None, message: str, output: Output) -> Code:
    view = reading.view
    document: dict[str, JsonValue] = {
        "incident": reading.brief.incident,
        "task": task,
        "accepted": accepted,
        "queued": accepted is None,
        "message": clean(message, 500),
        "open": len(open_tasks(view)) if view is not None else None,
        "state": view.state.value if view is not None else None,
    }
    output.result(document)
    style = {True: "bold green", False: "bold red", None: "bold yellow"}[accepted]
    output.line(f"{clean(task, 100)}: {clean(message, 500)}", style)
    return Code.FAILED if accepted is False else Code.DONE
