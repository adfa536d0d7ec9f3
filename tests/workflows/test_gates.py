"""Which decisions count. Every other one is recorded and leaves the gate as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.incidents import Decision
from contracts.states import GateState
from plans.model import Gate, Plan
from plans.planner import make_plan
from plans.policy import load_policy
from tests.workflows.conftest import finding
from tests.workflows.fakes import ALL_BUT_PODS, IMAGE, observed
from workflows.gates import GateBoard

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INCIDENT = "gd/111122223333/eu-central-1/f"


def plan(policy: str = "gates: {eradicate: {deadline: 1h}}") -> Plan:
    return make_plan(finding(), observed(), load_policy(policy), unbuilt=ALL_BUT_PODS)


def board(policy: str = "gates: {eradicate: {deadline: 1h}}") -> GateBoard:
    numbers = count(1)
    return GateBoard(INCIDENT, plan(policy), NOW, lambda: f"nonce-{next(numbers)}")


def decision(on: GateBoard, **changed: object) -> Decision:
    view = next(v for v in on.views() if v.gate is Gate.ERADICATE)
    fields = {
        "incident": INCIDENT, "gate": "eradicate", "digest": view.digest, "nonce": view.nonce, "decision": "approve",
        "by": "ada", "reason": "agreed", "expires": NOW + timedelta(minutes=10), "image": IMAGE,
    }  # fmt: skip
    return Decision.model_validate(fields | changed)


def test_a_complete_decision_opens_the_gate() -> None:
    gates = board()
    assert gates.decide(decision(gates), NOW, "update").accepted
    assert gates.state(Gate.ERADICATE) is GateState.OPEN
    assert gates.image(Gate.ERADICATE) == IMAGE


@pytest.mark.parametrize(
    "changed",
    [
        {"incident": ""},
        {"incident": INCIDENT + "x"},
        {"digest": ""},
        {"digest": "sha256:" + "0" * 64},
        {"nonce": ""},
        {"nonce": "nonce-0"},
        {"by": ""},
        {"by": "   "},
        {"reason": ""},
        {"decision": ""},
        {"decision": "APPROVE"},
        {"expires": None},
        {"expires": NOW},
        {"expires": NOW - timedelta(seconds=1)},
        {"expires": datetime(2030, 1, 1)},
        {"image": ""},
        {"image": "registry.example/shop/checkout:1"},
        {"image": "registry.example/shop/checkout@sha256:" + "b" * 63},
        {"image": IMAGE + "\n"},
    ],
)
@pytest.mark.parametrize("channel", ["update", "signal"])
def test_a_decision_that_lacks_anything_is_recorded_and_leaves_the_gate_shut(
    changed: dict[str, object], channel: str
) -> None:
    gates = board()
    answer = gates.decide(decision(gates, **changed), NOW, channel)
    view = gates.views()[-1]
    assert not answer.accepted
    assert answer.message
    assert view.state is GateState.WAITING
    assert [(d.counted, d.channel, bool(d.note)) for d in view.decisions] == [(False, channel, True)]


def test_a_decision_for_a_gate_that_is_not_there_is_recorded_too() -> None:
    gates = board()
    assert not gates.decide(decision(gates, gate="terminate\x1b[31m"), NOW, "signal").accepted
    assert len(gates.rejected) == 1
    assert "\x1b" not in gates.rejected[0].gate


def test_the_same_decision_again_does_not_count_twice() -> None:
    gates = board("gates: {eradicate: {approvals: 2}}")
    first = decision(gates)
    assert gates.decide(first, NOW, "update").accepted
    assert not gates.decide(first, NOW, "update").accepted
    assert not gates.decide(decision(gates, reason="again"), NOW, "signal").accepted
    assert gates.state(Gate.ERADICATE) is GateState.WAITING
    assert gates.decide(decision(gates, by="grace"), NOW, "update").accepted
    assert gates.state(Gate.ERADICATE) is GateState.OPEN


def test_two_people_must_name_the_same_image() -> None:
    gates = board("gates: {eradicate: {approvals: 2}}")
    gates.decide(decision(gates), NOW, "update")
    assert not gates.decide(decision(gates, by="grace", image=IMAGE.replace("b", "c")), NOW, "update").accepted
    assert gates.state(Gate.ERADICATE) is GateState.WAITING


def test_one_denial_shuts_the_gate_whatever_was_approved_before() -> None:
    gates = board("gates: {eradicate: {approvals: 2}}")
    gates.decide(decision(gates), NOW, "update")
    assert gates.decide(decision(gates, by="grace", decision="deny", image=""), NOW, "update").accepted
    assert gates.state(Gate.ERADICATE) is GateState.DENIED
    assert not gates.decide(decision(gates, by="linus"), NOW, "update").accepted


def test_reopening_forgets_old_approvals_and_nonces() -> None:
    gates = board("gates: {eradicate: {approvals: 2}}")
    old = decision(gates)
    gates.decide(old, NOW, "update")
    assert gates.reopen(Gate.ERADICATE, NOW)
    assert not gates.decide(decision(gates, by="grace", nonce=old.nonce), NOW, "update").accepted
    gates.decide(decision(gates, by="grace"), NOW, "update")
    assert gates.state(Gate.ERADICATE) is GateState.WAITING, "one of two; the approval before the reopening is gone"


def test_expiry_and_the_way_back() -> None:
    gates = board()
    later = NOW + timedelta(hours=2)
    assert gates.expire(NOW + timedelta(minutes=59)) == []
    assert gates.expire(later) == [Gate.ERADICATE]
    late = decision(gates, expires=later + timedelta(minutes=1))
    assert not gates.decide(late.model_copy(update={"decision": "deny"}), later, "update").accepted
    assert gates.state(Gate.ERADICATE) is GateState.EXPIRED
    answer = gates.decide(late, later, "update")
    assert (answer.accepted, answer.state) == (False, GateState.WAITING)
    assert not gates.decide(late, later, "update").accepted, "it names the old nonce"
    assert gates.decide(decision(gates, expires=later + timedelta(minutes=1)), later, "update").accepted


def test_a_closed_gate_stays_closed() -> None:
    gates = board()
    gates.close()
    assert not gates.decide(decision(gates), NOW, "update").accepted
    assert not gates.reopen(Gate.ERADICATE, NOW)
    assert gates.state(Gate.CONTAIN) is GateState.OPEN, "what was passed before is not taken back"


def test_a_flood_of_bad_decisions_does_not_grow_the_state_without_bound() -> None:
    gates = board()
    for _ in range(1000):
        gates.decide(decision(gates, nonce="x"), NOW, "signal")
    assert len(gates.views()[-1].decisions) <= 200


@given(
    st.fixed_dictionaries(
        {n: st.text(max_size=20) for n in ("incident", "gate", "digest", "nonce", "decision", "by", "reason", "image")}
    )
)
def test_whatever_text_is_sent_only_the_right_words_open_a_gate(fields: dict[str, str]) -> None:
    gates = board()
    answer = gates.decide(Decision(**fields, expires=NOW + timedelta(minutes=1)), NOW, "signal")
    assert not answer.accepted
    assert gates.state(Gate.ERADICATE) is GateState.WAITING
