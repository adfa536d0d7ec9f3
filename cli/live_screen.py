"""One incident while it is watched, within whatever the terminal has: what goes on, and what a person must do.

The terminal cannot be scrolled in what is redrawn, so nothing may be cut off: the commands that approve come first and
are wrapped so that a shell takes them as they stand; what is only good to know fills the lines that are left. `show`
has everything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.collection import Collection, bar_row, of_step
from cli.commands import approve_command
from cli.gate_screen import gate_line
from cli.paused import pause_banner
from cli.reading import Reading
from cli.screen import state_line
from cli.step_screen import compact_step_lines, open_tasks, step_lines
from cli.text import clean, counted
from contracts.incidents import GateView, IncidentView
from contracts.states import GateState

Line = Text | Table
"""Whatever takes one line of the screen."""

_INDENT = "  "
_ASKING = (GateState.WAITING, GateState.EXPIRED)


def live_screen(reading: Reading, width: int, height: int) -> RenderableType:
    """What `watch` draws: at most so many lines, none of them wider than that."""
    view = reading.view
    if view is None:
        brief = reading.brief
        lines = [Text(clean(brief.finding_type, 200), "bold"), *_pause(reading, width)]
        lines += [Text(f"State     {clean(brief.state or brief.status, 60)}"), *_wrapped(reading.note, width, "yellow")]
        return _drawn(lines, [], width, height)
    must = [*_head(view), *_pause(reading, width)]
    for gate in view.gates:
        must += _gate(view, gate, width)
    must += _tasks(view)
    steps = _steps(view, reading.collections, width)
    # Of several paths there are more steps than a small terminal has lines.
    if len(must) + len(steps) > _room(height):
        steps = [*compact_step_lines(view)]
        bars = [bar_row(c, width) for c in reading.collections]
    else:
        bars = []
    return _drawn([*must, *steps], [*bars, *_remarks(view, width)], width, height)


def wrapped_command(command: str, width: int) -> list[str]:
    """A command on as few lines as it needs, broken before its options, each but the last ending in a backslash."""
    first, *options = command.split(" --")
    lines = [first]
    for option in options:
        # Two more for the blank and the backslash.
        if len(_INDENT) + len(lines[-1]) + len(option) + 5 <= width:
            lines[-1] += f" --{option}"
        else:
            lines.append(f"  --{option}")
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _drawn(must: Sequence[Line], may: Sequence[Line], width: int, height: int) -> RenderableType:
    end = Text("Ctrl-C stops watching.", "dim")
    room = _room(height)
    lines = [*must][:room]
    lines += may[: max(0, room - len(lines))]
    for line in lines:
        if isinstance(line, Text):
            line.truncate(width, overflow="ellipsis")
    return Group(*lines, end)


def _room(height: int) -> int:
    """The lines above the last. One more stays free, because the cursor stands below what is drawn."""
    return max(1, height - 2)


def _head(view: IncidentView) -> list[Text]:
    title = Text(clean(view.finding_type, 200), style="bold").append(f"  severity {view.severity:g}")
    return [title, state_line(view)]


def _pause(reading: Reading, width: int) -> list[Text]:
    return _wrapped(pause_banner(reading.held), width, "bold yellow") if reading.held else []


def _gate(view: IncidentView, gate: GateView, width: int) -> list[Text]:
    if gate.state not in _ASKING:
        return [gate_line(gate)]
    command = (_INDENT + line for line in wrapped_command(approve_command(view, gate), width))
    # What is still too long is folded, because a command without its end is worse than an ugly one.
    folded = (line[i : i + width] for line in command for i in range(0, len(line), width))
    return [gate_line(gate), *(Text(line, "bold") for line in folded)]


def _tasks(view: IncidentView) -> list[Text]:
    waiting = open_tasks(view)
    if not waiting:
        return []
    line = f"{counted(len(waiting), 'task')} for people: firebreak task list {clean(view.finding_id, 60)}"
    return [Text(line, "bold yellow")]


def _steps(view: IncidentView, collections: Sequence[Collection], width: int) -> list[Line]:
    """One line a step, what became of it in full stands in `show`; below a collection that runs, how far it is."""
    rows: list[Line] = []
    for line in step_lines(view, {c.step: c.where for c in collections}):
        rows.append(line.split("\n")[0])
        # A step's line begins with its name.
        running = of_step(collections, next(iter(line.plain.split()), ""))
        rows += [bar_row(running, width)] if running is not None else []
    return rows


def _remarks(view: IncidentView, width: int) -> Iterator[Text]:
    for gate in view.gates:
        for step in gate.steps if gate.state in _ASKING else ():
            for sentence in view.previews.get(step, ())[:3]:
                yield from _wrapped(f"{step}: {sentence}", width, "magenta")
    for failure in view.failures[-5:]:
        yield from _wrapped(f"{failure.step} {failure.target}: {failure.code}, {failure.message}", width, "red")
    for remark in (*view.reasons, *view.proposals)[:5]:
        yield from _wrapped(f"! {clean(remark, 300)}", width, "yellow")
    for note in reversed(view.notes[-10:]):
        yield from _wrapped(f"- {clean(note, 300)}", width, "dim")


def _wrapped(text: str, width: int, style: str) -> list[Text]:
    return [Text(line, style) for line in textwrap.wrap(clean(text, 400), width) or [""]]
