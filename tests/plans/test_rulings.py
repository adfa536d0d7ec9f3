"""What the policy says of a step: defaults, rules, several namespaces, and causes that stand above all rules."""

from __future__ import annotations

from typing import Any

import pytest

from plans.model import Gate, Verdict
from plans.policy import Policy, load_policy
from plans.rulings import Circumstances, Ruling, keep_from_opening, rule_on

AUTO, APPROVAL, NEVER = Verdict.AUTO, Verdict.APPROVAL, Verdict.NEVER


def about(**more: Any) -> Circumstances:
    fields: dict[str, Any] = {
        "gate": Gate.CONTAIN,
        "severity": 8.0,
        "finding_type": "Execution:Runtime/ReverseShell",
        "account": "111122223333",
        "cluster": "prod-1",
        "namespaces": ("shop",),
    }
    return Circumstances(**{**fields, **more})


def ruled(rules: str, **more: Any) -> Ruling:
    return rule_on(load_policy(f"rules: [{rules}]"), about(**more))


@pytest.mark.parametrize(("severity", "mode"), [(6.99, APPROVAL), (7.0, AUTO), (10.0, AUTO), (0.0, APPROVAL)])
def test_containment_opens_by_itself_from_seven(severity: float, mode: Verdict) -> None:
    ruling = rule_on(Policy(), about(severity=severity))
    assert ruling.mode is mode
    assert "everity" in ruling.reason


@pytest.mark.parametrize("gate", [Gate.CREDENTIALS, Gate.ERADICATE, Gate.TERMINATE])
def test_every_other_gate_waits_at_any_severity(gate: Gate) -> None:
    assert rule_on(Policy(), about(gate=gate, severity=10.0)).mode is APPROVAL


def test_the_threshold_holds_for_every_gate_that_opens_by_itself() -> None:
    policy = load_policy("gates: {eradicate: {mode: auto, auto_from_severity: 9}}")
    assert rule_on(policy, about(gate=Gate.ERADICATE, severity=8.9)).mode is APPROVAL
    assert rule_on(policy, about(gate=Gate.ERADICATE, severity=9.0)).mode is AUTO


def test_a_gate_can_be_closed_for_good() -> None:
    policy = load_policy("gates: {contain: {mode: never}}")
    assert rule_on(policy, about(severity=10.0)).mode is NEVER


def test_a_rule_opens_below_the_threshold_and_says_which_rule_and_why() -> None:
    ruling = ruled(
        "{when: {gates: [contain], severity_at_least: 4}, set: {mode: auto}, reason: Cheap pods.}", severity=4
    )
    assert ruling.mode is AUTO
    assert ruling.reason == "rules[0] of the policy says auto: Cheap pods."


CONDITIONS = [
    ("gates: [contain, terminate]", {}, {"gate": Gate.CREDENTIALS}),
    ("severity_at_least: 8", {}, {"severity": 7.9}),
    ("severity_below: 8", {"severity": 7.9}, {}),
    ("namespaces: ['sh*']", {}, {"namespaces": ("other",)}),
    ("namespaces: ['*']", {}, {"namespaces": ()}),
    ("accounts: ['111122223333']", {}, {"account": "999999999999"}),
    ("clusters: ['prod-?']", {}, {"cluster": "prod-10"}),
    ("finding_types: ['*:Runtime/*']", {}, {"finding_type": "Impact:Kubernetes/TorIPCaller"}),
    ("finding_types: ['execution:*']", {"finding_type": "execution:x"}, {}),
]


@pytest.mark.parametrize(("when", "yes", "no"), CONDITIONS, ids=[c[0] for c in CONDITIONS])
def test_each_condition_decides_alone(when: str, yes: dict[str, Any], no: dict[str, Any]) -> None:
    rule = f"{{when: {{{when}}}, set: {{mode: never}}}}"
    assert ruled(rule, **yes).mode is NEVER
    assert ruled(rule, **no).mode is not NEVER


def test_all_conditions_of_a_rule_must_hold() -> None:
    rule = "{when: {namespaces: [shop], severity_at_least: 9}, set: {mode: never}}"
    assert ruled(rule, severity=8).mode is AUTO
    assert ruled(rule, severity=9).mode is NEVER


def test_the_first_rule_that_sets_a_field_decides_that_field() -> None:
    ruling = ruled(
        "{set: {approvals: 2}}, {when: {namespaces: [shop]}, set: {mode: approval, approvals: 1, deadline: 1h}},"
        "{set: {mode: never, deadline: 2h}}"
    )
    assert (ruling.mode, ruling.approvals, ruling.deadline) == (APPROVAL, 2, 3600)
    assert ruling.reason.startswith("rules[1] ")


def test_a_rule_that_does_not_match_is_passed_over() -> None:
    ruling = ruled("{when: {namespaces: [other]}, set: {mode: never}}, {set: {mode: approval}}")
    assert ruling.reason.startswith("rules[1] ")


def test_over_several_namespaces_the_strictest_ruling_holds() -> None:
    rules = (
        "{when: {namespaces: [loose], gates: [contain]}, set: {mode: auto, approvals: 2, deadline: 3h}},"
        "{when: {namespaces: [closed]}, set: {mode: never, deadline: 4h}}"
    )
    low = {"severity": 1.0}
    assert ruled(rules, namespaces=("loose",), **low).mode is AUTO
    assert ruled(rules, namespaces=("loose", "shop"), **low).mode is APPROVAL
    assert ruled(rules, namespaces=("shop", "loose"), **low).mode is APPROVAL
    both = ruled(rules, namespaces=("loose", "closed", "shop"), **low)
    assert (both.mode, both.approvals, both.deadline) == (NEVER, 2, 10_800)


def test_a_cause_turns_auto_into_approval_and_nothing_else() -> None:
    opening = rule_on(Policy(), about())
    assert keep_from_opening(opening, []) is opening
    kept = keep_from_opening(opening, ["One.", "Two."])
    assert (kept.mode, kept.reason) == (APPROVAL, "One. Two.")
    closed = opening._replace(mode=NEVER)
    assert keep_from_opening(closed, ["One."]) is closed


def test_a_low_severity_is_said_together_with_other_causes() -> None:
    kept = keep_from_opening(rule_on(Policy(), about(severity=5)), ["One."])
    assert kept.mode is APPROVAL
    assert kept.reason.startswith("Severity 5 is below 7")
    assert kept.reason.endswith(" One.")


def test_a_cause_is_not_given_as_the_reason_of_a_gate_that_waits_anyway() -> None:
    waiting = rule_on(Policy(), about(gate=Gate.ERADICATE))
    assert keep_from_opening(waiting, ["One."]).reason == waiting.reason
