"""A plan as people read it in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from cli.commands import suppress_command
from cli.text import clean, counted, duration, hanging
from plans.model import Path, Plan, Step, Target, Verdict

_MOST_TARGETS = 5
_MOST_SENTENCES = 8
_STYLES = {Verdict.AUTO: "bold green", Verdict.APPROVAL: "bold magenta", Verdict.NEVER: "dim"}
_WORDS = {Verdict.AUTO: "automatic", Verdict.APPROVAL: "after approval", Verdict.NEVER: "never"}


Previews = dict[str, tuple[str, ...]]
"""By step, what it would change now; a sentence each."""


def plan_screen(plan: Plan, previews: Previews | None = None) -> RenderableType:
    """The whole plan: the finding, its steps in order with what they would change, the gates, the warnings."""
    finding = plan.finding
    sample = "  sample" if finding.sample else ""
    parts: list[RenderableType] = [
        Text(f"{clean(finding.type, 200)}  severity {finding.severity:g}{sample}", style="bold"),
        Text(f"finding {finding.id}, {finding.account}, {finding.region}, cluster {clean(finding.cluster or '-')}"),
        Text(f"subject {plan.subject.kind.value} {_subject(plan)}".rstrip()),
    ]
    if plan.plan_only:
        parts.append(Text("Nothing would be done, whatever is approved.", style="bold yellow"))
    for path in plan.paths:
        parts += _path(path, plan.steps_of(path), previews or {})
    if plan.gates:
        parts.append(Text("\nGates", style="bold"))
    for terms in plan.gates:
        people = f", {terms.approvals} people" if terms.approvals > 1 else ""
        line = Text(f"  {terms.gate.value:<12}").append(_WORDS[terms.decision], style=_STYLES[terms.decision])
        if terms.decision is not Verdict.AUTO:
            line.append(f"{people}, waits at most {_hours(terms.deadline_seconds)}", style="dim")
        parts.append(line)
        parts += [Text(hanging("", reason, 4), style="dim") for reason in terms.reasons]
    if plan.warnings:
        parts.append(Text("\nKnow before you approve", style="bold yellow"))
        parts += [Text(hanging("! ", warning, 2), style="yellow") for warning in plan.warnings]
    if not plan.plan_only and not finding.sample:
        said = f"If this was expected, once it is an incident: {suppress_command(finding.id)}"
        parts.append(Text(f"\n{said}", style="dim", no_wrap=True, overflow="ignore"))
    parts.append(Text(""))
    return Group(*parts)


def _path(path: Path, steps: tuple[Step, ...], previews: Previews) -> list[RenderableType]:
    """One path. Where nothing would be done for one reason alone, it is said once."""
    reasons = {step.reason for step in steps}
    if len(steps) > 1 and len(reasons) == 1 and all(step.decision is Verdict.NEVER for step in steps):
        actions = ", ".join(step.action for step in steps)
        return [
            Text(f"\n{path.value}", style="bold cyan").append("  never", style="dim"),
            Text(hanging("", f"{steps[0].reason} Its steps: {actions}.", 4), style="dim"),
        ]
    told = (part for step in steps for part in _step(step, previews.get(step.step, ())))
    return [Text(f"\n{path.value}", style="bold cyan"), *told]


def _step(step: Step, previews: tuple[str, ...]) -> list[RenderableType]:
    head = Text("  ").append(step.step, style="bold" if step.decision is not Verdict.NEVER else "dim")
    head.append("  ").append(_WORDS[step.decision], style=_STYLES[step.decision])
    if step.gate is not None:
        head.append(f"  gate {step.gate.value}", style="dim")
    parts: list[RenderableType] = [head, Text(hanging("why   ", step.reason, 4))]
    if step.targets:
        parts.append(Text(hanging("on    ", _targets(step), 4)))
    parts += [Text(hanging("would ", sentence, 4)) for sentence in previews[:_MOST_SENTENCES]]
    if len(previews) > _MOST_SENTENCES:
        parts.append(Text(f"    and {len(previews) - _MOST_SENTENCES} more; --json has all", style="dim"))
    if step.undo and step.decision is not Verdict.NEVER:
        parts.append(Text(hanging("undo  ", step.undo, 4), style="dim"))
    return parts


def _targets(step: Step) -> str:
    count = max(step.target_count, len(step.targets))
    names = ", ".join(_target(target) for target in step.targets[:_MOST_TARGETS])
    return names if count <= _MOST_TARGETS else f"{counted(count, 'target')}: {names}, …"


def _target(target: Target) -> str:
    name = f"{target.namespace}/{target.name}" if target.namespace else target.name
    return clean(f"{target.kind.value} {name}", 200)


def _subject(plan: Plan) -> str:
    subject = plan.subject
    name = f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name
    behind = f", impersonating {subject.impersonated}" if subject.impersonated else ""
    return clean(f"{name}{behind}", 400)


def _hours(seconds: int) -> str:
    from datetime import timedelta

    return duration(timedelta(seconds=seconds))
