"""The timeline: every decision, every change, and what else happened at a known moment, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Final

from activities.report.changed import Changed, in_one_line
from activities.report.words import Outside, Sentence, say
from contracts.incidents import DecisionRecord, GateView, IncidentView
from contracts.states import GateState, Verb
from contracts.steps import TaskView
from evidence.entry import Entry
from findings.model import Finding
from plans.model import Gate, Verdict

BOOKKEEPING: Final = frozenset({"entry-list", "changes", "targets", "report", "report-html"})
"""Kinds of artefacts that Firebreak wrote about its own work. The others were collected."""


class Kind(StrEnum):
    """What a line of the timeline is about."""

    FINDING = "finding"
    INCIDENT = "incident"
    CONTAINMENT = "containment"
    GATE = "gate"
    DECISION = "decision"
    CHANGE = "change"
    EVIDENCE = "evidence"
    TASK = "task"


@dataclass(frozen=True)
class Moment:
    """One line of the timeline.

    Attributes:
        at: When it was; None when nothing is known of that.
        exact: False where `at` is only the moment before which it cannot have been.
        notes: What else is to be said: a word of our own, and what it introduces.
        changes: Where the line is about a change: that, or several that are alike.
    """

    at: datetime | None
    kind: Kind
    what: Sentence
    exact: bool = True
    notes: tuple[tuple[str, Sentence], ...] = ()
    changes: tuple[Changed, ...] = ()


def timeline(
    view: IncidentView, finding: Finding, entries: Sequence[Entry], changes: Sequence[Changed]
) -> tuple[Moment, ...]:
    """Everything that happened, in order.

    The moment of a change stands in the workflow's history alone. What the view says is what it waited for: its gate.
    So a change stands right behind that, and the line says that it came after.
    """
    found = [*_known(view, finding), *_collected(entries)]
    found += [m for gate in view.gates for m in _of_gate(gate, view)]
    found += [_decision(d, d.gate) for d in view.rejected]
    found += [_task_done(t) for t in view.tasks if t.done]
    found += _changed(view, changes)
    # Sorting is stable, so that what has the same moment stays in the order of above.
    last = max((m.at for m in found if m.at), default=None)
    return tuple(sorted(found, key=lambda m: (m.at or last, not m.exact))) if last else tuple(found)


def _known(view: IncidentView, finding: Finding) -> Iterator[Moment]:
    times = view.timings
    for at, kind, text in (
        (finding.first_seen, Kind.FINDING, "the activity was first seen"),
        (finding.last_seen, Kind.FINDING, "the activity was last seen"),
        (finding.created_at, Kind.FINDING, "GuardDuty created the finding"),
        (finding.updated_at, Kind.FINDING, "GuardDuty updated the finding"),
        (times.received, Kind.INCIDENT, "Firebreak received the finding"),
        (times.contained, Kind.CONTAINMENT, "containment was proved"),
        (view.last_observed, Kind.INCIDENT, "Firebreak was asked to look again"),
        (times.finished, Kind.INCIDENT, "the incident ended"),
    ):
        if at is not None:
            yield Moment(at, kind, say(text))


def _collected(entries: Sequence[Entry]) -> Iterator[Moment]:
    moments = [e.collected_at for e in entries if e.collected and e.kind not in BOOKKEEPING]
    if moments:
        yield Moment(min(moments), Kind.EVIDENCE, say("the first artefact was collected"))
        yield Moment(max(moments), Kind.EVIDENCE, say("the last artefact was collected"))


def _of_gate(gate: GateView, view: IncidentView) -> Iterator[Moment]:
    """The decisions about a gate, and when it opened or was denied."""
    name = gate.gate.value
    terms = view.plan.terms(gate.gate) if view.plan else None
    if terms is not None and terms.decision is Verdict.AUTO:
        text = say(f"gate {name} opened by itself: the policy allows what waits behind it")
        yield Moment(view.timings.received, Kind.GATE, text, exact=False)
    counted = [d for d in gate.decisions if d.counted]
    for decision in gate.decisions:
        yield _decision(decision, name)
        if not decision.counted:
            continue
        if decision.decision == Verb.DENY:
            yield Moment(decision.at, Kind.GATE, say(f"gate {name} was denied"))
        # Of several approvals only the last one is known to have opened the gate, and only while it is open.
        elif gate.approvals == 1 or (decision is counted[-1] and gate.state is GateState.OPEN):
            yield Moment(decision.at, Kind.GATE, say(f"gate {name} opened"))


def _decision(record: DecisionRecord, gate: str) -> Moment:
    counted = ", counted" if record.counted else ", not counted"
    proof = "" if record.proven else " (identity not proven)"
    what = say(Outside(record.by), f"{proof} decided ", Outside(record.decision), " for gate ", Outside(gate), counted)
    notes = [("reason", record.reason), ("why it did not count", record.note), ("by way of", record.channel)]
    said = tuple((word, say(Outside(text, prose=True))) for word, text in notes if text)
    return Moment(record.at, Kind.DECISION, what, notes=said)


def _task_done(view: TaskView) -> Moment:
    what = say(Outside(view.by), " (identity not proven) said that task ", Outside(view.task.id), " is done")
    notes = (
        ("task", say(Outside(view.task.text, prose=True))),
        ("what was done", say(Outside(view.reason, prose=True))),
    )
    return Moment(view.at, Kind.TASK, what, notes=notes)


def _changed(view: IncidentView, changes: Sequence[Changed]) -> Iterator[Moment]:
    """The changes, those that are alike and stand behind each other in one line: pods are quarantined by the dozen."""
    allowed = {s.step: _allowed(view, s.gate, s.decision) for s in view.plan.steps} if view.plan else {}
    for _, group in groupby(changes, lambda c: c.alike):
        some = tuple(group)
        at = allowed.get(some[0].change.step, view.timings.received)
        yield Moment(at, Kind.CHANGE, in_one_line(some), exact=False, changes=some)


def _allowed(view: IncidentView, gate: Gate | None, decision: Verdict) -> datetime | None:
    """The moment before which nothing of a step can have been done, as far as the view knows it."""
    guard = next((g for g in view.gates if g.gate is gate), None)
    if guard is None or decision is Verdict.AUTO:
        return view.timings.received
    # Whatever took an approval back before: the gate cannot have opened before so many were counted.
    approved = [d.at for d in guard.decisions if d.counted and d.decision == Verb.APPROVE]
    return approved[guard.approvals - 1] if len(approved) >= guard.approvals else view.timings.received
