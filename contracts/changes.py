"""How containment's changes look, derived from the targets alone: the same in `assess`, `isolate` and `release`."""

from __future__ import annotations

from pydantic import JsonValue

from contracts.common import PodTarget
from contracts.names import HOLD_LABEL, LABEL_ON, QUARANTINE_POLICY, QUARANTINED_LABEL
from plans.model import Change, ResourceRef


def pointer(*parts: str) -> str:
    """A JSON pointer (RFC 6901) from its parts."""
    return "".join("/" + p.replace("~", "~0").replace("/", "~1") for p in parts)


def pointer_parts(pointer: str) -> list[str]:
    """The parts of a JSON pointer."""
    return [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]


QUARANTINED_FIELD = pointer("metadata", "labels", QUARANTINED_LABEL)
HOLD_FIELD = pointer("metadata", "labels", HOLD_LABEL)
SELECTOR_FIELD = pointer("spec", "podSelector", "matchExpressions")


def quarantine_change(pod: PodTarget, step: str) -> Change:
    """The two labels on one pod. Admission keeps others from setting them, so absent is the only before-state."""
    return Change(
        step=step,
        resource=pod.ref,
        summary="quarantined and held by two labels",
        before={QUARANTINED_FIELD: None, HOLD_FIELD: None},
        after={QUARANTINED_FIELD: LABEL_ON, HOLD_FIELD: LABEL_ON},
    )


def deny_all_change(namespace: str, step: str) -> Change:
    """The deny-all policy of one namespace, created unless it stands already."""
    return Change(
        step=step,
        resource=ResourceRef(kind="NetworkPolicy", namespace=namespace, name=QUARANTINE_POLICY),
        summary="deny-all policy for quarantined pods",
        before={"": None},
        after={"": deny_all_spec()},
    )


def deny_all_spec() -> dict[str, JsonValue]:
    """The spec of the deny-all policy: both directions, no rule (design: Isolation, 1)."""
    return {
        "podSelector": {"matchLabels": {QUARANTINED_LABEL: LABEL_ON}},
        "policyTypes": ["Ingress", "Egress"],
    }
