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
from cli.text import clean
from clients.kubernetes import Kubernetes
from errors import FirebreakError
from plans.observed import ClusterFacts
from settings import Settings

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_APPLY = "kubectl apply -f deploy/{}, or upgrade the chart"
_NAMES = ("kubernetes", "permissions", "admission", "network-policies", "pause")
_MOST = 8
_OWN_ROLE = "firebreak"
"""The other role of the file edits bindings, and is that of another identity."""


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
        guarded("admission", _APPLY.format("admission.yaml"), lambda: _admission(kubernetes)),
        guarded("network-policies", _APPLY.format("rbac.yaml"), lambda: _network(kubernetes)),
        guarded("pause", _APPLY.format("rbac.yaml"), lambda: _pause(kubernetes, settings.namespace)),
    ]


def _permissions(kubernetes: Kubernetes) -> Check:
    wanted = list(dict.fromkeys(needed_permissions()))
    with ThreadPoolExecutor(8, thread_name_prefix="doctor") as pool:
        allowed = list(pool.map(lambda p: _allowed(kubernetes, p), [Permission("*", "*", "*"), *wanted]))
    missing = [p for p, yes in zip(wanted, allowed[1:], strict=True) if not yes]
    if missing:
        names = ", ".join(str(p) for p in missing[:_MOST])
        more = f" and {len(missing) - _MOST} more" if len(missing) > _MOST else ""
        return fail("permissions", f"this identity may not {names}{more}", _APPLY.format("rbac.yaml"))
    if allowed[0]:
        fix = "run the worker as the service account of deploy/rbac.yaml; it needs no more"
        return warn("permissions", "this identity may do everything, as an administrator can", fix)
    return ok("permissions", f"all {len(wanted)} of deploy/rbac.yaml, and no more than an administrator gave")


def needed_permissions() -> Iterator[Permission]:
    """Everything that deploy/rbac.yaml grants to the identity of worker and command line."""
    text = files("deploy").joinpath("rbac.yaml").read_text(encoding="utf-8")
    for document in YAML(typ="safe").load_all(text):
        if not document or document["kind"] not in ("ClusterRole", "Role"):
            continue
        if document["metadata"]["name"] != _OWN_ROLE:
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
