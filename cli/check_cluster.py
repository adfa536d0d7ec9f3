"""The checks of `doctor` that ask the Kubernetes API: permissions, admission, network plugin, pause."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from activities.assess.cluster import ClusterReader
from activities.control import read_pause
from cli.checks import Check, fail, guarded, ok, skip, warn
from cli.policy_file import load_policy_file
from cli.text import clean
from clients.kubernetes import Kubernetes
from clients.paths import object_path
from contracts.names import VIEW_NAMESPACE
from errors import FirebreakError, TargetGone
from plans.observed import ClusterFacts
from settings import Settings

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_APPLY = "kubectl apply -f deploy/{}, or upgrade the chart"
_NAMES = ("kubernetes", "permissions", "bindings", "admission", "network-policies", "node-view", "pause")
_MOST = 8
_BINDINGS_ROLE = "firebreak-bindings"
"""Of another identity, which the worker alone has; the other roles of the file are of this one."""


class Permission(NamedTuple):
    """One thing that this identity must be allowed."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As people say it: `patch deployments.apps`."""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}{where}"

    def review(self) -> dict[str, Any]:
        """The question to the API server."""
        resource, _, subresource = self.resource.partition("/")
        attributes = {
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
        }


def check_cluster(settings: Settings) -> list[Check]:
    """Everything about the cluster, with the identity of this process."""
    try:
        # Access reviews are POST calls, and change nothing; no other of these checks makes one.
        kubernetes = Kubernetes.from_environment()
        version = str(kubernetes.get("/version").get("gitVersion") or "unknown version")
    except FirebreakError as error:
        down = fail("kubernetes", error.message, "set KUBECONFIG to a cluster that answers, or run in a pod of it")
        return [down, *(skip(name, "the cluster does not answer") for name in _NAMES[1:])]
    return [
        ok("kubernetes", version),
        guarded("permissions", _APPLY.format("rbac.yaml"), lambda: _permissions(kubernetes)),
        guarded("bindings", _APPLY.format("rbac.yaml"), lambda: _bindings(settings)),
        guarded("admission", _APPLY.format("admission.yaml"), lambda: _admission(kubernetes)),
        guarded("network-policies", _APPLY.format("rbac.yaml"), lambda: _network(kubernetes)),
        guarded("node-view", _APPLY.format("node-view.yaml"), lambda: _node_view(kubernetes, settings)),
        guarded("pause", _APPLY.format("rbac.yaml"), lambda: _pause(kubernetes, settings.namespace)),
    ]


def _permissions(kubernetes: Kubernetes) -> Check:
    everything = Permission("*", "*", "*")
    wanted = list(dict.fromkeys(needed_permissions()))
    missing = _missing(kubernetes, [everything, *wanted])
    if text := _listed([p for p in missing if p != everything]):
        return fail("permissions", f"this identity may not {text}", _APPLY.format("rbac.yaml"))
    if everything not in missing:
        fix = "run the worker as the service account of deploy/rbac.yaml; it needs no more"
        return warn("permissions", "this identity may do everything, as an administrator can", fix)
    return ok("permissions", f"all {len(wanted)} of deploy/rbac.yaml, and no more than an administrator gave")


def _bindings(settings: Settings) -> Check:
    """Whether the worker's second identity is at hand, and may do what it is for."""
    if settings.bindings_kubeconfig is None:
        text = "not set here: a worker without it takes nobody out of a binding, and rotates no secrets"
        return warn("bindings", text, "set FIREBREAK_BINDINGS_KUBECONFIG for the worker, and for nobody else")
    kubernetes = Kubernetes.from_environment(kubeconfig=str(settings.bindings_kubeconfig))
    wanted = list(dict.fromkeys(needed_permissions(of_bindings=True)))
    if text := _listed(_missing(kubernetes, wanted)):
        return fail("bindings", f"the identity that edits bindings may not {text}", _APPLY.format("rbac.yaml"))
    return ok("bindings", f"an identity of its own edits bindings, with all {len(wanted)} of its permissions")


def _node_view(kubernetes: Kubernetes, settings: Settings) -> Check:
    """Whether the pods that look at containers from their node can be made, where the policy wants them."""
    image = load_policy_file(settings.policy).node_view_image
    if not image:
        return ok("node-view", "not wanted: the policy names no image to look at containers with")
    fix = _APPLY.format("node-view.yaml")
    try:
        kubernetes.get(object_path("Namespace", "", VIEW_NAMESPACE))
    except TargetGone:
        return fail("node-view", f"there is no namespace {VIEW_NAMESPACE} for the pods that look with {image}", fix)
    if text := _listed(_missing(kubernetes, list(needed_permissions("node-view.yaml")))):
        return fail("node-view", f"this identity may not {text}", fix)
    return ok("node-view", f"containers are looked at from their node with {image}")


def _missing(kubernetes: Kubernetes, wanted: list[Permission]) -> list[Permission]:
    with ThreadPoolExecutor(8, thread_name_prefix="doctor") as pool:
        allowed = list(pool.map(lambda p: _allowed(kubernetes, p), wanted))
    return [p for p, yes in zip(wanted, allowed, strict=True) if not yes]


def _listed(permissions: list[Permission]) -> str:
    names = ", ".join(str(p) for p in permissions[:_MOST])
    return f"{names} and {len(permissions) - _MOST} more" if len(permissions) > _MOST else names


def needed_permissions(manifest: str = "rbac.yaml", *, of_bindings: bool = False) -> Iterator[Permission]:
    """What a file of deploy/ grants to the identity of worker and command line, or to the worker's second one."""
    text = files("deploy").joinpath(manifest).read_text(encoding="utf-8")
    for document in YAML(typ="safe").load_all(text):
        if not document or document["kind"] not in ("ClusterRole", "Role"):
            continue
        if (document["metadata"]["name"] == _BINDINGS_ROLE) is not of_bindings:
            continue
        namespace = document["metadata"].get("namespace", "")
        for rule in document.get("rules") or ():
            for group in rule.get("apiGroups") or ():
                for resource in rule.get("resources") or ():
                    for verb in rule["verbs"]:
                        for name in rule.get("resourceNames") or ("",):
                            yield Permission(verb, group, resource, namespace, name)


def _allowed(kubernetes: Kubernetes, permission: Permission) -> bool:
    answer = kubernetes.create(_REVIEWS, permission.review())
    return bool((answer.get("status") or {}).get("allowed"))


def _admission(kubernetes: Kubernetes) -> Check:
    if _facts(kubernetes).admission_ready:
        return ok("admission", "the policies that protect held pods are installed and deny")
    text = "the policies that protect held pods are missing or do not deny: anybody with edit rights can free a pod"
    return fail("admission", text, _APPLY.format("admission.yaml"))


def _network(kubernetes: Kubernetes) -> Check:
    facts = _facts(kubernetes)
    if facts.foreign_policies:
        names = ", ".join(clean(p, 100) for p in facts.foreign_policies[:_MOST])
        fix = "containment of pods that they select is called incomplete; except quarantined pods in them"
        return warn("network-policies", f"policies that Firebreak does not evaluate: {names}", fix)
    if facts.enforces_policies is False:
        fix = "enable network policies in the VPC CNI (addon configuration enableNetworkPolicy: true)"
        return fail("network-policies", f"{facts.cni} runs without enforcing them: a quarantine would cut nothing", fix)
    if facts.enforces_policies is None:
        name = f"{facts.cni} runs on no node" if facts.cni else "the network plugin was not recognised"
        return warn("network-policies", name, "make sure that it enforces NetworkPolicies; containment says so, too")
    return ok("network-policies", f"enforced by {facts.cni}")


def _facts(kubernetes: Kubernetes) -> ClusterFacts:
    return ClusterReader(kubernetes).facts(())


def _pause(kubernetes: Kubernetes, namespace: str) -> Check:
    held = read_pause(kubernetes, namespace)
    if held is None:
        return ok("pause", "changes are not held")
    why = f": {clean(held.reason, 200)}" if held.reason else ""
    return warn("pause", f"{clean(held.by, 100) or 'somebody'} holds every change{why}", "`firebreak resume` goes on")


__all__ = ["Permission", "check_cluster", "needed_permissions"]
