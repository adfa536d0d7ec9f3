"""The next steps: commands that go on from here, and what the incident acts on beside pods."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from activities.report.changed import standing
from activities.report.paragraph import is_over, pods_deleted
from activities.report.words import Outside, Sentence, join, say
from contracts.incidents import GateView, IncidentView
from contracts.states import Containment, GateState, IncidentState
from plans.model import Gate, Target, TargetKind, Verdict

_IMAGE = "/image"
"""The end of the pointer to every field that holds a container's image."""


class NextStep(NamedTuple):
    """One command, and what it does. The incident's id in it is quoted for a shell, and comes from outside."""

    command: str
    what: Sentence


def next_steps(view: IncidentView) -> list[NextStep]:
    """Commands that go on from here."""
    incident = shlex.quote(view.incident)
    steps = [] if is_over(view) else [*_decisions(view, incident)]
    if not is_over(view) and any(not t.done for t in view.tasks):
        command = f"firebreak task done {incident} TASK --reason TEXT"
        steps.append(NextStep(command, say("says that a person has done one of the tasks")))
    if view.state is IncidentState.FAILED:
        steps.append(NextStep(f"firebreak retry {incident} STEP", say("tries one failed step again")))
    if undone := _release(view):
        steps.append(NextStep(f"firebreak release {incident}", say(undone)))
    steps.append(NextStep(f"firebreak show {incident}", say("shows where it stands now")))
    steps.append(NextStep(f"firebreak evidence verify {incident}", say("verifies every hash of the evidence")))
    return steps


def other_targets(view: IncidentView) -> list[Target]:
    """What the steps that may be carried out act on, beside pods and their workloads; each once."""
    steps = [s for s in view.plan.steps if s.decision is not Verdict.NEVER] if view.plan else []
    pods = (TargetKind.POD, TargetKind.WORKLOAD)
    found = {(t.kind, t.namespace, t.name): t for s in steps for t in s.targets if t.kind not in pods}
    return [found[key] for key in sorted(found)]


def _decisions(view: IncidentView, incident: str) -> Iterator[NextStep]:
    for gate in view.gates:
        if gate.state in (GateState.WAITING, GateState.EXPIRED):
            image = " --image REPO@sha256:…" if gate.needs_image else ""
            command = f"firebreak approve {incident} {gate.gate.value} --reason TEXT{image}"
            yield NextStep(command, say("carries out ", _what(gate, view)))
        elif gate.state is GateState.DENIED and gate.steps:
            what = say(f"asks about gate {gate.gate.value} once more: ", _what(gate, view))
            yield NextStep(f"firebreak retry {incident} {shlex.quote(gate.steps[0])}", what)


def _release(view: IncidentView) -> str:
    """What a release would undo now, or "" when nothing of this incident stands any more."""
    left = standing(view)
    holds = view.containment in (Containment.VERIFIED, Containment.INCOMPLETE) and not pods_deleted(view)
    if view.state in (IncidentState.RELEASED, IncidentState.PLAN_ONLY) or not (left or holds):
        return ""
    text = "undoes the containment and every other change" if holds else "undoes the changes that still stand"
    if any(field.endswith(_IMAGE) for change in left for field in change.after):
        text += "; this puts the vulnerable image BACK"
    return text


def _what(gate: GateView, view: IncidentView) -> Sentence:
    steps = view.plan.steps if view.plan else ()
    actions = [say(f"{s.path.value}: ", Outside(s.action)) for s in steps if _guards(gate.gate, s.gate, s.decision)]
    return join("; ", actions) or say("the steps behind this gate")


def _guards(gate: Gate, of_step: Gate | None, decision: Verdict) -> bool:
    return of_step is gate and decision is not Verdict.NEVER
