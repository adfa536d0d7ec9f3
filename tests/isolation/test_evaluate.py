from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.isolation.evaluate import Direction, openings, policy_rule
from contracts.changes import deny_all_spec

DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def found(labels: dict[str, str], *specs: dict[str, Any]) -> list[tuple[str, str | None]]:
    rules = [policy_rule({"metadata": {"name": f"p{i}"}, "spec": spec}) for i, spec in enumerate(specs)]
    return [(o.direction.value, o.policy) for o in openings(labels, rules)]


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ([], [("Ingress", None), ("Egress", None)]),
        ([DENY], []),
        ([{"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Ingress", "Egress"]}],
         [("Ingress", None), ("Egress", None)]),
        # An ingress policy leaves egress to others.
        ([{"podSelector": {}, "policyTypes": ["Ingress"]}], [("Egress", None)]),
        ([{"podSelector": {}, "policyTypes": ["Egress"]}], [("Ingress", None)]),
        # Without policyTypes: ingress always, egress only with a rule for it.
        ([{"podSelector": {}}], [("Egress", None)]),
        ([{"podSelector": {}, "egress": [{}]}], [("Egress", "p0")]),
        # Rules of a direction that policyTypes leaves out do nothing.
        ([DENY, {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{}]}], []),
        # Policies add up: one that allows reopens what another denies.
        ([DENY, {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}], [("Ingress", "p1")]),
        ([DENY, {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [], "ports": []}]}],
         [("Egress", "p1")]),
        ([DENY, {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}],
         [("Ingress", "p1")]),
        ([DENY, {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}],
         [("Ingress", "p1"), ("Egress", "p1")]),
        ([DENY, {"podSelector": {}, "ingress": []}], []),
        ([DENY, {"podSelector": {}, "ingress": None}], []),
        # A selector that is absent selects every pod, as the API server stores it.
        ([DENY, {"policyTypes": ["Ingress"], "ingress": [{}]}], [("Ingress", "p1")]),
    ],
)  # fmt: skip
def test_openings(specs: list[dict[str, Any]], expected: list[tuple[str, str | None]]) -> None:
    assert found({"app": "web"}, *specs) == expected


def test_the_deny_all_policy_closes_a_quarantined_pod_and_no_other() -> None:
    assert found({"firebreak.dev/quarantined": "true"}, deny_all_spec()) == []
    assert len(found({"firebreak.dev/quarantined": "false"}, deny_all_spec())) == 2


# The oracle shares nothing with the code under test: it lists every pod of a small world, works out which of them a
# selector takes in as a set, and lets a packet pass by the words of the documentation.
KEYS, VALUES = ("app", "tier"), ("a", "b")
WORLD = [
    {k: v for k, v in zip(KEYS, choice, strict=True) if v}
    for choice in [(x, y) for x in ("", *VALUES) for y in ("", *VALUES)]
]
expressions = st.builds(
    lambda key, operator, values: {
        "key": key,
        "operator": operator,
        **({"values": values} if operator in ("In", "NotIn") else {}),
    },
    st.sampled_from(KEYS),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=2),
)
selectors = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2),
        "matchExpressions": st.lists(expressions, max_size=2),
    },
)
rule_lists = st.lists(st.sampled_from([{}, {"from": []}, {"ports": [{"port": 80}]}]), max_size=2)
specs = st.fixed_dictionaries(
    {"podSelector": selectors},
    optional={
        "policyTypes": st.lists(st.sampled_from(["Ingress", "Egress"]), unique=True, max_size=2),
        "ingress": rule_lists,
        "egress": rule_lists,
    },
)


def members(selector: dict[str, Any]) -> set[int]:
    everybody = set(range(len(WORLD)))
    chosen = set(everybody)
    for key, value in selector.get("matchLabels", {}).items():
        chosen &= {i for i in everybody if WORLD[i].get(key) == value}
    for e in selector.get("matchExpressions", []):
        having = {i for i in everybody if e["key"] in WORLD[i]}
        listed = {i for i in having if WORLD[i][e["key"]] in e.get("values", [])}
        chosen &= {
            "In": listed, "NotIn": everybody - listed, "Exists": having, "DoesNotExist": everybody - having,
        }[e["operator"]]  # fmt: skip
    return chosen


def packet_may_pass(index: int, direction: str, policies: list[dict[str, Any]]) -> bool:
    isolated = False
    for spec in policies:
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        if direction not in types or index not in members(spec["podSelector"]):
            continue
        isolated = True
        if len(spec.get(direction.lower(), [])) > 0:
            return True
    return not isolated


@given(st.lists(specs, max_size=4))
def test_a_pod_is_closed_exactly_when_no_packet_may_pass(policies: list[dict[str, Any]]) -> None:
    rules = [policy_rule({"metadata": {"name": f"p{i}"}, "spec": spec}) for i, spec in enumerate(policies)]
    for index, labels in enumerate(WORLD):
        open_ways = {o.direction.value for o in openings(labels, rules)}
        assert open_ways == {d.value for d in Direction if packet_may_pass(index, d.value, policies)}
