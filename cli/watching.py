"""Following incidents: `watch`, and `start --wait`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from pydantic import JsonValue
from rich.console import ConsoleDimensions
from temporalio.client import Client

from cli.collection import running_words
from cli.connect import connect
from cli.ending import Code
from cli.ids import resolve
from cli.live_screen import live_screen
from cli.output import Output
from cli.paused import PauseReader, pause_banner
from cli.reading import Reading, read_incident, refresh
from cli.screen import incident_screen, state_line
from cli.step_screen import open_tasks
from cli.text import clean, counted
from cli.view import incident_document
from contracts.incidents import IncidentView
from contracts.states import GateState, IncidentState, StepState

Goal = Callable[[Reading], bool]

_INTERVAL = 0.5
"""Seconds between two looks. A workflow tells nobody that its state changed; a query leaves no trace in its history."""
_OVER = {
    IncidentState.REMEDIATED: Code.DONE,
    IncidentState.RELEASED: Code.DONE,
    IncidentState.PLAN_ONLY: Code.DONE,
    IncidentState.DENIED: Code.REFUSED,
    IncidentState.FAILED: Code.FAILED,
}


async def watch_incident(text: str, output: Output) -> Code:
    """Print an incident whenever it changed, until it closes."""
    client = await connect(output)
    described = await resolve(client, text)
    seen: tuple[JsonValue, ConsoleDimensions] | None = None
    first = await read_incident(client, described)
    reading = first
    with output.live(output.out) as region, PauseReader() as pause:
        if first.open:
            # A pause that holds already belongs to the first picture.
            await asyncio.to_thread(pause.wait)
        async for reading in _follow(client, first, pause):
            document, size = incident_document(reading), output.out.size
            if (document, size) == seen:
                continue
            seen = document, size
            if output.json:
                output.document(document)
            elif region is not None:
                region.update(live_screen(reading, size.width, size.height), refresh=True)
            else:
                output.line(progress_line(reading))
    # What was drawn live is gone; the end stays on the screen.
    output.show(incident_screen(reading))
    return Code.DONE


async def wait_until_over(
    client: Client, incident: str, output: Output, deadline: float | None, *, stop: Goal | None = None
) -> tuple[Reading, Code]:
    """Follow an incident until it is over or the deadline has passed.

    It is over when its workflow closed, when it was denied or failed (the workflow then stays open, because it holds
    its targets), or when every gate that it waits at has expired.

    Args:
        client: Of Temporal.
        incident: The workflow id.
        output: For progress.
        deadline: On the clock of `time.monotonic`; None waits as long as it takes.
        stop: Ends the wait too.

    Returns:
        The last reading and the exit code that it means.
    """

    def done(reading: Reading) -> bool:
        late = deadline is not None and time.monotonic() >= deadline
        return late or over(reading) is not None or (stop is not None and stop(reading))

    reading = await follow_until(client, incident, output, done)
    code = over(reading)
    if code is not None:
        return reading, code
    return reading, _too_late(reading, output) if deadline is not None else Code.DONE


async def follow_until(client: Client, incident: str, output: Output, goal: Goal) -> Reading:
    """Follow an incident, saying where it stands, until a condition holds or the workflow has closed."""
    said = ""
    first = await refresh(client, incident)
    reading = first
    with PauseReader() as pause:
        async for reading in _follow(client, first, pause):
            line = progress_line(reading)
            if line != said:
                output.say(f"{clean(reading.brief.finding_id, 40)}  {line}", style="")
                said = line
            if goal(reading):
                break
    return reading


def over(reading: Reading) -> Code | None:
    """The exit code of an incident that is over, or None while it goes on."""
    view = reading.view
    if view is None:
        # Without an answer only a closed workflow is known to be over, and one without a result did not end well.
        return None if reading.open else Code.FAILED
    if not reading.open or view.state in (IncidentState.DENIED, IncidentState.FAILED):
        return _OVER.get(view.state, Code.FAILED)
    if view.state is IncidentState.AWAITING_APPROVAL and not waiting(view):
        return Code.REFUSED
    return None


def waiting(view: IncidentView) -> tuple[str, ...]:
    """The gates that wait for a decision."""
    return tuple(g.gate.value for g in view.gates if g.state is GateState.WAITING)


def progress_line(reading: Reading) -> str:
    """Where an incident stands, in one line."""
    view = reading.view
    held = f"  {pause_banner(reading.held)}" if reading.held else ""
    if view is None:
        return f"{reading.brief.state or reading.brief.status}: {reading.note}{held}"
    line = state_line(view).plain
    running = [s.step for s in view.steps if s.state is StepState.RUNNING]
    if running:
        line += f"  running {', '.join(running_words(reading.collections, s) for s in running)}"
    if waiting(view):
        line += f"  waits at {', '.join(waiting(view))}"
    if _only_tasks(view):
        line += f"  waits for {counted(len(open_tasks(view)), 'task')} of people"
    return line + held if reading.open else f"{line}  closed"


def _too_late(reading: Reading, output: Output) -> Code:
    view = reading.view
    if view is not None and waiting(view):
        output.say(f"the time is over; it waits for approval at {', '.join(waiting(view))}", style="yellow")
        return Code.WAITING
    if view is not None and _only_tasks(view):
        output.say(f"the time is over; {counted(len(open_tasks(view)), 'task')} of people left", style="yellow")
        return Code.WAITING
    output.say("the time is over and the incident goes on; `firebreak watch` follows it", style="yellow")
    return Code.FAILED


def _only_tasks(view: IncidentView) -> bool:
    """Whether nothing is left but what people have to do."""
    over = all(s.state in (StepState.DONE, StepState.SKIPPED) for s in view.steps)
    return over and bool(open_tasks(view))


async def _follow(client: Client, reading: Reading, pause: PauseReader) -> AsyncIterator[Reading]:
    """Readings until the workflow closes; the last one is of the closed workflow."""
    yield pause.seen(reading)
    while reading.open:
        await asyncio.sleep(_INTERVAL)
        reading = await refresh(client, reading.brief.incident)
        yield pause.seen(reading)
