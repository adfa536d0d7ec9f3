"""The timeline and the next steps: sentences of our own around values from outside."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from activities.report.escape import Own, code
from activities.report.paragraph import is_over, pods_deleted
from contracts.incidents import DecisionRecord, GateView, IncidentView
from contracts.states import Containment, GateState, IncidentState
from evidence.entry import Entry
from findings.model import Finding
from plans.model import Gate, Target, TargetKind, Verdict

BOOKKEEPING = frozenset({"entry-list", "changes", "targets", "report"})
"""Kinds of artefacts that Firebreak wrote about its own work. The others were collected."""
_IMAGE = "/image"
"""The end of the pointer to every field that holds a container's image."""


class Moment(NamedTuple):
    """One line of the timeline."""

    at: datetime
    what: Own


def timeline(view: IncidentView, finding: Finding, entries: Sequence[Entry]) -> list[Moment]:
    """Everything whose moment is known, in order."""
    return sorted(_moments(view, finding, entries), key=lambda m: m.at)


def _moments(view: IncidentView, finding: Finding, entries: Sequence[Entry]) -> Iterator[Moment]:
    for at, text in (
        (finding.first_seen, "the activity was first seen"),
        (finding.last_seen, "the activity was last seen"),
        (finding.created_at, "GuardDuty created the finding"),
        (finding.updated_at, "GuardDuty updated the finding"),
        (view.timings.received, "Firebreak received the finding"),
        (view.timings.contained, "containment was proved"),
        (view.last_observed, "Firebreak was asked to look again"),
        (view.timings.finished, "the incident ended"),
    ):
        if at is not None:
            yield Moment(at, Own(text))
    for gate in view.gates:
        yield from (_decision(d, gate.gate.value) for d in gate.decisions)
    yield from (_decision(d, d.gate) for d in view.rejected)
    collected = [e.collected_at for e in entries if e.collected and e.kind not in BOOKKEEPING]
    if collected:
        yield Moment(min(collected), Own("the first artefact was collected"))
        yield Moment(max(collected), Own("the last artefact was collected"))


def _decision(record: DecisionRecord, gate: str) -> Moment:
    counted = "" if record.counted else ", not counted"
    proof = "" if record.proven else " (identity not proven)"
    text = f"{code(record.by)}{proof} decided {code(record.decision)} for gate {code(gate)}{counted}"
    return Moment(record.at, Own(text))


def next_steps(view: IncidentView) -> list[tuple[Own, Own]]:
    """Commands that go on from here, each with what it does. The incident's id is quoted for a shell."""
    incident = shlex.quote(view.incident)
    steps = [] if is_over(view) else [*_decisions(view, incident)]
    if not is_over(view) and any(not t.done for t in view.tasks):
        command = code(f"firebreak task done {incident} TASK --reason TEXT")
        steps.append((command, Own("says that a person has done one of the tasks")))
    if view.state is IncidentState.FAILED:
        steps.append((code(f"firebreak retry {incident} STEP"), Own("tries one failed step again")))
    if undone := _release(view):
        steps.append((code(f"firebreak release {incident}"), Own(undone)))
    steps.append((code(f"firebreak show {incident}"), Own("shows where it stands now")))
    steps.append((code(f"firebreak evidence verify {incident}"), Own("verifies every hash of the evidence")))
    return steps


def other_targets(view: IncidentView) -> list[Target]:
    """What the steps that may be carried out act on, beside pods and their workloads; each once."""
    steps = [s for s in view.plan.steps if s.decision is not Verdict.NEVER] if view.plan else []
    pods = (TargetKind.POD, TargetKind.WORKLOAD)
    found = {(t.kind, t.namespace, t.name): t for s in steps for t in s.targets if t.kind not in pods}
    return [found[key] for key in sorted(found)]


def _decisions(view: IncidentView, incident: str) -> Iterator[tuple[Own, Own]]:
    for gate in view.gates:
        if gate.state in (GateState.WAITING, GateState.EXPIRED):
            image = " --image REPO@sha256:…" if gate.needs_image else ""
            command = f"firebreak approve {incident} {gate.gate.value} --reason TEXT{image}"
            yield code(command), Own(f"carries out {_what(gate, view)}")
        elif gate.state is GateState.DENIED and gate.steps:
            what = f"asks about gate {gate.gate.value} once more: {_what(gate, view)}"
            yield code(f"firebreak retry {incident} {shlex.quote(gate.steps[0])}"), Own(what)


def _release(view: IncidentView) -> str:
    """What a release would undo now, or "" when nothing of this incident stands any more."""
    undone = frozenset(view.undone)
    standing = [c for c in view.changes if c.key not in undone]
    holds = view.containment in (Containment.VERIFIED, Containment.INCOMPLETE) and not pods_deleted(view)
    if view.state in (IncidentState.RELEASED, IncidentState.PLAN_ONLY) or not (standing or holds):
        return ""
    text = "undoes the containment and every other change" if holds else "undoes the changes that still stand"
    if any(field.endswith(_IMAGE) for change in standing for field in change.after):
        text += "; this puts the vulnerable image BACK"
    return text


def _what(gate: GateView, view: IncidentView) -> Own:
    steps = view.plan.steps if view.plan else ()
    actions = [f"{s.path.value}: {code(s.action)}" for s in steps if _guards(gate.gate, s.gate, s.decision)]
    return Own("; ".join(actions) or "the steps behind this gate")


def _guards(gate: Gate, of_step: Gate | None, decision: Verdict) -> bool:
    return of_step is gate and decision is not Verdict.NEVER
