"""Gates as people read them: what waits, what it would change and whom it would hit, and only then what approves it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from cli.commands import approve_command, signal_line
from cli.text import clean, hanging, moment, relative
from contracts.incidents import GateView, IncidentView
from contracts.states import GateState

_MOST_DECISIONS = 20
_MOST_SENTENCES = 12
"""Of one step's preview; `show --json` has all."""
_GATE_STYLES = {
    GateState.WAITING: "bold magenta",
    GateState.OPEN: "green",
    GateState.DENIED: "bold red",
    GateState.EXPIRED: "yellow",
    GateState.CLOSED: "dim",
}


class Copied(Text):
    """A line to copy: never wrapped by us, so that the terminal keeps it one line."""

    def __init__(self, text: str, style: str = "") -> None:
        super().__init__(text, style=style, no_wrap=True, overflow="ignore")


def gate_parts(view: IncidentView, gate: GateView) -> list[RenderableType]:
    """One gate in full."""
    parts: list[RenderableType] = [Text("\n").append_text(gate_line(gate))]
    parts += [Text(hanging("", line, 2), overflow="fold") for line in _reasons(view, gate)]
    parts += preview_parts(view, gate)
    for record in gate.decisions[-_MOST_DECISIONS:]:
        counts = "" if record.counted else f"  not counted: {clean(record.note, 200)}"
        who = f"{clean(record.by, 120) or 'nobody'}{'' if record.proven else ' (unproven)'}"
        text = f"{who}: {clean(record.decision, 20)}, {clean(record.reason, 300)}{counts}"
        parts.append(Text(hanging(f"{moment(record.at)}  ", text, 2), style="" if record.counted else "yellow"))
    if gate.state in (GateState.WAITING, GateState.EXPIRED):
        parts.append(Copied(f"  {approve_command(view, gate)}", "bold"))
    if gate.state is GateState.WAITING:
        fill_in = "  or without firebreak, after filling in reason" + (" and image:" if gate.needs_image else ":")
        parts += [Text(fill_in, style="dim"), Copied(f"  {signal_line(view, gate)}", "dim")]
    return parts


def gate_line(gate: GateView) -> Text:
    """A gate's name and state; while it waits, also until when and for how many approvals."""
    line = Text("Gate ", style="bold").append(gate.gate.value, style="bold").append("  ")
    line.append(gate.state.value, style=_GATE_STYLES[gate.state])
    if gate.state is GateState.WAITING:
        if gate.approvals > 1:
            line.append(f"  {len(gate.approved_by)} of {gate.approvals} approvals")
        line.append(f"  until {moment(gate.deadline)} ({relative(gate.deadline)})", style="dim")
    return line


def preview_parts(view: IncidentView, gate: GateView) -> list[RenderableType]:
    """What each step that waits at the gate would do, as its planner read it, and what nothing brings back."""
    if gate.state not in (GateState.WAITING, GateState.EXPIRED):
        return []
    undo = {s.step: s.undo for s in view.plan.steps} if view.plan else {}
    parts: list[RenderableType] = []
    for step in gate.steps:
        parts += preview_of(step, view.previews.get(step, ()), undo.get(step, ""))
    return parts


def preview_of(step: str, sentences: Iterable[str], undo: str = "") -> list[RenderableType]:
    """The preview of one step; a step without one is not named, since its name stands above."""
    said = list(sentences)
    if not said:
        return []
    parts: list[RenderableType] = [Text(f"  {clean(step, 60)}, if approved:", style="bold")]
    parts += [Text(hanging("- ", sentence, 4)) for sentence in said[:_MOST_SENTENCES]]
    if len(said) > _MOST_SENTENCES:
        parts.append(Text(f"    and {len(said) - _MOST_SENTENCES} more; --json has all", style="dim"))
    if undo:
        parts.append(Text(hanging("undo  ", undo, 4), style="dim"))
    return parts


def _reasons(view: IncidentView, gate: GateView) -> list[str]:
    lines = [f"guards {', '.join(gate.steps)}"] if gate.steps else []
    terms = view.plan.terms(gate.gate) if view.plan else None
    return [*lines, *(clean(r, 300) for r in (terms.reasons if terms else ()))]
