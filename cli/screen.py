"""One incident as people read it in a terminal, within 100 columns. Everything from outside is cleaned first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from cli.commands import suppress_command
from cli.gate_screen import Copied, gate_parts
from cli.paused import pause_banner
from cli.reading import Brief, Reading
from cli.step_screen import other_targets, step_lines, task_lines
from cli.text import clean, clean_lines, counted, duration, hanging, moment, relative
from contracts.incidents import IncidentView
from contracts.states import Containment, IncidentState

_MOST_ROWS = 20
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~&])")
_STATE_STYLES = {
    IncidentState.ASSESSING: "cyan",
    IncidentState.CONTAINING: "bold yellow",
    IncidentState.AWAITING_APPROVAL: "bold magenta",
    IncidentState.REMEDIATING: "cyan",
    IncidentState.REMEDIATED: "bold green",
    IncidentState.DENIED: "bold red",
    IncidentState.RELEASED: "green",
    IncidentState.FAILED: "bold red",
    IncidentState.PLAN_ONLY: "dim",
}
_CONTAINMENT = {
    Containment.NONE: ("none: nothing is cut off", "yellow"),
    Containment.INCOMPLETE: ("incomplete: do not rely on it", "bold red"),
    Containment.VERIFIED: ("verified", "bold green"),
    Containment.RELEASED: ("released", "green"),
    Containment.NOT_APPLICABLE: ("not applicable", "dim"),
}


def incident_screen(reading: Reading) -> RenderableType:
    """Everything that `show` prints for people."""
    held = [Text(hanging("", pause_banner(reading.held)), "bold yellow")] if reading.held else []
    if reading.view is None:
        return Group(*held, _without_view(reading))
    view = reading.view
    parts: list[RenderableType] = [*held, _head(view, reading)]
    parts += _targets(view)
    for gate in view.gates:
        parts += gate_parts(view, gate)
    parts += task_lines(view)
    if view.plan is not None and not view.plan.plan_only and not view.plan.finding.sample:
        parts.append(Copied(f"\nIf this was expected: {suppress_command(view.finding_id)}", "dim"))
    parts += _steps(view, {c.step: c.words for c in reading.collections})
    undone = set(view.undone)
    parts += _section(
        f"Changes ({len(view.changes)})",
        [f"{'undone  ' if c.key in undone else ''}{c.resource}: {c.summary}  [{c.step}]" for c in view.changes],
    )
    parts += _section("Evidence", _evidence(view))
    parts += _section("Failures", [f"{f.step} {f.target}: {f.code}, {f.message}" for f in view.failures], "red")
    parts += _section("Decisions for no gate of this incident", [f"{r.by}: {r.note}" for r in view.rejected])
    parts += _section("Notes", view.notes[-_MOST_ROWS:])
    return Group(*parts)


def state_line(view: IncidentView) -> Text:
    """State and containment in one line."""
    line = Text(view.state.value, style=_STATE_STYLES[view.state])
    words, style = _CONTAINMENT[view.containment]
    return line.append("  containment ", style="dim").append(words, style=style)


def brief_lines(briefs: Iterable[Brief]) -> RenderableType:
    """What `list` prints for people: two lines an incident. The finding id is whole, because people copy it."""
    lines = []
    for brief in briefs:
        state = brief.state if brief.open or brief.status == "completed" else brief.status
        style = _STATE_STYLES[IncidentState(brief.state)] if brief.state in set(IncidentState) else ""
        severity = f"{brief.severity:g}" if brief.severity is not None else "-"
        gates = f"waits at {', '.join(clean(g, 20) for g in brief.gates)}" if brief.open and brief.gates else ""
        line = Text("  ", no_wrap=True, overflow="ellipsis")
        line.append(f"{clean(state or '-', 30)}  ", style=style).append(f"{gates}  " if gates else "")
        about = f"severity {severity}  {clean(brief.cluster, 60)}  {clean(brief.finding_type, 100)}"
        line.append(f"{relative(brief.started)}  {about}", style="dim")
        lines += [Text(clean(brief.finding_id or brief.incident, 300), style="bold", overflow="fold"), line]
    return Group(*lines)


def _head(view: IncidentView, reading: Reading) -> RenderableType:
    title = Text(clean(view.finding_type, 200), style="bold")
    title.append(f"  severity {view.severity:g}")
    state = _row("State").append_text(state_line(view)).append("" if reading.open else "  closed", style="dim")
    times = view.timings
    received = moment(times.received)
    if times.received and times.contained:
        received += f", contained {duration(times.contained - times.received)} later"
    if times.received and times.finished:
        received += f", finished after {duration(times.finished - times.received)}"
    rows = [
        _row("Incident", view.incident),
        _row("Cluster", view.cluster or "-"),
        state,
        _row("Paths", ", ".join(p.value for p in view.paths) or "-"),
        _row("Received", received),
    ]
    remarks = [Text(hanging("! ", r), style="yellow") for r in (*view.reasons, *view.proposals)]
    warnings = [Text(hanging("! ", w), style="yellow") for w in (view.plan.warnings if view.plan else ())]
    note = [Text(clean(reading.note, 300), style="yellow")] if reading.note else []
    return Group(title, *rows, *note, *remarks[:_MOST_ROWS], *warnings[:_MOST_ROWS])


def _targets(view: IncidentView) -> list[RenderableType]:
    lines = [
        f"{p.namespace}/{p.name} on {p.node or 'no node'}  uid {p.uid}"
        + (f"  ({p.unreachable})" if p.unreachable else "")
        for p in (*view.pods.inline, *view.image_pods.inline)
    ]
    count = view.pods.count + view.image_pods.count
    hidden = count - len(lines)
    if hidden > 0:
        lines.append(f"and {hidden} more, listed in the evidence")
    return _section(f"Targets ({counted(count, 'pod')})", [*lines, *other_targets(view)])


def _steps(view: IncidentView, said: Mapping[str, str]) -> list[RenderableType]:
    if not view.steps:
        return []
    return [Text("\nSteps", style="bold"), *step_lines(view, said)]


def _evidence(view: IncidentView) -> list[str]:
    evidence = view.evidence
    if not evidence.manifests and not evidence.artefacts:
        return []
    lines = [
        f"{counted(evidence.artefacts, 'artefact')} in {counted(evidence.manifests, 'manifest')}, {evidence.store}",
        f"newest manifest sha256 {evidence.manifest_sha256}",
    ]
    return [*lines, f"report {view.report_key}"] if view.report_key else lines


def _section(title: str, lines: Iterable[str], style: str = "") -> list[RenderableType]:
    rows = list(lines)
    if not rows:
        return []
    shown: list[RenderableType] = [Copied(hanging("", row, 2, limit=700), style) for row in rows[:_MOST_ROWS]]
    if len(rows) > _MOST_ROWS:
        shown.append(Text(f"  and {len(rows) - _MOST_ROWS} more; --json has all", style="dim"))
    return [Text(f"\n{title}", style="bold"), *shown]


def _without_view(reading: Reading) -> RenderableType:
    brief = reading.brief
    rows = [
        _row("Incident", brief.incident),
        _row("State", f"{brief.state or '-'}  ({brief.status} in Temporal)"),
        _row("Waits at", ", ".join(brief.gates) or "-"),
        _row("Started", f"{moment(brief.started)} ({relative(brief.started, datetime.now(UTC))})"),
    ]
    severity = f"{brief.severity:g}" if brief.severity is not None else "-"
    # The details are Markdown with everything from outside escaped; a terminal shows the characters themselves.
    details = _ESCAPED.sub(r"\1", reading.details).replace("**", "")
    return Group(
        Text(f"{clean(brief.finding_type, 200)}  severity {severity}", "bold"),
        Text(reading.note, style="bold yellow"),
        Text("What follows is what Temporal itself knows; it may lag behind.", style="dim"),
        *rows,
        Text(""),
        Text(clean_lines(details, 20_000), overflow="fold"),
    )


def _row(label: str, value: str = "") -> Text:
    return Text(f"{label:<10}", style="dim").append(clean(value, 600), style="default")
