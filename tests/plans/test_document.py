"""`plan --json`: the shape that the design's CLI contract promises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from findings.subject import SubjectKind
from plans.document import plan_document
from plans.model import Path
from plans.planner import make_plan
from plans.policy import Policy
from tests.plans.builders import USER_TYPE, USERS, a_finding, a_workload, an_observed


def document(**finding: Any) -> dict[str, Any]:
    return plan_document(make_plan(a_finding(**finding), an_observed(), Policy()))


def test_the_contracts_keys() -> None:
    doc = document()
    assert {"finding", "subject", "paths", "steps", "digests"} <= set(doc)
    assert set(doc["finding"]) == {"id", "type", "severity", "account", "region", "cluster", "sample"}
    assert {"kind", "name", "namespace"} <= set(doc["subject"])
    for step in doc["steps"]:
        assert {"path", "action", "targets", "gate", "decision", "reason", "undo"} <= set(step)
        for target in step["targets"]:
            assert set(target) == {"kind", "namespace", "name", "uid", "node"}


def test_the_values_of_a_plan() -> None:
    doc = document()
    assert doc["finding"]["cluster"] == "payments"
    assert doc["paths"] == ["pod"]
    quarantine, collect, *_ = doc["steps"]
    assert quarantine["step"] == "pod.quarantine"
    assert quarantine["targets"] == [
        {"kind": "pod", "namespace": "shop", "name": "web-0", "uid": "p-0", "node": "node-a"}
    ]
    assert (quarantine["gate"], quarantine["decision"], quarantine["target_count"]) == ("contain", "auto", 1)
    assert (collect["gate"], collect["decision"]) == (None, "auto")
    assert list(doc["digests"]) == ["contain", "eradicate"]
    assert [g["digest"] for g in doc["gates"]] == list(doc["digests"].values())
    assert (doc["plan_only"], doc["warnings"]) == (False, [])


@pytest.mark.parametrize("kind", SubjectKind)
def test_every_kind_of_subject_is_written_in_the_contracts_words(kind: SubjectKind) -> None:
    user, key = USERS[kind]
    doc = document(type=USER_TYPE, user=user, access_key=key, workload=a_workload())
    assert doc["subject"]["kind"] == kind.value
    assert json.loads(json.dumps(doc)) == doc
    assert set(doc["paths"]) <= {p.value for p in Path}
    assert {s["decision"] for s in doc["steps"]} <= {"auto", "approval", "never"}
