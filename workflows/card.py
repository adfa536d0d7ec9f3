"""The live status card that the Temporal UI shows as current details: Markdown, everything from outside escaped."""

from __future__ import annotations

import re

from contracts.incidents import GateView, IncidentView
from contracts.states import Containment, GateState, StepState

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&])")
_MOST_TARGETS = 10
_MOST_PREVIEWS = 5
_SIGNS = {
    StepState.PLANNED: "planned",
    StepState.RUNNING: "**running**",
    StepState.DONE: "done",
    StepState.FAILED: "**failed**",
    StepState.SKIPPED: "skipped",
}
_CONTAINMENT = {
    Containment.NONE: "**nothing is contained yet**",
    Containment.INCOMPLETE: "**incomplete: do not rely on it**",
    Containment.VERIFIED: "**verified**",
    Containment.RELEASED: "released",
    Containment.NOT_APPLICABLE: "nothing left to contain",
}


def escape(text: str) -> str:
    """Text from outside as literal Markdown on one line, at most 200 characters."""
    line = "".join(c if c.isprintable() else " " for c in text)[:200]
    return _SPECIAL.sub(r"\\\1", line)


def approve_command(view: IncidentView, gate: GateView) -> list[str]:
    """The exact command that approves a waiting gate, in lines that the card does not cut."""
    lines = [f"firebreak approve {view.finding_id} {gate.gate.value}", '  --reason "…"']
    if gate.needs_image:
        lines.append("  --image REPOSITORY@sha256:DIGEST")
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def status_card(view: IncidentView) -> str:
    """The card: state, containment, what waits for whom, targets, steps, failures."""
    lines = [f"### {view.state.value} · containment {_CONTAINMENT[view.containment]}", ""]
    lines += [f"- {escape(r)}" for r in (*view.reasons[:5], *view.proposals[:5])]
    for gate in view.gates:
        lines += _gate(view, gate)
    lines += _tasks(view)
    pods = view.pods.inline[:_MOST_TARGETS]
    if pods:
        lines += ["", f"**Targets ({view.pods.count})**", ""]
        lines += [f"- {escape(p.namespace)}/{escape(p.name)} on {escape(p.node) or 'no node'}" for p in pods]
        if view.pods.count > len(pods):
            lines.append(f"- … and {view.pods.count - len(pods)} more")
    lines += _steps(view)
    if view.failures:
        lines += ["", "**Failures**", ""]
        lines += [
            f"- {escape(f.step)} {escape(f.target)}: {escape(f.code)}, {escape(f.message)}" for f in view.failures[:10]
        ]
    if view.notes:
        lines += ["", "**Notes**", "", *(f"- {escape(n)}" for n in view.notes[-5:])]
    return "\n".join(lines)[:18_000]


def _gate(view: IncidentView, gate: GateView) -> list[str]:
    name = gate.gate.value
    if gate.state is GateState.WAITING:
        until = f"{gate.deadline:%Y-%m-%d %H:%M} UTC" if gate.deadline else "no deadline"
        given = f", {len(gate.approved_by)} of {gate.approvals} approvals" if gate.approvals > 1 else ""
        return [
            "",
            f"**Gate {name} waits for a decision** (until {until}{given})",
            "",
            *_previews(view, gate),
            *(f"    {line}" for line in approve_command(view, gate)),
        ]
    last = gate.decisions[-1] if gate.decisions else None
    who = f" by {escape(last.by)}: {escape(last.reason)}" if last and last.counted else ""
    return ["", f"Gate {name}: {gate.state.value}{who}"]


def _previews(view: IncidentView, gate: GateView) -> list[str]:
    """What would be done, before the command that lets it be done."""
    lines = []
    for step in gate.steps:
        said = view.previews.get(step, ())
        lines += [f"- {escape(step)}: {escape(sentence)}" for sentence in said[:_MOST_PREVIEWS]]
        if len(said) > _MOST_PREVIEWS:
            lines.append(f"- {escape(step)}: … and {len(said) - _MOST_PREVIEWS} more")
    return [*lines, ""] if lines else []


def _tasks(view: IncidentView) -> list[str]:
    waiting = [t.task for t in view.tasks if not t.done]
    if not waiting:
        return []
    shown = [f"- {escape(t.id)}: {escape(f'{t.owner}: {t.text}' if t.owner else t.text)}" for t in waiting[:10]]
    more = [f"- … and {len(waiting) - 10} more"] if len(waiting) > 10 else []
    return [
        "",
        f"**Tasks for people ({len(waiting)} open)**",
        "",
        *shown,
        *more,
        "",
        f'    firebreak task done {view.finding_id} TASK --reason "…"',
    ]


def _steps(view: IncidentView) -> list[str]:
    """The steps, one list a path."""
    lines: list[str] = []
    for path in dict.fromkeys(s.step.partition(".")[0] for s in view.steps):
        lines += ["", f"**Steps of path {escape(path)}**" if len(view.paths) > 1 else "**Steps**", ""]
        lines += [
            f"- {escape(s.step)}: {_SIGNS[s.state]}{' — ' + escape(s.detail) if s.detail else ''}"
            for s in view.steps
            if s.step.partition(".")[0] == path
        ]
    return lines
