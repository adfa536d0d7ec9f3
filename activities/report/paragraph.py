"""The beginning of the report: what a tired person has to know, in the tense that is true now."""

from __future__ import annotations

from dataclasses import dataclass

from activities.report.words import Outside, Sentence, count, join, moment, say
from contracts.incidents import GateView, IncidentView
from contracts.states import Containment, GateState, IncidentState, StepState
from findings.model import Finding
from plans.model import Path

_STATES = {
    IncidentState.ASSESSING: "Firebreak is still finding out what the finding means.",
    IncidentState.CONTAINING: "Containment is under way.",
    IncidentState.AWAITING_APPROVAL: "The rest waits for a person to decide.",
    IncidentState.REMEDIATING: "Approved steps are being carried out.",
    IncidentState.REMEDIATED: "Every step that the policy allows has been carried out.",
    IncidentState.DENIED: "A gate was denied or closed, and what it guards was not carried out.",
    IncidentState.FAILED: "A step failed and can be retried.",
    IncidentState.PLAN_ONLY: "Nothing was changed: this incident ends with its plan.",
}
_DELETING = ("pod.delete", "image.delete_pods")
"""The steps after which the pods are gone."""


@dataclass(frozen=True)
class Summary:
    """The beginning of the report, in sentences that are of use by themselves too.

    Attributes:
        reported: What GuardDuty reported, and which paths that opened.
        contained: What it concerns, whether that is cut off, and how long it took.
        standing: Where the incident stands.
        waiting: What is waited for, and what could not be done; empty when there is nothing.
    """

    reported: Sentence
    contained: Sentence
    standing: Sentence
    waiting: Sentence

    @property
    def paragraph(self) -> Sentence:
        """All of it."""
        return join(" ", (self.reported, self.contained, self.standing, self.waiting))


def summarize(view: IncidentView, finding: Finding) -> Summary:
    """What happened, where it stands, and what is waited for."""
    return Summary(
        reported=_reported(view, finding),
        contained=_concerned(view),
        standing=say(_state(view)),
        waiting=_waiting(view),
    )


def _reported(view: IncidentView, finding: Finding) -> Sentence:
    seen = f", last seen at {moment(finding.last_activity)}" if finding.last_activity else ""
    severity = f" with severity {finding.severity:g} ({finding.band.value}) about cluster "
    parts = [say("GuardDuty reported ", Outside(finding.type), severity, Outside(view.cluster), f"{seen}.")]
    if finding.sample:
        parts.append(say("It is a sample finding: there is nothing behind it."))
    if view.pods.count and len(view.paths) > 1:
        parts.append(say(f"It opened the {_paths(view)}."))
    return join(" ", parts)


def _concerned(view: IncidentView) -> Sentence:
    if view.pods.count or not view.plan or Path.POD in view.paths:
        text = f"It concerns {count(view.pods.count, 'pod')}{_contained(view)}"
    else:
        text = f"It opened the {_paths(view)} {_contained_without_pods(view)}"
    if view.timings.contained and view.timings.received:
        seconds = (view.timings.contained - view.timings.received).total_seconds()
        text += f" Containment took {seconds:.3f} s from the moment at which Firebreak received the finding."
    return say(text)


def _waiting(view: IncidentView) -> Sentence:
    parts = []
    waiting = [g for g in view.gates if g.state is GateState.WAITING]
    if waiting:
        names = ", ".join(g.gate.value for g in waiting)
        parts.append(say(f"Waiting for a decision: {names}."))
    open_tasks = sum(not t.done for t in view.tasks)
    if open_tasks:
        parts.append(say(f"{count(open_tasks, 'task')} for people {'is' if open_tasks == 1 else 'are'} open."))
    if view.failures:
        parts.append(say(f"{count(len(view.failures), 'thing')} could not be done: see below."))
    return join(" ", parts)


def undecided(view: IncidentView) -> list[GateView]:
    """Gates behind which something has not been done."""
    return [g for g in view.gates if g.state is not GateState.OPEN]


def is_over(view: IncidentView) -> bool:
    """Whether the incident has ended, so that it takes no decisions any more."""
    return view.timings.finished is not None


def pods_deleted(view: IncidentView) -> bool:
    """Whether the step that deletes the pods has come to its end: what was contained is gone."""
    return any(s.step in _DELETING and s.state is StepState.DONE for s in view.steps)


def _contained(view: IncidentView) -> str:
    """What became of the pods, as the rest of a sentence."""
    one = view.pods.count == 1
    be, were, they = ("is", "was", "it") if one else ("are", "were", "they")
    deleted = pods_deleted(view)
    if view.state is IncidentState.PLAN_ONLY:
        return ", which Firebreak left as " + ("it is." if one else "they are.")
    match view.containment:
        case Containment.VERIFIED if deleted:
            return f", which {were} cut off from the network, as was proved from the live objects, and then deleted."
        case Containment.VERIFIED:
            return f", which {be} cut off from the network; that was proved from the live objects."
        case Containment.INCOMPLETE if deleted:
            return f", which {were} deleted; containment had been INCOMPLETE until then: the reasons are below."
        case Containment.INCOMPLETE:
            return ", and containment is INCOMPLETE: the reasons are below."
        case Containment.RELEASED:
            return f", whose containment was taken back: {they} {be} no longer cut off by this incident."
        case _ if deleted:
            return f", which {were} deleted before containment had been proved."
        case Containment.NOT_APPLICABLE:
            return ", and there is nothing that could be cut off."
        case Containment.NONE:
            return ", nothing of which is cut off."


def _paths(view: IncidentView) -> str:
    names = [p.value for p in view.paths]
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
    return f"{'path' if len(names) == 1 else 'paths'} {listed}"


def _contained_without_pods(view: IncidentView) -> str:
    """The same where it is an identity, a node or a setting that is contained, and no pod."""
    if view.state is IncidentState.PLAN_ONLY:
        return "and ends with its plan."
    match view.containment:
        case Containment.VERIFIED:
            return "and is contained: what had let somebody in was read again and no longer does."
        case Containment.INCOMPLETE:
            return "and containment is INCOMPLETE: the reasons are below."
        case Containment.RELEASED:
            return "whose containment was taken back."
        case Containment.NOT_APPLICABLE:
            return "with nothing that had to be contained."
        case Containment.NONE:
            return "and nothing is contained."


def _state(view: IncidentView) -> str:
    holds = view.containment in (Containment.VERIFIED, Containment.INCOMPLETE) and not pods_deleted(view)
    if view.state is IncidentState.RELEASED:
        if view.containment is Containment.NONE and not view.changes:
            return "It was released before anything had been changed."
        return "Everything that Firebreak changed was undone, where it still was as Firebreak left it."
    if view.state is IncidentState.DENIED and holds:
        return f"{_STATES[view.state]} Containment stays until somebody releases it."
    return _STATES[view.state]
