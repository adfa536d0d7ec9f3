"""Whether Firebreak's ValidatingAdmissionPolicies are in force: read live for every proof, in two calls."""

from __future__ import annotations

from activities.isolation.objects import live_list
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path
from errors import Forbidden

ADMISSION_POLICIES = (
    "firebreak-hold-access",
    "firebreak-hold-change",
    "firebreak-hold-delete",
    "firebreak-network-policies",
    "firebreak-pod-marks",
    "firebreak-quarantine-selection",
)
"""The policies of deploy/admission.yaml; each has a binding of the same name. A test keeps the two alike."""

_SELECTOR = "app.kubernetes.io/name=firebreak"


def admission_problems(kubernetes: Kubernetes, *, cached: bool = False) -> list[str]:
    """What is wrong with the admission policies, one clause each; empty when all of them deny.

    Args:
        kubernetes: The door.
        cached: See `live_list`.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    try:
        policies = _by_name(kubernetes, "ValidatingAdmissionPolicy", cached)
        bindings = _by_name(kubernetes, "ValidatingAdmissionPolicyBinding", cached)
    except Forbidden:
        return ["they may not be read by Firebreak's identity"]
    found = []
    for name in ADMISSION_POLICIES:
        problem = _problem(policies.get(name), bindings.get(name), name)
        if problem:
            found.append(f"{name} {problem}")
    return found


def _problem(policy: JsonObject | None, binding: JsonObject | None, name: str) -> str:
    if policy is None:
        return "is not installed"
    if (policy["spec"].get("failurePolicy") or "Fail") != "Fail":
        return "lets requests pass when it cannot be evaluated"
    if binding is None or binding["spec"].get("policyName") != name:
        return "is not bound"
    if "Deny" not in (binding["spec"].get("validationActions") or ()):
        return "is bound without denying"
    if binding["spec"].get("matchResources"):
        return "is bound to a part of the cluster only"
    return ""


def _by_name(kubernetes: Kubernetes, kind: str, cached: bool) -> dict[str, JsonObject]:
    found = live_list(kubernetes, list_path(kind), cached=cached, selector=_SELECTOR)
    return {o["metadata"]["name"]: o for o in found}
