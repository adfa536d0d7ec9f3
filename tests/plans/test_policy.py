"""The policy file: what its defaults are, what it refuses, and which field it blames."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from errors import InputError
from plans.model import Gate, Verdict
from plans.policy import PROTECTED_NAMESPACES, PROTECTED_PRINCIPALS, Policy, Protected, load_policy

HERE = Path(__file__).parent
EXAMPLE = (HERE / "policy.example.yaml").read_text(encoding="utf-8")
DOCUMENT = (HERE.parents[1] / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "{}", "rules: []", "gates: {contain: {}}"])
def test_what_is_left_out_keeps_its_default(text: str) -> None:
    assert load_policy(text) == Policy()


def test_defaults_are_the_guides_table_and_the_designs_numbers() -> None:
    policy = Policy()
    modes = {gate: policy.gate(gate).mode for gate in Gate}
    assert modes == {
        Gate.CONTAIN: Verdict.AUTO,
        Gate.CREDENTIALS: Verdict.APPROVAL,
        Gate.ERADICATE: Verdict.APPROVAL,
        Gate.TERMINATE: Verdict.APPROVAL,
    }
    assert {policy.gate(gate).deadline for gate in Gate} == {86_400}
    assert {policy.gate(gate).approvals for gate in Gate} == {1}
    assert policy.gate(Gate.CONTAIN).auto_from_severity == 7.0
    hourly = policy.budget.containments_per_hour
    assert (hourly.cluster, hourly.namespace) == (20, 10)
    assert (policy.budget.nodes_percent, policy.budget.incident_pods, policy.budget.incident_nodes) == (10, 50, 3)
    assert (policy.provenance.required, policy.provenance.max_age) == (True, 86_400)
    assert {"kube-system", "amazon-guardduty", "firebreak", "temporal"} <= set(policy.protected.namespaces)


def test_changing_one_key_of_a_gate_leaves_its_others() -> None:
    contain = load_policy("gates: {contain: {approvals: 2}}").gates.contain
    assert (contain.mode, contain.approvals, contain.deadline) == (Verdict.AUTO, 2, 86_400)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("90m", 5400),
        ("24h", 86_400),
        ("3d", 259_200),
        ("1d12h", 129_600),
        ("1h1m1s", 3661),
        ("90d", 7776000),
    ],
)
def test_durations(written: str, seconds: int) -> None:
    assert load_policy(f"gates: {{contain: {{deadline: {written}}}}}").gates.contain.deadline == seconds


def test_the_file_adds_to_what_is_protected_and_cannot_shorten_it() -> None:
    protected = load_policy("protected: {namespaces: [mine, kube-system], principals: []}").protected
    assert protected.namespaces == (*PROTECTED_NAMESPACES, "mine")
    assert protected.principals == PROTECTED_PRINCIPALS
    assert Protected(namespaces=()).namespaces == PROTECTED_NAMESPACES


ERRORS = [
    ("rulez: []", "rulez", "rules"),
    ("gates: {contane: {}}", "gates.contane", "contain"),
    (
        "rules: [{when: {severity_at_leest: 3}, set: {approvals: 1}}]",
        "rules[0].when.severity_at_leest",
        "severity_at_least",
    ),
    ('rules: [{when: {severity_at_least: "3"}, set: {approvals: 1}}]', "rules[0].when.severity_at_least", "a number"),
    ("rules: [{when: {severity_at_least: true}, set: {approvals: 1}}]", "rules[0].when.severity_at_least", "a number"),
    ("rules: [{when: {severity_at_least: 11}, set: {approvals: 1}}]", "rules[0].when.severity_at_least", "10"),
    (
        "rules: [{when: {severity_at_least: 5, severity_below: 5}, set: {approvals: 1}}]",
        "rules[0].when",
        "severity_below",
    ),
    ("rules: [{when: {gates: [contain, kontain]}, set: {approvals: 1}}]", "rules[0].when.gates[1]", "'contain'"),
    ("rules: [{when: {gates: []}, set: {approvals: 1}}]", "rules[0].when", "at least one value"),
    ("rules: [{when: {namespaces: ['']}, set: {approvals: 1}}]", "rules[0].when.namespaces[0]", "at least 1 char"),
    ("rules: [{when: {namespaces: shop}, set: {approvals: 1}}]", "rules[0].when.namespaces", "a list"),
    ("rules: [{when: {accounts: [123456789012]}, set: {approvals: 1}}]", "rules[0].when.accounts[0]", "in quotes"),
    ("rules: [{when: {accounts: ['12']}, set: {approvals: 1}}]", "rules[0].when.accounts[0]", "pattern"),
    ("rules: [{set: {approvals: 1}}, {set: {}}]", "rules[1].set", "at least one of mode"),
    ("rules: [{when: {}}]", "rules[0].set", "required"),
    ("rules: [{set: {mode: auto}}]", "rules[0]", "when.gates"),
    ("rules: [{when: {severity_at_least: 9}, set: {mode: auto}}]", "rules[0]", "when.gates"),
    ("rules: {set: {mode: never}}", "rules", "a list"),
    ("gates: {contain: {mode: automatic}}", "gates.contain.mode", "'auto', 'approval' or 'never'"),
    ("gates: {contain: {approvals: 3}}", "gates.contain.approvals", "1 or 2"),
    ("gates: {contain: {approvals: true}}", "gates.contain.approvals", "a whole number"),
    ("gates: {contain: {deadline: 24}}", "gates.contain.deadline", "its unit"),
    ("gates: {contain: {deadline: soon}}", "gates.contain.deadline", "its unit"),
    ("gates: {contain: {deadline: ''}}", "gates.contain.deadline", "its unit"),
    ("gates: {contain: {deadline: 0s}}", "gates.contain.deadline", "between 1s and 90d"),
    ("gates: {contain: {deadline: 91d}}", "gates.contain.deadline", "between 1s and 90d"),
    ("gates: {contain: {deadline: 12h 1d}}", "gates.contain.deadline", "its unit"),
    ("gates:", "gates", "keys with values"),
    ("budget: {incident_pods: -1}", "budget.incident_pods", "greater than or equal to 0"),
    ("budget: {incident_pods: 1.5}", "budget.incident_pods", "a whole number"),
    ("budget: {incident_pods: .inf}", "policy.budget.incident_pods", "finite"),
    ("provenance: {required: 1}", "provenance.required", "true or false"),
    ("provenance: {required: 'no'}", "provenance.required", "true or false"),
    ("protected: {namespaces: [1]}", "protected.namespaces[0]", "in quotes"),
    ("budget: {incident_pods: 1, incident_pods: 9}", "policy, line 1", "every key once"),
    ("budget: &b {incident_pods: 1}", "policy, line 1", "no anchors"),
    ("a: [1]\nb: *a", "policy, line 2", "no anchors"),
    ("budget: !!map {incident_pods: 1}", "policy, line 1", "no tags"),
    ("budget: !!python/object/apply:os.system ['true']", "policy, line 1", "no tags"),
    ("rules: []\n---\nrules: []", "policy, line 2", "one document"),
    ("budget: {1: 2}", "policy.budget", "keys that are text"),
    ("budget: {incident_pods: 2024-01-01}", "policy.budget.incident_pods", "dates in quotes"),
    ("- a", "policy", "a mapping"),
    ("just words", "policy", "a mapping"),
    ("rules: [", "policy, line 1", "YAML"),
    ("rules:\n\t- a", "policy, line 2", "YAML"),
    ("rules: \x00", "policy", "YAML"),
    ("[" * 5000, "policy, line 1", "levels"),
    ("#" * 262_145, "policy", "256 KB"),
    ("x: " + "é" * 131_072, "policy", "256 KB"),
]


@pytest.mark.parametrize(("text", "field", "expected"), ERRORS, ids=[e[0][:40] for e in ERRORS])
def test_an_error_names_the_field_and_what_was_expected(text: str, field: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_policy(text)
    assert caught.value.field == field
    assert expected in caught.value.message


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean severity_at_least"):
        load_policy("rules: [{when: {Severity_at_leest: 3}, set: {approvals: 1}}]")


def test_further_errors_are_counted() -> None:
    with pytest.raises(InputError, match="2 more after this"):
        load_policy("{a: 1, b: 2, c: 3}")


def test_a_bomb_is_refused_before_it_is_built() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    started = time.monotonic()
    with pytest.raises(InputError, match="no anchors"):
        load_policy("\n".join(lines))
    assert time.monotonic() - started < 2


def test_a_large_plain_file_is_refused_in_time() -> None:
    with pytest.raises(InputError, match="50000 values"):
        load_policy("x: [" + "1," * 120_000 + "]")


def test_a_policy_survives_its_own_json() -> None:
    policy = load_policy(EXAMPLE)
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
    assert Policy.model_validate(policy.model_dump()) == policy


def test_the_digest_is_of_what_is_said_not_of_how() -> None:
    spelled_out = load_policy("gates: {contain: {mode: auto, deadline: 1d}}  # as by default")
    assert spelled_out.digest == Policy().digest
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", Policy().digest)
    for change in ("budget: {incident_pods: 51}", "rules: [{set: {approvals: 2}}]", "protected: {namespaces: [x]}"):
        assert load_policy(change).digest != Policy().digest


def test_a_policy_is_frozen_and_knows_no_other_keys() -> None:
    with pytest.raises(ValidationError):
        Policy().rules = ()  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Policy.model_validate({"unknown": 1})


def test_the_documented_example_is_the_one_that_is_tested() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    assert blocks == [EXAMPLE]


def test_the_example_says_what_its_document_says() -> None:
    policy = load_policy(EXAMPLE)
    assert policy.gates.eradicate.approvals == 2
    assert policy.gates.eradicate.deadline == 43_200
    assert [rule.set.mode for rule in policy.rules] == [Verdict.AUTO, Verdict.APPROVAL, Verdict.NEVER, None]
    assert policy.protected.namespaces[-1] == "ingress-nginx"


def test_the_document_names_every_key_and_every_protected_name() -> None:
    schema = Policy.model_json_schema()
    keys = {key for part in (schema, *schema["$defs"].values()) for key in part.get("properties", {})}
    for word in (*keys, *PROTECTED_NAMESPACES, *(p for p in PROTECTED_PRINCIPALS if "serviceaccount" not in p)):
        assert word in DOCUMENT, word


def test_planning_does_not_import_the_yaml_parser() -> None:
    # Workflow code imports `plans` inside Temporal's sandbox; only the activity that reads the file may load a parser.
    code = "import sys, plans.planner, plans.document; sys.exit('ruamel' in str(sorted(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parents[1])
