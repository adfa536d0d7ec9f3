"""The gates of one incident: who decided what, what counts, and when a gate is open. Pure: time and nonces come in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.incidents import Decision, DecisionAnswer, DecisionRecord, GateView
from contracts.states import GateState, Verb
from plans.model import Gate, GateTerms, Plan, Verdict

_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]{0,255}@sha256:[0-9a-f]{64}")
_LONGEST = 500
_MOST_RECORDS = 200
_SETTLED = {
    GateState.OPEN: "is open already",
    GateState.DENIED: "was denied; `firebreak retry` with one of its steps opens the question again",
    GateState.CLOSED: "is closed",
}


@dataclass
class _Entry:
    terms: GateTerms
    steps: tuple[str, ...]
    needs_image: bool
    state: GateState
    nonce: str = ""
    deadline: datetime | None = None
    approved_by: list[str] = field(default_factory=list)
    image: str = ""
    decisions: list[DecisionRecord] = field(default_factory=list)


class GateBoard:
    """Takes decisions for the gates of one plan.

    A decision counts only when it names this incident, a waiting gate, the digest of that gate's steps and the current
    nonce, a person and a reason, and has not expired. Everything else is recorded and leaves the gate as it was.
    """

    def __init__(self, incident: str, plan: Plan, now: datetime, nonce: Callable[[], str]) -> None:
        self._incident = incident
        self._nonce = nonce
        self._gates: dict[Gate, _Entry] = {}
        self.rejected: list[DecisionRecord] = []
        for terms in plan.gates:
            steps = [s for s in plan.steps if s.gate is terms.gate and s.decision is not Verdict.NEVER]
            # Containment that the policy allows does not wait for that which a person must approve beside it.
            waiting = [s for s in steps if terms.gate is not Gate.CONTAIN or s.decision is Verdict.APPROVAL]
            self._gates[terms.gate] = _Entry(
                terms=terms,
                steps=tuple(s.step for s in waiting or steps),
                needs_image=any(s.action == "redeploy" for s in steps),
                state=GateState.OPEN,
            )
            if terms.decision is not Verdict.AUTO:
                self._wait(self._gates[terms.gate], now)

    def _wait(self, entry: _Entry, now: datetime) -> None:
        entry.state = GateState.WAITING
        entry.nonce = self._nonce()
        entry.deadline = now + timedelta(seconds=entry.terms.deadline_seconds)
        entry.approved_by = []
        entry.image = ""

    def decide(self, decision: Decision, now: datetime, channel: str) -> DecisionAnswer:
        """Take one decision; the answer says what became of it."""
        gate = next((g for g in self._gates if g.value == decision.gate), None)
        if gate is None:
            names = ", ".join(g.value for g in self._gates) or "none"
            note = f"no gate {_clip(decision.gate)!r} in this incident (it has: {names})"
            self._record(self.rejected, decision, now, channel, note)
            return DecisionAnswer(accepted=False, message=note)
        entry = self._gates[gate]
        note = self._objection(entry, decision, now)
        self._record(entry.decisions, decision, now, channel, note)
        if note:
            return DecisionAnswer(accepted=False, message=note, gate=gate.value, state=entry.state)
        message = self._count(entry, decision)
        return DecisionAnswer(accepted=True, message=message, gate=gate.value, state=entry.state)

    def _objection(self, entry: _Entry, decision: Decision, now: datetime) -> str:
        """Why the decision does not count, or an empty string. Reopens an expired gate that somebody approves."""
        gate = entry.terms.gate.value
        missing = [n for n in ("by", "reason", "digest", "nonce") if not getattr(decision, n).strip()]
        if missing or decision.expires is None:
            return "the decision lacks " + ", ".join([*missing, *(["expires"] if decision.expires is None else [])])
        if decision.decision not in {v.value for v in Verb}:
            return "decision: expected approve or deny"
        if decision.incident != self._incident:
            return "the decision names another incident"
        if decision.digest != entry.terms.digest:
            return "the decision names another plan digest: look at the plan again"
        if decision.expires.tzinfo is None or decision.expires <= now:
            return "the decision has expired"
        if decision.nonce != entry.nonce:
            return "the decision names an old nonce: look at the incident again"
        if entry.state is GateState.EXPIRED:
            if decision.decision != Verb.APPROVE:
                return f"gate {gate} has expired; nothing will be done behind it"
            self._wait(entry, now)
            return f"gate {gate} had expired; it waits again, approve it once more"
        if entry.state is not GateState.WAITING:
            return f"gate {gate} {_SETTLED[entry.state]}"
        return self._objection_to_approval(entry, decision) if decision.decision == Verb.APPROVE else ""

    @staticmethod
    def _objection_to_approval(entry: _Entry, decision: Decision) -> str:
        if decision.by in entry.approved_by:
            return f"{_clip(decision.by)} has approved already; another person is needed"
        if entry.needs_image and not _IMAGE.fullmatch(decision.image):
            return "image: expected the fixed image as repository@sha256:<64 hexadecimal digits>"
        if entry.image and decision.image != entry.image:
            return "image: the first approval names another one"
        return ""

    @staticmethod
    def _count(entry: _Entry, decision: Decision) -> str:
        gate = entry.terms.gate.value
        if decision.decision == Verb.DENY:
            entry.state = GateState.DENIED
            return f"gate {gate} denied"
        entry.approved_by.append(decision.by)
        entry.image = decision.image
        lacking = entry.terms.approvals - len(entry.approved_by)
        if lacking > 0:
            return f"approval counted; gate {gate} needs {lacking} more"
        entry.state = GateState.OPEN
        return f"gate {gate} open"

    @staticmethod
    def _record(book: list[DecisionRecord], decision: Decision, now: datetime, channel: str, note: str) -> None:
        if len(book) >= _MOST_RECORDS:
            # A flood of bad decisions must not grow the state without bound; the history still has each signal.
            return
        book.append(
            DecisionRecord(
                by=_clip(decision.by),
                decision=_clip(decision.decision),
                reason=_clip(decision.reason),
                at=now,
                gate=_clip(decision.gate),
                counted=not note,
                note=note,
                channel=channel,
            )
        )

    def expire(self, now: datetime) -> list[Gate]:
        """Mark the gates whose deadline has passed; returns those that expired just now."""
        expired = [
            g for g, e in self._gates.items() if e.state is GateState.WAITING and e.deadline and e.deadline <= now
        ]
        for gate in expired:
            self._gates[gate].state = GateState.EXPIRED
        return expired

    def reopen(self, gate: Gate, now: datetime) -> bool:
        """Let a gate wait again, with a new nonce: after a failed step, or a retry after denial."""
        entry = self._gates.get(gate)
        if entry is None or entry.state is GateState.CLOSED:
            return False
        self._wait(entry, now)
        return True

    def close(self) -> None:
        """Nothing more may be decided: cancellation or release."""
        for entry in self._gates.values():
            if entry.state is not GateState.OPEN:
                entry.state = GateState.CLOSED

    def state(self, gate: Gate) -> GateState | None:
        """Where a gate stands, or None when the plan has no such gate."""
        return self._gates[gate].state if gate in self._gates else None

    def image(self, gate: Gate) -> str:
        """The fixed image that the approval of this gate named."""
        return self._gates[gate].image

    def in_state(self, state: GateState) -> tuple[Gate, ...]:
        """The gates that stand so, in order."""
        return tuple(g for g in Gate if g in self._gates and self._gates[g].state is state)

    def next_deadline(self) -> datetime | None:
        """When the next waiting gate expires."""
        return min(
            (e.deadline for e in self._gates.values() if e.state is GateState.WAITING and e.deadline), default=None
        )

    def views(self) -> tuple[GateView, ...]:
        """The gates as people see them, in order."""
        return tuple(
            GateView(
                gate=gate,
                state=e.state,
                digest=e.terms.digest,
                nonce=e.nonce,
                approvals=e.terms.approvals,
                approved_by=tuple(e.approved_by),
                deadline=e.deadline if e.state is GateState.WAITING else None,
                decisions=tuple(e.decisions),
                steps=e.steps,
                needs_image=e.needs_image,
            )
            for gate, e in sorted(self._gates.items(), key=lambda item: list(Gate).index(item[0]))
        )


def _clip(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable if len(printable) <= _LONGEST else printable[: _LONGEST - 1] + "…"
