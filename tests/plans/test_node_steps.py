"""The steps of the node path: which nodes, what keeps a step from opening by itself, what is never done and why."""

from __future__ import annotations

from typing import Any

import pytest

from findings.model import KubernetesUser
from findings.workload import WorkloadKind
from plans.model import Gate, Plan, ResourceRef, Step, Verdict
from plans.observed import NodeFacts, NodeManager
from plans.planner import make_plan
from plans.policy import Budget, Policy
from tests.plans.builders import PRIVILEGED, a_finding, a_pod, an_observed

NODE = NodeFacts(name="node-a", uid="n-1", instance_id="i-0abc0abc")
KUBELET = KubernetesUser(username="system:node:node-a", groups=("system:nodes",))
SMALL = {"node_count": 5}


def plan_of(*nodes: NodeFacts, policy: Policy | None = None, **observed: Any) -> Plan:
    finding = a_finding(workload=PRIVILEGED)
    return make_plan(finding, an_observed(nodes=nodes or (NODE,), **{**SMALL, **observed}), policy or Policy())


def step(plan: Plan, action: str) -> Step:
    return next(s for s in plan.steps if s.step == f"node.{action}")


def test_the_steps_stand_in_the_order_in_which_nothing_is_lost() -> None:
    actions = [(s.action, s.gate) for s in plan_of().steps if s.path.value == "node"]
    assert actions == [
        ("cordon", Gate.CONTAIN),
        ("protect", Gate.CONTAIN),
        ("isolate", Gate.CONTAIN),
        ("collect", None),
        ("review_accounts", None),
        ("snapshot", None),
        ("rotate_accounts", Gate.CREDENTIALS),
        ("replace_profile", Gate.CREDENTIALS),
        ("drain", Gate.TERMINATE),
        ("terminate", Gate.TERMINATE),
    ]


def test_a_target_names_node_and_instance_by_what_does_not_change() -> None:
    (target,) = step(plan_of(), "terminate").targets
    assert (target.name, target.uid) == ("node-a", "n-1")
    assert target.owner == ResourceRef(kind="Instance", name="i-0abc0abc")


def test_cordon_opens_by_itself_and_isolation_never_does() -> None:
    plan = plan_of()
    assert step(plan, "cordon").decision is step(plan, "protect").decision is Verdict.AUTO
    isolate = step(plan, "isolate")
    assert isolate.decision is Verdict.APPROVAL
    assert "every pod that runs on it" in isolate.reason
    assert step(plan, "terminate").decision is Verdict.APPROVAL


def test_what_is_proved_depends_on_who_acted() -> None:
    assert (step(plan_of(), "cordon").proves, step(plan_of(), "isolate").proves) == (True, False)
    acted = make_plan(a_finding(workload=None, user=KUBELET), an_observed(pods=(), nodes=(NODE,)), Policy())
    assert (step(acted, "cordon").proves, step(acted, "isolate").proves) == (True, True)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("There is no node node-a in the cluster (any more).", "no node node-a"),
        ("The instance i-1 is no node of this cluster.", "no node of this cluster"),
        ("x is a pod's machine on Fargate: there is no node of yours to act on.", "Fargate"),
    ],
)
def test_what_is_no_node_is_never_acted_on_and_the_reason_is_said(missing: str, said: str) -> None:
    plan = plan_of(NodeFacts(name="node-a", missing=missing))
    steps = [s for s in plan.steps if s.path.value == "node" and s.action != "rotate_accounts"]
    assert {s.decision for s in steps} == {Verdict.NEVER}
    assert all(said in s.reason for s in steps)


def test_of_several_nodes_those_that_exist_are_acted_on() -> None:
    plan = plan_of(NODE, NodeFacts(name="node-b", missing="There is no node node-b in the cluster (any more)."))
    assert [t.name for t in step(plan, "cordon").targets] == ["node-a"]


def test_the_machines_of_auto_mode_are_left_to_aws() -> None:
    auto = NodeFacts(name="node-b", uid="n-2", instance_id="i-2", manager=NodeManager.AUTO)
    plan = plan_of(auto)
    for action in ("isolate", "snapshot", "replace_profile", "terminate"):
        assert step(plan, action).decision is Verdict.NEVER, action
        assert "Auto Mode" in step(plan, action).reason
    assert step(plan, "cordon").decision is Verdict.AUTO
    both = plan_of(NODE, auto, node_count=100)
    assert [t.name for t in step(both, "terminate").targets] == ["node-a"]
    assert len(step(both, "cordon").targets) == 2


@pytest.mark.parametrize(
    ("total", "cordoned", "nodes", "percent", "auto"),
    [
        (5, 0, 1, 10, True),  # one node of a small cluster is always allowed
        (5, 1, 1, 10, False),
        (40, 3, 1, 10, True),
        (40, 4, 1, 10, False),
        (40, 0, 3, 10, True),
        (10, 0, 2, 10, False),
        (100, 0, 1, 0, False),
    ],
)
def test_so_many_nodes_of_the_cluster_take_no_new_pods_by_themselves(
    total: int, cordoned: int, nodes: int, percent: float, auto: bool
) -> None:
    facts = tuple(NODE.model_copy(update={"name": f"node-{i}", "uid": f"n-{i}"}) for i in range(nodes))
    policy = Policy(budget=Budget(nodes_percent=percent))
    cordon = step(plan_of(*facts, policy=policy, node_count=total, nodes_cordoned=cordoned), "cordon")
    assert (cordon.decision is Verdict.AUTO) is auto, cordon.reason
    assert auto or f"of {total} nodes" in cordon.reason


def test_nodes_that_could_not_be_counted_wait_for_a_person() -> None:
    cordon = step(plan_of(node_count=0), "cordon")
    assert (cordon.decision, "could not be counted" in cordon.reason) == (Verdict.APPROVAL, True)


def test_an_instance_that_the_cluster_knows_as_its_node_is_not_in_doubt() -> None:
    finding = a_finding(workload=None, instance_id="i-0abc0abc")
    known = make_plan(finding, an_observed(pods=(), nodes=(NODE,), **SMALL), Policy())
    assert step(known, "cordon").decision is Verdict.AUTO
    unknown = make_plan(finding, an_observed(pods=()), Policy())
    assert step(unknown, "cordon").decision is Verdict.APPROVAL


def test_offline_the_node_of_a_kubelet_is_named_and_that_of_a_pod_is_not_known() -> None:
    kubelet = make_plan(a_finding(workload=None, user=KUBELET), None, Policy())
    assert [t.name for t in step(kubelet, "cordon").targets] == ["node-a"]
    assert step(make_plan(a_finding(workload=PRIVILEGED), None, Policy()), "cordon").decision is Verdict.NEVER


def test_the_nodes_of_all_pods_are_targets() -> None:
    pods = (a_pod(0), a_pod(1, node="node-b"))
    workload = PRIVILEGED.model_copy(update={"kind": WorkloadKind.DEPLOYMENT, "type": "deployments"})
    plan = make_plan(a_finding(workload=workload), an_observed(pods=pods), Policy())
    assert [t.name for t in step(plan, "cordon").targets] == ["node-a", "node-b"]
