"""What became of the things in the picture, in two or three words of our own."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from contracts.common import PodTarget
from contracts.incidents import IncidentView
from contracts.states import Containment, IncidentState, StepState


class Tone(StrEnum):
    """How a box is drawn; its words say the same."""

    PLAIN = "plain"
    OPEN = "open"
    SHUT = "shut"


class Fate(NamedTuple):
    """What became of one thing."""

    words: str
    tone: Tone


NOTHING_SAID: Final = Fate("", Tone.PLAIN)
NAMED: Final = Fate("named by the plan", Tone.PLAIN)
_LEFT: Final = Fate("left as it is", Tone.PLAIN)


def steps_done(view: IncidentView) -> frozenset[str]:
    """The steps that were carried out."""
    return frozenset(s.step for s in view.steps if s.state is StepState.DONE)


def pod_fate(view: IncidentView, pod: PodTarget, *, deleted: bool) -> Fate:
    """Of a pod; what was proved of the incident was proved of each of its pods."""
    if deleted:
        return Fate("deleted", Tone.SHUT)
    if _untouched(view):
        return _LEFT
    if pod.unreachable:
        return Fate("out of reach of a policy", Tone.OPEN)
    match view.containment:
        case Containment.VERIFIED:
            return Fate("cut off", Tone.SHUT)
        case Containment.INCOMPLETE:
            return Fate("not proved to be cut off", Tone.OPEN)
        case Containment.RELEASED:
            return Fate("no longer cut off", Tone.PLAIN)
        case _:
            return Fate("not cut off", Tone.OPEN)


def node_fate(view: IncidentView) -> Fate:
    """Of a node that the plan acts on."""
    done = steps_done(view)
    if "node.terminate" in done:
        return Fate("terminated", Tone.SHUT)
    for step, word in (("node.isolate", "isolated"), ("node.cordon", "cordoned")):
        if step in done and _holds(view):
            return Fate(word, Tone.SHUT)
    return _LEFT if _untouched(view) or not _holds(view) else Fate("a target of the plan", Tone.OPEN)


def subject_fate(view: IncidentView) -> Fate:
    """Of the identity that the finding accuses."""
    done = steps_done(view)
    if "user.cut_off" in done and _holds(view):
        return Fate("cut off", Tone.SHUT)
    return Fate("account recreated", Tone.SHUT) if "user.recreate_account" in done else NOTHING_SAID


def change_fate(undone: bool) -> Fate:
    """Of an identity, a right or a secret that was changed."""
    return Fate("change undone", Tone.PLAIN) if undone else Fate("changed", Tone.SHUT)


def _holds(view: IncidentView) -> bool:
    return view.containment is not Containment.RELEASED


def _untouched(view: IncidentView) -> bool:
    return view.state is IncidentState.PLAN_ONLY or view.containment is Containment.NOT_APPLICABLE
