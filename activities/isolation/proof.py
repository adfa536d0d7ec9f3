"""The proof that pods are cut off: pure, from live objects to reasons, proposals and missing changes.

Everything that speaks against a pod is noted under one sentence, so that 3,000 pods with the same trouble are one
reason. Nothing is assumed from what was done: a label, a policy or an expression counts only when it was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from activities.isolation.evaluate import Direction, Opening, PolicyRule, openings, policy_rule
from activities.isolation.fields import field_value, labels_of
from activities.isolation.holders import holders_of
from activities.isolation.managers import probable_manager
from activities.isolation.pods import HOLD_LIFTED_ANNOTATION
from activities.isolation.policies import is_deny_all
from activities.isolation.selectors import leaves_out_quarantined, matches, with_expression, without_expression
from clients.kubernetes import JsonObject
from contracts.activities import Proof
from contracts.changes import SELECTOR_FIELD, deny_all_change
from contracts.common import PodTarget
from contracts.names import HOLD_LABEL, LABEL_ON, QUARANTINE_POLICY, QUARANTINED_LABEL
from contracts.states import Containment
from plans.model import Change, ResourceRef
from plans.observed import VPC_CNI, ClusterFacts

MOST = 20
_NAMED = 3

LivePod = tuple[PodTarget, JsonObject]


class Prover:
    """Collects what speaks against the containment of one incident's pods."""

    def __init__(
        self,
        incident: str,
        step: str,
        facts: ClusterFacts | None = None,
        planned: frozenset[str] = frozenset(),
    ) -> None:
        """Start with nothing.

        Args:
            incident: Its workflow id.
            step: For the missing changes.
            facts: What the cluster can do; None leaves out what no drift changes: the network plugin, foreign policies
                and pods that no policy reaches.
            planned: Uids of the policies that containment meant to change.
        """
        self._incident = incident
        self._step = step
        self._facts = facts
        self._planned = planned
        self._against: dict[str, list[str]] = {}
        self._general: list[str] = []
        self._proposals: dict[str, None] = {}
        self._missing: dict[str, Change] = {}
        self._good = 0

    def cluster(self, admission: Sequence[str]) -> None:
        """Judge the cluster as a whole; `admission` is what is wrong with our admission policies."""
        if admission:
            shown = "; ".join(admission[:_NAMED]) + (
                f"; and {len(admission) - _NAMED} more" * (len(admission) > _NAMED)
            )
            self._general.append(f"The admission policies that keep pods contained are not in force: {shown}")
            self._propose("Install the admission policies of Firebreak; `firebreak doctor` shows how")
        facts = self._facts
        if facts is None:
            return
        plugin = f"The network plugin ({facts.cni})" if facts.cni else "The network plugin"
        if facts.enforces_policies is False:
            self._general.append(f"{plugin} does not enforce NetworkPolicies")
            self._propose("Enable NetworkPolicies in the network plugin, or isolate the nodes by their security groups")
        elif facts.enforces_policies is None:
            self._general.append(f"{plugin} was not recognised: nothing shows that it enforces NetworkPolicies")
            self._propose("Find out whether the network plugin enforces NetworkPolicies, or isolate the nodes")
        if facts.foreign_policies:
            self._general.append(
                f"Policies that Firebreak does not evaluate may allow traffic: {_few(facts.foreign_policies)}"
            )
            self._propose("Check or remove the policies of the other kinds, or isolate the nodes")

    def namespace(self, namespace: str, policies: Sequence[JsonObject], pods: Sequence[LivePod]) -> None:
        """Judge the live pods of one namespace by all of its NetworkPolicies."""
        by_name = {str(p["metadata"]["name"]): p for p in policies}
        self._deny_all(namespace, by_name.get(QUARANTINE_POLICY))
        rules = [policy_rule(p) for p in policies]
        seen: dict[frozenset[tuple[str, str]], list[Opening]] = {}
        for target, live in pods:
            labels = labels_of(live)
            # Pods of one workload mostly share their labels, and then the answer too.
            key = frozenset(labels.items())
            if key not in seen:
                seen[key] = openings(labels, rules)
            against = [*self._openings(seen[key], target, by_name), *self._marks(target, live)]
            if self._facts is not None:
                against += self._reach(target, live, self._facts)
            for sentence in against:
                self._against.setdefault(sentence, []).append(f"{target.namespace}/{target.name}")
            self._good += not against
        self._borrowed(by_name, rules, pods)

    def reasons(self) -> list[str]:
        """All reasons, the general ones first."""
        return [*self._general, *(text.format(_who(pods)) for text, pods in self._against.items())]

    def proof(self, at: datetime, *, live: int, gone: int) -> Proof:
        """The proof, once everything has been judged.

        Args:
            at: The clock after the last read.
            live: How many pods were judged.
            gone: How many targets do not exist any more.
        """
        if not live:
            # Nothing was cut off, so nothing can be called verified.
            text = f"No target is left: {gone} are gone" if gone else "There is no target"
            return Proof(containment=Containment.NOT_APPLICABLE, at=at, gone=gone, reasons=(text,))
        reasons = self.reasons()
        return Proof(
            containment=Containment.INCOMPLETE if reasons else Containment.VERIFIED,
            at=at,
            verified=0 if self._general else self._good,
            gone=gone,
            reasons=tuple(reasons[:MOST]),
            proposals=tuple(self._proposals)[:MOST],
            missing=tuple(self._missing.values()),
        )

    def _deny_all(self, namespace: str, policy: JsonObject | None) -> None:
        what = f"The deny-all policy of namespace {namespace}"
        if policy is None:
            problem = "does not stand"
        elif not is_deny_all(policy):
            problem = "does not deny everything any more"
        elif self._incident not in holders_of(policy):
            problem = "does not name this incident among its holders"
        else:
            return
        self._general.append(f"{what} {problem}")
        change = deny_all_change(namespace, self._step)
        self._missing[change.key] = change

    def _openings(self, found: Sequence[Opening], target: PodTarget, by_name: Mapping[str, JsonObject]) -> list[str]:
        sentences = []
        for opening in found:
            way = "to" if opening.direction is Direction.INGRESS else "from"
            if opening.policy is None:
                sentences.append(f"No policy closes the traffic {way} {{}}")
                continue
            policy = by_name[opening.policy]
            sentences.append(f"{self._about(policy)} allows traffic {way} {{}}")
            if opening.policy != QUARANTINE_POLICY:
                self._need(policy, target.namespace)
        return sentences

    def _about(self, policy: JsonObject) -> str:
        """The policy as the subject of a sentence; says if our change of it does not stand, and probably by whom."""
        metadata = policy["metadata"]
        name = f"NetworkPolicy {metadata.get('namespace', '')}/{metadata['name']}"
        if self._incident in holders_of(policy):
            what = "whose selector was put back"
        elif metadata["uid"] in self._planned:
            what = "whose selector was put back or could not be changed"
        else:
            return name
        manager = probable_manager(policy)
        by = f", probably by {manager}" if manager else ""
        whose = f"suspend {manager}" if manager else "keep its owner from writing it"
        self._propose(
            f"{name} does not stay changed: {whose} or delete the policy; else isolate the node, or approve the step "
            "that replaces the pods"
        )
        return _literal(f"{name}, {what}{by},")

    def _need(self, policy: JsonObject, namespace: str) -> None:
        expressions: Any = field_value(policy, SELECTOR_FIELD)
        bare: Any = without_expression(expressions)
        wanted: Any = with_expression(expressions)
        metadata = policy["metadata"]
        change = Change(
            step=self._step,
            resource=ResourceRef(kind="NetworkPolicy", namespace=namespace, name=metadata["name"], uid=metadata["uid"]),
            summary="leaves out quarantined pods",
            before={SELECTOR_FIELD: bare},
            after={SELECTOR_FIELD: wanted},
        )
        self._missing[change.key] = change

    def _marks(self, target: PodTarget, live: JsonObject) -> list[str]:
        labels, holders = labels_of(live), holders_of(live)
        lifted_by = (live["metadata"].get("annotations") or {}).get(HOLD_LIFTED_ANNOTATION)
        found = []
        if labels.get(QUARANTINED_LABEL) != LABEL_ON:
            found.append(f"The label {QUARANTINED_LABEL} is missing on {{}}")
        if labels.get(HOLD_LABEL) != LABEL_ON and lifted_by not in holders:
            found.append(f"The label {HOLD_LABEL} is missing on {{}}")
        if self._incident not in holders:
            found.append("This incident is not among the holders of {}")
        return found

    def _reach(self, target: PodTarget, live: JsonObject, facts: ClusterFacts) -> list[str]:
        why = _unreachable(live, facts) or _literal(target.unreachable)
        if not why:
            return []
        node = live["spec"].get("nodeName") or target.node
        if "node" in why and node:
            self._propose(f"Isolate node {node}: cordon it, and cut it off by its security group")
        else:
            self._propose(
                "Approve the step that replaces the pods that no NetworkPolicy reaches, or isolate their nodes"
            )
        return [f"No NetworkPolicy reaches {{}}: {why}"]

    def _borrowed(
        self, by_name: Mapping[str, JsonObject], rules: Sequence[PolicyRule], pods: Sequence[LivePod]
    ) -> None:
        """Policies that only another incident's expression keeps off our pods: its release would reopen them."""
        for rule in rules:
            policy = by_name[rule.name]
            holders = holders_of(policy)
            # Without holders, the expression is the owner's own, and nobody's release takes it away.
            if not holders or self._incident in holders:
                continue
            if not rule.opens or not leaves_out_quarantined(rule.selector):
                continue
            bare = {**rule.selector, "matchExpressions": without_expression(list(rule.selector["matchExpressions"]))}
            if any(matches(bare, labels_of(live)) for _, live in pods):
                namespace = pods[0][0].namespace
                self._general.append(
                    f"NetworkPolicy {namespace}/{rule.name} leaves the pods out for another incident only"
                )
                self._need(policy, namespace)

    def _propose(self, sentence: str) -> None:
        self._proposals.setdefault(sentence)


def _unreachable(live: JsonObject, facts: ClusterFacts) -> str:
    spec, metadata = live["spec"], live["metadata"]
    if spec.get("hostNetwork"):
        return "they use the network of their node"
    if str(spec.get("nodeName") or "").startswith("fargate-") or spec.get("schedulerName") == "fargate-scheduler":
        return "they run on Fargate"
    system = (spec.get("os") or {}).get("name") or (spec.get("nodeSelector") or {}).get("kubernetes.io/os")
    if system == "windows":
        return "they run on Windows"
    if facts.cni == VPC_CNI and not metadata.get("ownerReferences"):
        return "they have no owner, and the VPC CNI enforces policies only on pods that have one"
    return ""


def _who(pods: Sequence[str]) -> str:
    return f"pod {pods[0]}" if len(pods) == 1 else f"{len(pods):,} pods ({_few(pods)})"


def _few(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
