"""Findings that others published, planned as they came."""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

import pytest

from findings.reader import read_findings
from plans.document import plan_document
from plans.planner import make_plan
from plans.policy import Policy

FOLDER = File(__file__).parents[1] / "fixtures" / "findings"


def planned(name: str) -> dict[str, Any]:
    (finding,) = read_findings((FOLDER / name).read_bytes())
    return plan_document(make_plan(finding, None, Policy()))


def decisions(doc: dict[str, Any]) -> dict[str, str]:
    return {s["step"]: s["decision"] for s in doc["steps"] if s["decision"] != "never"}


def test_a_service_account_that_started_a_privileged_pod() -> None:
    doc = planned("privileged-container.get-findings.json")
    assert doc["subject"]["kind"] == "service-account"
    assert (doc["subject"]["namespace"], doc["subject"]["name"]) == ("argocd", "argocd-application-controller")
    assert doc["paths"] == ["user", "pod", "image", "node"]
    # Severity 5: a person approves.
    assert (
        decisions(doc).items()
        >= {
            "pod.quarantine": "approval",
            "pod.collect": "auto",
            "pod.delete": "approval",
        }.items()
    )
    (target,) = doc["steps"][[s["step"] for s in doc["steps"]].index("pod.quarantine")]["targets"]
    assert (target["kind"], target["name"], target["uid"]) == (
        "pod",
        "privileged-pod",
        "33a3c89e-3280-474d-b8cb-fdf03394fc15",
    )
    assert not doc["plan_only"]


def test_an_anonymous_caller_is_a_matter_of_configuration_alone() -> None:
    doc = planned("malicious-ip-caller.securityhub-event.json")
    assert doc["subject"]["kind"] == "anonymous"
    assert doc["paths"] == ["configuration"]
    assert set(decisions(doc)) == {"configuration.unbind_anonymous", "configuration.collect"}


def test_a_finding_that_names_nobody_is_triaged() -> None:
    doc = planned("malicious-ip-caller.get-findings.json")
    assert (doc["subject"]["kind"], doc["paths"], doc["plan_only"]) == ("none", ["triage"], True)


def test_a_finding_of_an_unknown_type_is_never_acted_on_unasked() -> None:
    doc = planned("every-field.get-findings.json")
    assert doc["paths"][-1] == "triage"
    assert set(decisions(doc).values()) <= {"approval", "auto"}
    assert not [s for s in doc["steps"] if s["gate"] and s["decision"] == "auto"]


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.get-findings.json")), ids=lambda f: f.name)
def test_every_published_finding_has_a_way_out(file: File) -> None:
    for finding in read_findings(file.read_bytes()):
        plan = make_plan(finding, None, Policy())
        assert plan.paths and plan.steps
