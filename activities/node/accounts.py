"""The activity `review_accounts`: who could have been stolen from a node (guide N3).

Whoever has a node has the tokens of all pods on it. So for each service account there: the bindings that apply to it
with the rules they give, the IAM roles behind it, and the Secrets that its pods mount, by name. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from temporalio import activity

from activities.collect.model import Deadline, Found, Task, document
from activities.collect.rights import granted_to
from activities.collect.shared import failed
from activities.node.case import NodeCase, NodeCollection, names_of
from activities.steps import Planner, StepRoom
from activities.user.account_roles import ANNOTATION
from clients.kubernetes import JsonObject
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import FirebreakError
from plans.situation import listed

_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")
_WIDE: Final = ("secrets", "pods", "*")
"""Resources by which an account reaches further: what it reads, or what it runs."""


class AccountReviewActivities(StepRoom):
    """Reviews service accounts."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"node.review_accounts": lambda _: StepPlan()}

    @activity.defn(name=ActivityName.REVIEW_ACCOUNTS, no_thread_cancel_exception=True)
    def review_accounts(self, request: StepRequest) -> StepOutcome:
        """List the accounts of all pods on the nodes with what they may do.

        Raises:
            EvidenceError: The store failed; also Unavailable, Forbidden and Throttled.
        """
        reviewed: dict[str, JsonObject] = {}
        result = NodeCollection(self._doors, request).collect(lambda case: _tasks(case, reviewed))
        return StepOutcome(
            complete=True,
            summary=_summary(request, reviewed),
            failures=result.failures,
            entries=result.entries,
            artefacts=result.artefacts,
        )


def _tasks(case: NodeCase, reviewed: dict[str, JsonObject]) -> Iterator[Task]:
    def run(deadline: Deadline) -> Found:
        accounts = review(case, deadline)
        reviewed.update(accounts)
        return Found(document({"accounts": accounts}), "the pods of the node, their accounts, bindings and roles")

    yield Task("accounts.json", "node-accounts", run, seconds=300)


def review(case: NodeCase, deadline: Deadline) -> dict[str, JsonObject]:
    """Every service account of the pods on a node, by username."""
    by_account: dict[tuple[str, str], list[JsonObject]] = {}
    for pod in case.pods:
        account = (pod["metadata"]["namespace"], str(pod["spec"].get("serviceAccountName") or "default"))
        by_account.setdefault(account, []).append(pod)
    found = {}
    for (namespace, name), pods in sorted(by_account.items()):
        deadline.check()
        granted = granted_to(case.shared, namespace, name, deadline)
        found[f"system:serviceaccount:{namespace}:{name}"] = {
            "pods": sorted(p["metadata"]["name"] for p in pods),
            "granted": granted,
            "iamRoles": _iam_roles(case, namespace, name),
            "secrets": sorted({s for p in pods for s in secrets_of(p)}),
            "reaches": reaches(granted),
        }
    return found


def _iam_roles(case: NodeCase, namespace: str, name: str) -> JsonObject:
    """The roles behind an account: by annotation (IRSA), and by association (Pod Identity)."""
    roles: JsonObject = {}
    try:
        account = case.shared.object("ServiceAccount", namespace, name)
        roles["annotation"] = (account["metadata"].get("annotations") or {}).get(ANNOTATION)
    except FirebreakError as error:
        roles["annotation_error"] = failed(error)
    try:
        roles["associations"] = _associations(case).get((namespace, name), [])
    except FirebreakError as error:
        roles["associations_error"] = failed(error)
    return roles


def _associations(case: NodeCase) -> dict[tuple[str, str], list[str]]:
    cluster, eks = case.doors.settings.cluster, case.doors.aws.eks

    def ask() -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for summary in eks.pod_identities(cluster):
            full = eks.pod_identity(cluster, summary["associationId"])
            found.setdefault((full["namespace"], full["serviceAccount"]), []).append(full["roleArn"])
        return found

    associations: dict[tuple[str, str], list[str]] = case.shared.once("pod-identities", ask)
    return associations


def secrets_of(pod: JsonObject) -> set[str]:
    """The Secrets that a pod mounts or reads into variables, by name; their values are never read."""
    names: set[Any] = set()
    for volume in pod["spec"].get("volumes") or ():
        names.add((volume.get("secret") or {}).get("secretName"))
        names |= {(s.get("secret") or {}).get("name") for s in (volume.get("projected") or {}).get("sources") or ()}
    for container in (c for key in _CONTAINERS for c in pod["spec"].get(key) or ()):
        names |= {(e.get("secretRef") or {}).get("name") for e in container.get("envFrom") or ()}
        names |= {
            ((e.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name") for e in container.get("env") or ()
        }
    return {str(n) for n in names if n}


def reaches(granted: list[JsonObject]) -> list[str]:
    """What of an account's rights leads further: any verb but listing names on Secrets, pods or everything."""
    found = set()
    for one in granted:
        where = one["binding"].get("namespace") or "the whole cluster"
        for rule in (one.get("role") or {}).get("rules") or ():
            wide = [r for r in rule.get("resources") or () if r.split("/")[0] in _WIDE]
            if wide and rule.get("verbs"):
                found.add(f"{', '.join(rule['verbs'])} on {', '.join(wide)} in {where}")
    return sorted(found)


def _summary(request: StepRequest, reviewed: Mapping[str, JsonObject]) -> str:
    if not reviewed:
        # A second attempt finds the first one's review in the evidence.
        return f"the service accounts on {names_of(request)} are in the evidence"
    strong = [name.removeprefix("system:serviceaccount:") for name, a in reviewed.items() if a["reaches"]]
    roles = sum(bool(a["iamRoles"].get("annotation") or a["iamRoles"].get("associations")) for a in reviewed.values())
    said = f"{len(reviewed)} service accounts on {names_of(request)}; {roles} with an IAM role"
    if strong:
        said += f"; may reach Secrets or pods: {listed(strong)}"
    return said
