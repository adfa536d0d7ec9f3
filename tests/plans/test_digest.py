"""Digests: stable where nothing changes for whoever approves, different where anything does."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from plans.digest import canonical_digest, gate_digest, targets_sha256
from plans.model import Gate, Path, Step, Target, TargetKind, Verdict
from plans.planner import make_plan
from plans.policy import Policy, load_policy
from tests.plans.builders import a_finding, a_pod, an_observed


def a_target(uid: str = "p-0", **more: Any) -> Target:
    return Target(**{"kind": TargetKind.POD, "namespace": "shop", "name": f"n-{uid}", "uid": uid, **more})


def a_step(**more: Any) -> Step:
    fields: dict[str, Any] = {
        "step": "pod.delete",
        "path": Path.POD,
        "action": "delete",
        "targets": (a_target("p-0"), a_target("p-1")),
        "target_count": 2,
        "gate": Gate.ERADICATE,
        "decision": Verdict.APPROVAL,
        "reason": "Because.",
        "undo": "Nothing.",
    }
    return Step(**{**fields, **more})


BASE = gate_digest([a_step()], Gate.ERADICATE)


def test_the_form_is_pinned() -> None:
    # Somebody may hold a digest from before an upgrade; the bytes under it are part of the contract.
    content = '[{"action":"delete","path":"pod","targets":["p-0","p-1"],"undo":"Nothing."}]'
    assert BASE == "sha256:" + hashlib.sha256(content.encode()).hexdigest()
    assert (
        canonical_digest({"b": "ü", "a": [1]}) == "sha256:" + hashlib.sha256('{"a":[1],"b":"ü"}'.encode()).hexdigest()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"path": Path.NODE},
        {"action": "drain"},
        {"undo": "Something."},
        {"targets": (a_target("p-0"),)},
        {"targets": (a_target("p-0"), a_target("p-2"))},
        {"targets": (a_target("p-0"), a_target("p-1"), a_target("p-2"))},
        {"targets": (a_target("p-0"), a_target(""))},
        {"targets_sha256": "ab"},
        {"targets_sha256": "ab", "target_count": 3},
        {"gate": Gate.CONTAIN},
        {"decision": Verdict.NEVER},
    ],
)
def test_what_changes_the_deed_changes_the_digest(change: dict[str, Any]) -> None:
    assert gate_digest([a_step(**change)], Gate.ERADICATE) != BASE


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "Another."},
        {"targets": (a_target("p-1"), a_target("p-0"))},
        {"targets": (a_target("p-0", node="other"), a_target("p-1"))},
        {"decision": Verdict.AUTO},
    ],
)
def test_what_does_not_leaves_it(change: dict[str, Any]) -> None:
    assert gate_digest([a_step(**change)], Gate.ERADICATE) == BASE


def test_steps_of_other_gates_and_of_none_do_not_enter() -> None:
    others = [a_step(gate=Gate.CONTAIN), a_step(gate=None), a_step(decision=Verdict.NEVER)]
    assert gate_digest([others[0], a_step(), *others[1:]], Gate.ERADICATE) == BASE


def test_the_order_of_steps_counts() -> None:
    one, two = a_step(), a_step(action="redeploy")
    assert gate_digest([one, two], Gate.ERADICATE) != gate_digest([two, one], Gate.ERADICATE)


def test_a_target_without_uid_is_told_apart_by_kind_and_place() -> None:
    def of(**more: Any) -> str:
        return gate_digest([a_step(targets=(a_target("", **{"name": "x", **more}),))], Gate.ERADICATE)

    variants = {of(), of(name="y"), of(namespace="other"), of(kind=TargetKind.WORKLOAD)}
    assert len(variants) == 4


def test_the_hash_of_a_long_list_does_not_depend_on_its_order() -> None:
    assert targets_sha256(["b", "a"]) == targets_sha256(["a", "b"]) != targets_sha256(["ab"])


def test_a_plans_digests_are_those_of_its_steps() -> None:
    plan = make_plan(a_finding(), an_observed(), Policy())
    for terms in plan.gates:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", terms.digest)
        assert terms.digest == gate_digest(plan.steps, terms.gate)


def test_a_pod_more_changes_the_digests_and_a_looser_policy_does_not() -> None:
    def digests(**observed: Any) -> list[str]:
        return [t.digest for t in make_plan(a_finding(), an_observed(**observed), Policy()).gates]

    assert digests(pods=(a_pod(0), a_pod(1))) != digests()
    assert digests(pods=(a_pod(0, uid="another"),)) != digests()
    looser = load_policy("gates: {contain: {auto_from_severity: 1}, eradicate: {approvals: 2}}")
    assert [t.digest for t in make_plan(a_finding(), an_observed(), looser).gates] == digests()


def test_a_pod_beyond_the_two_hundred_changes_the_digest() -> None:
    def digest(last: str) -> list[str]:
        pods = (*(a_pod(i) for i in range(300)), a_pod(999, uid=last, name="zzz"))
        return [t.digest for t in make_plan(a_finding(), an_observed(pods=pods), Policy()).gates]

    assert digest("x") != digest("y")
