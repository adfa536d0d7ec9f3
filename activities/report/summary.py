"""The first paragraph and the timeline: sentences of our own around values from outside."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from activities.report.escape import Own, code, finalize, moment
from contracts.incidents import DecisionRecord, GateView, IncidentView
from contracts.states import Containment, GateState, IncidentState
from evidence.entry import Entry
from findings.model import Finding
from plans.model import Gate, Verdict

_STATES = {
    IncidentState.ASSESSING: "Firebreak is still finding out what the finding means.",
    IncidentState.CONTAINING: "Containment is under way.",
    IncidentState.AWAITING_APPROVAL: "The rest waits for a person to decide.",
    IncidentState.REMEDIATING: "Approved steps are being carried out.",
    IncidentState.REMEDIATED: "Every step that the policy allows has been carried out.",
    IncidentState.DENIED: "A step was denied, and was not carried out.",
    IncidentState.RELEASED: "Everything that Firebreak changed was undone, where it still was as Firebreak left it.",
    IncidentState.FAILED: "A step failed and can be retried.",
    IncidentState.PLAN_ONLY: "Nothing was changed: this incident ends with its plan.",
}

_CONTAINMENT = {
    Containment.NONE: "nothing of which is cut off.",
    Containment.INCOMPLETE: "and containment is INCOMPLETE: the reasons are below.",
    Containment.VERIFIED: "cut off from the network; that was proved from the live objects.",
    Containment.RELEASED: "whose containment was taken back.",
    Containment.NOT_APPLICABLE: "and there is nothing that could be cut off.",
}


class Moment(NamedTuple):
    """One line of the timeline."""

    at: datetime
    what: Own


def first_paragraph(view: IncidentView, finding: Finding) -> Own:
    """What a tired person has to know."""
    seen = f", last seen at {moment(finding.last_activity)}" if finding.last_activity else ""
    parts = [
        f"GuardDuty reported {code(finding.type)} with severity {finalize(finding.severity)} ({finding.band.value}) "
        f"about cluster {code(view.cluster)}{seen}.",
        f"It concerns {_count(view.pods.count, 'pod')}, {_contained(view)}",
    ]
    if finding.sample:
        parts.insert(1, "It is a sample finding: there is nothing behind it.")
    if view.timings.contained and view.timings.received:
        seconds = (view.timings.contained - view.timings.received).total_seconds()
        parts.append(f"That took {seconds:.3f} s from the moment at which Firebreak received the finding.")
    parts.append(_STATES[view.state])
    waiting = [g for g in view.gates if g.state is GateState.WAITING]
    if waiting:
        names = ", ".join(g.gate.value for g in waiting)
        parts.append(f"Waiting for a decision: {names}.")
    if view.failures:
        parts.append(f"{_count(len(view.failures), 'thing')} could not be done: see below.")
    return Own(" ".join(parts))


def _contained(view: IncidentView) -> str:
    text = _CONTAINMENT[view.containment]
    if view.containment is Containment.VERIFIED:
        return f"which {'is' if view.pods.count == 1 else 'are'} {text}"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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
    collected = [e.collected_at for e in entries if e.collected]
    if collected:
        yield Moment(min(collected), Own("the first artefact was collected"))
        yield Moment(max(collected), Own(f"the last of {_count(len(collected), 'artefact')} was collected"))


def _decision(record: DecisionRecord, gate: str) -> Moment:
    counted = "" if record.counted else ", not counted"
    proof = "" if record.proven else " (identity not proven)"
    text = f"{code(record.by)}{proof} decided {code(record.decision)} for gate {code(gate)}{counted}"
    return Moment(record.at, Own(text))


def next_steps(view: IncidentView) -> list[tuple[Own, Own]]:
    """Commands that go on from here, each with what it does. The incident's id is quoted for a shell."""
    incident = shlex.quote(view.incident)
    steps = []
    for gate in view.gates:
        if gate.state in (GateState.WAITING, GateState.EXPIRED, GateState.DENIED):
            image = " --image REPO@sha256:…" if gate.needs_image else ""
            command = f"firebreak approve {incident} {gate.gate.value} --reason TEXT{image}"
            steps.append((code(command), Own(f"carries out {_what(gate, view)}")))
    if view.state is IncidentState.FAILED:
        steps.append((code(f"firebreak retry {incident} STEP"), Own("tries one failed step again")))
    if view.containment in (Containment.VERIFIED, Containment.INCOMPLETE):
        steps.append((code(f"firebreak release {incident}"), Own("undoes the containment and every other change")))
    steps.append((code(f"firebreak show {incident}"), Own("shows where it stands now")))
    steps.append((code(f"firebreak evidence verify {incident}"), Own("verifies every hash of the evidence")))
    return steps


def undecided(view: IncidentView) -> list[GateView]:
    """Gates behind which something has not been done."""
    return [g for g in view.gates if g.state is not GateState.OPEN]


def _what(gate: GateView, view: IncidentView) -> Own:
    steps = view.plan.steps if view.plan else ()
    actions = [f"{s.path.value}: {code(s.action)}" for s in steps if _guards(gate.gate, s.gate, s.decision)]
    return Own("; ".join(actions) or "the steps behind this gate")


def _guards(gate: Gate, of_step: Gate | None, decision: Verdict) -> bool:
    return of_step is gate and decision is not Verdict.NEVER
