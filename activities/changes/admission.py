"""Admission policies that a step creates and release deletes: compared by what they do, not by what the server adds."""

from __future__ import annotations

from typing import Any

from activities.changes.kinds import register
from activities.changes.kubernetes import KubernetesKind
from clients.kubernetes import JsonObject
from contracts.names import MANAGED_LABEL

PRODUCT_LABEL = "app.kubernetes.io/name"
_LABELS = (PRODUCT_LABEL, MANAGED_LABEL)
_RULE = ("apiGroups", "apiVersions", "operations", "resources", "resourceNames")
_POLICY = ("failurePolicy", "matchConditions", "variables", "validations")
_NARROWING = ("namespaceSelector", "objectSelector", "excludeResourceRules")


class AdmissionKind(KubernetesKind):
    """ValidatingAdmissionPolicies and their bindings; the API server fills in defaults, which are left out here.

    https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
    """

    def seen(self, live: JsonObject, fields: tuple[str, ...]) -> dict[str, Any]:
        """What the policy does. What narrows it, when somebody has added it, is part of that."""
        return super().seen(live, fields) | ({"": essence(live)} if "" in fields else {})


def essence(live: JsonObject) -> JsonObject:
    """A policy or binding without the defaults of the API server."""
    metadata, spec = live["metadata"], live.get("spec") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k in _LABELS}
    kept: JsonObject = {k: spec[k] for k in (*_POLICY, "policyName", "validationActions", "paramKind") if spec.get(k)}
    for where in ("matchConstraints", "matchResources"):
        if matched := spec.get(where):
            rules = [{k: r[k] for k in _RULE if r.get(k)} for r in matched.get("resourceRules") or ()]
            kept[where] = {"resourceRules": rules} | {k: matched[k] for k in _NARROWING if matched.get(k)}
    return {"metadata": {"name": metadata["name"], "labels": labels}, "spec": kept}


for _kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"):
    register(_kind, lambda doors: AdmissionKind(doors.kubernetes))
