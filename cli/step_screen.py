"""Steps, targets and tasks as people read them: grouped by path, because one incident can go several ways at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.text import Text

from cli.commands import task_command
from cli.gate_screen import Copied
from cli.text import clean, counted, hanging
from contracts.incidents import IncidentView, StepStatus
from contracts.states import StepState
from contracts.steps import TaskView
from plans.model import Target, TargetKind, Verdict

_STYLES = {
    StepState.PLANNED: "dim",
    StepState.RUNNING: "cyan",
    StepState.DONE: "green",
    StepState.FAILED: "bold red",
    StepState.SKIPPED: "dim",
}
SUBJECTS = (TargetKind.SUBJECT, TargetKind.SERVICE_ACCOUNT)
"""Kinds of targets that are somebody's identity."""
_MOST_NAMES = 8


def step_lines(view: IncidentView, said: Mapping[str, str] | None = None) -> list[Text]:
    """Each step with its state and what became of it; a long sentence is wrapped.

    Args:
        view: The incident.
        said: By step, what is to be said of it while it runs.
    """
    width = max((len(clean(step.step, 60)) for step in view.steps), default=0) + 2
    rows = []
    for path, steps in by_path(view):
        if len(view.paths) > 1:
            rows.append(Text(f"  {path}", style="bold cyan"))
        rows += [_step(step, width, (said or {}).get(step.step) or step.detail) for step in steps]
    return rows


def compact_step_lines(view: IncidentView) -> list[Text]:
    """One line a path: what runs or failed by name, the rest as numbers. For where every step has no room."""
    rows = []
    for path, steps in by_path(view):
        line = Text(f"  {path:<14}", style="bold cyan")
        for state in (StepState.FAILED, StepState.RUNNING, StepState.DONE, StepState.SKIPPED, StepState.PLANNED):
            mine = [s for s in steps if s.state is state]
            if not mine:
                continue
            loud = state in (StepState.FAILED, StepState.RUNNING)
            what = ", ".join(clean(s.step, 60).partition(".")[2] for s in mine) if loud else str(len(mine))
            line.append(f"{state.value} {what}  ", style=_STYLES[state])
        rows.append(line)
    return rows


def by_path(view: IncidentView) -> Iterator[tuple[str, list[StepStatus]]]:
    """The steps of each path, in the order of the plan."""
    steps = {s.step: s for s in view.steps}
    planned = [s.step for s in view.plan.steps] if view.plan else []
    ordered = [steps[name] for name in dict.fromkeys((*planned, *steps)) if name in steps]
    for path in dict.fromkeys(clean(s.step, 60).partition(".")[0] for s in ordered):
        yield path, [s for s in ordered if clean(s.step, 60).partition(".")[0] == path]


def other_targets(view: IncidentView) -> list[str]:
    """What the incident acts on beside pods: identities, nodes, images and settings, a line a kind."""
    found = targets_of(view)
    lines = []
    for kind in TargetKind:
        names = [f"{t.namespace}/{t.name}" if t.namespace else t.name for t in found if t.kind is kind]
        if names and kind not in (TargetKind.POD, TargetKind.WORKLOAD):
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            lines.append(f"{kind.value} {', '.join(clean(n, 120) for n in names[:_MOST_NAMES])}{more}")
    return lines


def targets_of(view: IncidentView) -> list[Target]:
    """The targets of every step that may be carried out, each once."""
    steps = [s for s in view.plan.steps if s.decision is not Verdict.NEVER] if view.plan else []
    unique = {(t.kind, t.namespace, t.name): t for s in steps for t in s.targets}
    return list(unique.values())


def open_tasks(view: IncidentView) -> list[TaskView]:
    """What people still have to do."""
    return [t for t in view.tasks if not t.done]


def task_lines(view: IncidentView, most: int = 20) -> list[Text]:
    """The tasks of people, open ones first, each open one with the command that says that it is done."""
    waiting, done = open_tasks(view), [t for t in view.tasks if t.done]
    if not view.tasks:
        return []
    rows = [Text(f"\nTasks for people ({len(waiting)} open, {len(done)} done)", style="bold")]
    for one in waiting[:most]:
        owner = f"{clean(one.task.owner, 100)}: " if one.task.owner else ""
        rows.append(Text(hanging(f"{clean(one.task.id, 80)}  ", f"{owner}{one.task.text}", 2), style="yellow"))
        rows.append(Copied(f"    {task_command(view, one)}", "bold"))
    if len(waiting) > most:
        rows.append(Text(f"  and {counted(len(waiting) - most, 'open task')} more; --json has all", style="dim"))
    for one in done[-most:]:
        said = f"done by {clean(one.by, 100)}: {clean(one.reason, 200)}"
        rows.append(Text(hanging(f"{clean(one.task.id, 80)}  ", said, 2), style="dim"))
    return rows


def _step(step: StepStatus, width: int, detail: str) -> Text:
    label = f"  {clean(step.step, 60):<{width}}{step.state.value:<9}"
    shown = hanging(label, detail) if detail else label.rstrip()
    return (
        Text(shown[: width + 2])
        .append(shown[width + 2 : len(label)], style=_STYLES[step.state])
        .append(shown[len(label) :])
    )
