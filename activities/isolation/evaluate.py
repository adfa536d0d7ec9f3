"""Whether NetworkPolicies let any traffic to or from a pod: pure, from the objects alone.

Policies add up. A pod is closed in a direction when at least one policy of its namespace selects it for that direction,
and none that does has a rule there. Any rule counts as an opening, whatever its peers and ports say: an empty `from`
means everybody, an ipBlock may be the attacker's, and a selector that matches nothing now may match something later.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from activities.isolation.selectors import matches
from clients.kubernetes import JsonObject


class Direction(StrEnum):
    """The two directions of traffic, as `policyTypes` names them."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


@dataclass(frozen=True)
class Opening:
    """A way in or out of a pod. `policy` is the one that allows it; None when no policy closes the direction at all."""

    direction: Direction
    policy: str | None


@dataclass(frozen=True)
class PolicyRule:
    """What one NetworkPolicy says, reduced to what the evaluation asks. `opens` holds the directions with a rule."""

    name: str
    selector: Mapping[str, Any]
    directions: frozenset[Direction]
    opens: frozenset[Direction]


def policy_rule(policy: JsonObject) -> PolicyRule:
    """Read one NetworkPolicy."""
    spec = policy.get("spec") or {}
    rules = {Direction.INGRESS: spec.get("ingress") or (), Direction.EGRESS: spec.get("egress") or ()}
    types = spec.get("policyTypes")
    if types:
        directions = frozenset(d for d in Direction if d.value in types)
    else:
        # Left out, every policy is one for ingress, and one for egress only if it has a rule for it.
        directions = frozenset({Direction.INGRESS} | ({Direction.EGRESS} if rules[Direction.EGRESS] else set()))
    return PolicyRule(
        name=str(policy["metadata"]["name"]),
        # The API server stores an absent selector as {}, which selects every pod of the namespace.
        selector=spec.get("podSelector") or {},
        directions=directions,
        opens=frozenset(d for d in directions if rules[d]),
    )


def openings(labels: Mapping[str, str], policies: Iterable[PolicyRule]) -> list[Opening]:
    """Everything that lets traffic to or from a pod with these labels; empty means that it is closed both ways.

    Args:
        labels: The pod's labels.
        policies: All NetworkPolicies of the pod's namespace.
    """
    selecting = [p for p in policies if p.directions and matches(p.selector, labels)]
    found: list[Opening] = []
    for direction in Direction:
        if not any(direction in p.directions for p in selecting):
            found.append(Opening(direction, None))
        found.extend(Opening(direction, p.name) for p in selecting if direction in p.opens)
    return found
