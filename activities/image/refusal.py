"""The admission policies that refuse an image, and the probe that shows whether they do.

A policy a reference: a digest is refused wherever it is pulled from, a tag only as it was written. Kubelets are left
out, because a mirror of a static pod is no pod that could be refused: it would only be hidden.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from activities.changes.admission import PRODUCT_LABEL, essence
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path
from contracts.names import LABEL_ON, MANAGED_LABEL
from errors import Conflict, Forbidden, InputError, TargetGone
from plans.images import digest_of, is_reference
from plans.model import Change, ResourceRef

PROBE_NAMESPACE: Final = "firebreak-probe"
"""Where pods are asked for and none can ever be made: its quota allows none (deploy/rbac.yaml)."""

_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")
_CONTAINERS: Final = " + ".join(
    f"{{spec}}.?{name}.orValue([]).map(c, c.name + '=' + c.?image.orValue(''))" for name in _LISTS
)
_MESSAGE: Final = "this image is refused after a GuardDuty finding; firebreak release of the incident allows it again"


def refusals(reference: str, step: str) -> tuple[Change, Change]:
    """The policy that refuses new containers of an image, and its binding. An update may keep what the pod has.

    Raises:
        InputError: It is no reference of an image, so nothing of it goes into an expression.
    """
    if not is_reference(reference):
        raise InputError("image", "a reference of an image", reference[:200])
    name = policy_name(reference)
    digest = digest_of(reference)
    # A container's name holds no equals sign, nor does a reference; so neither can pose as the other.
    ending = json.dumps(digest if digest else f"={reference}")
    spec: JsonObject = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["pods", "pods/ephemeralcontainers"],
                }
            ]
        },
        "matchConditions": [
            {"name": "not-a-kubelet", "expression": "!('system:nodes' in request.userInfo.groups)"},
        ],
        "variables": [
            {"name": "now", "expression": _CONTAINERS.replace("{spec}", "object.spec")},
            {
                "name": "before",
                "expression": f"oldObject == null ? [] : {_CONTAINERS.replace('{spec}', 'oldObject.spec')}",
            },
        ],
        "validations": [
            {
                "expression": f"variables.now.all(c, !c.endsWith({ending}) || c in variables.before)",
                "message": _MESSAGE,
                "reason": "Forbidden",
            }
        ],
    }
    bound: JsonObject = {"policyName": name, "validationActions": ["Deny"]}
    what = f"pods with the image {reference} are refused"
    return (
        _created("ValidatingAdmissionPolicy", name, spec, step, what),
        _created("ValidatingAdmissionPolicyBinding", name, bound, step, f"{what}: in force"),
    )


def policy_name(reference: str) -> str:
    """The name of a reference's policy, which holds none of its characters. A digest has one for all its names."""
    return f"firebreak-image-{hashlib.sha256((digest_of(reference) or reference).encode()).hexdigest()[:24]}"


def is_refused(kubernetes: Kubernetes, reference: str) -> str:
    """Ask the API server for a pod with the image, without making one; returns why that proves nothing, or "".

    The quota of the namespace refuses every pod, so none is made even if the server did not know of dry runs. Policies
    are asked before quotas: which of the two answers shows whether the policy is in force yet.
    """
    # The server sets the defaults of everything else.
    body: JsonObject = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "probe-"},
        "spec": {"containers": [{"name": "probe", "image": reference}], "automountServiceAccountToken": False},
    }
    try:
        kubernetes.create(f"{list_path('Pod', PROBE_NAMESPACE)}?dryRun=All", body, control=True)
    except Forbidden as error:
        if f"'{policy_name(reference)}'" in error.message:
            return ""
        if "exceeded quota" in error.message:
            return "the API server does not refuse it yet"
        return f"the probe was refused for another reason: {error.message[:300]}"
    except (TargetGone, InputError, Conflict) as error:
        return f"it could not be probed: {error.message[:300]}"
    return "the API server admits it"


def _created(kind: str, name: str, spec: JsonObject, step: str, summary: str) -> Change:
    labels = {PRODUCT_LABEL: "firebreak", MANAGED_LABEL: LABEL_ON}
    return Change(
        step=step,
        resource=ResourceRef(kind=kind, name=name),
        summary=summary,
        before={"": None},
        after={"": essence({"metadata": {"name": name, "labels": labels}, "spec": spec})},
    )
