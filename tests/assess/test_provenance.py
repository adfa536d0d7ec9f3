"""Who stands behind a finding: GuardDuty asked by us, or nobody (design: Provenance)."""

from __future__ import annotations

import dataclasses
import socket
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.assess import Assessing
from activities.assess.provenance import differences
from activities.doors import Doors
from clients.aws import Aws
from contracts.activities import Assessment, AssessRequest
from contracts.common import IncidentKey
from plans.model import Gate, Verdict
from settings import Settings
from tests.assess.support import JsonObject, pod_spec, raw_finding, read, workload_of

Assess = Callable[..., Assessment]
Publish = Callable[[JsonObject], None]
Make = Callable[..., JsonObject]


def decision(assessment: Assessment) -> Verdict | None:
    terms = assessment.plan.terms(Gate.CONTAIN)
    return terms.decision if terms else None


@pytest.mark.stack
def test_an_id_that_guardduty_does_not_know_asks_a_person(assess: Assess, make: Make) -> None:
    pod = make("Pod", "web", pod_spec())
    assessment = assess(read(raw_finding(uuid.uuid4().hex, workload=workload_of(pod, "pods"))))
    assert not assessment.provenance.confirmed and "does not know" in assessment.provenance.reason
    assert decision(assessment) is Verdict.APPROVAL
    assert [p.name for p in assessment.pods.inline] == ["web"]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"archived": True}, "archived"),
        ({"age": timedelta(hours=25)}, "more than 24 h ago"),
    ],
)
def test_an_old_or_archived_finding_asks_a_person(
    fields: dict[str, Any], reason: str, assess: Assess, publish: Publish, make: Make
) -> None:
    pod = make("Pod", "web", pod_spec())
    raw = raw_finding(uuid.uuid4().hex, workload=workload_of(pod, "pods"), **fields)
    publish(raw)
    assessment = assess(read(raw))
    assert not assessment.provenance.confirmed and reason in assessment.provenance.reason
    assert decision(assessment) is Verdict.APPROVAL


@pytest.mark.stack
@pytest.mark.parametrize(
    "fields",
    [{"cluster": "production"}, {"account": "999999999999"}, {"region": "eu-west-1"}],
    ids=lambda f: next(iter(f)),
)
def test_a_finding_about_somewhere_else_proposes_none_of_our_pods(
    fields: dict[str, Any], assess: Assess, publish: Publish, make: Make
) -> None:
    pod = make("Pod", "web", pod_spec())
    raw = raw_finding(uuid.uuid4().hex, workload=workload_of(pod, "pods"), **fields)
    publish(raw)
    assessment = assess(read(raw))
    assert not assessment.provenance.confirmed and next(iter(fields)) in assessment.provenance.reason
    assert assessment.pods.count == 0 and assessment.changes == ()
    assert decision(assessment) is not Verdict.AUTO


@pytest.mark.stack
def test_a_finding_without_a_cluster_asks_a_person(assess: Assess, publish: Publish, make: Make) -> None:
    pod = make("Pod", "web", pod_spec())
    raw = raw_finding(uuid.uuid4().hex, workload=workload_of(pod, "pods"))
    del raw["Resource"]["EksClusterDetails"]
    publish(raw)
    assessment = assess(read(raw))
    assert "names no cluster" in assessment.provenance.reason
    assert decision(assessment) is not Verdict.AUTO


@pytest.mark.stack
def test_guarddutys_copy_wins_over_what_the_queue_said(assess: Assess, publish: Publish, make: Make) -> None:
    guilty, innocent = make("Pod", "guilty", pod_spec()), make("Pod", "innocent", pod_spec())
    real = raw_finding(uuid.uuid4().hex, workload=workload_of(guilty, "pods"), severity=5)
    publish(real)
    forged = real | {"Severity": 9.5, "Type": "Impact:Runtime/CryptoMinerExecuted"}
    forged["Resource"] = {
        **real["Resource"],
        "KubernetesDetails": {"KubernetesWorkloadDetails": workload_of(innocent, "pods")},
    }
    assessment = assess(read(forged))
    assert assessment.provenance.confirmed
    assert [p.name for p in assessment.pods.inline] == ["guilty"]
    assert assessment.plan.finding.severity == 5 and assessment.plan.finding.type == real["Type"]
    assert decision(assessment) is Verdict.APPROVAL
    for what in ("severity", "type", "workload"):
        assert any(f"another {what}" in w for w in assessment.plan.warnings)


@pytest.mark.stack
def test_a_forged_cluster_does_not_hide_a_finding(assess: Assess, publish: Publish, make: Make) -> None:
    pod = make("Pod", "web", pod_spec())
    finding_id = uuid.uuid4().hex
    publish(raw_finding(finding_id, workload=workload_of(pod, "pods")))
    assessment = assess(read(raw_finding(finding_id, workload=workload_of(pod, "pods"), cluster="elsewhere")))
    assert assessment.provenance.confirmed and [p.name for p in assessment.pods.inline] == ["web"]
    assert decision(assessment) is Verdict.AUTO


@pytest.mark.stack
def test_guardduty_being_down_is_a_reason_and_no_failure(
    doors: Doors, unspent: None, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = make("Pod", "web", pod_spec())
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        # Bound and not listening: every connection is refused.
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        assessing = Assessing(dataclasses.replace(doors, aws=Aws(region="us-east-1")))
        finding = read(raw_finding(uuid.uuid4().hex, workload=workload_of(pod, "pods")))
        key = IncidentKey(workflow_id=f"gd/{finding.id}", run_id="r")
        assessment = ActivityEnvironment().run(assessing.assess, AssessRequest(incident=key, finding=finding))
        assessing.close()
    assert "could not be asked (Unavailable" in assessment.provenance.reason
    assert decision(assessment) is Verdict.APPROVAL
    assert [p.name for p in assessment.pods.inline] == ["web"]


@pytest.mark.stack
def test_an_installation_that_does_not_know_its_cluster_confirms_nothing(
    doors: Doors, unspent: None, publish: Publish, make: Make, settings: Settings
) -> None:
    pod = make("Pod", "web", pod_spec())
    raw = raw_finding(uuid.uuid4().hex, workload=workload_of(pod, "pods"))
    publish(raw)
    nowhere = settings.model_copy(update={"cluster": ""})
    assessing = Assessing(dataclasses.replace(doors, settings=nowhere))
    key = IncidentKey(workflow_id="gd/nowhere", run_id="r")
    assessment = ActivityEnvironment().run(assessing.assess, AssessRequest(incident=key, finding=read(raw)))
    assessing.close()
    assert "FIREBREAK_CLUSTER" in assessment.provenance.reason
    assert decision(assessment) is Verdict.APPROVAL


def test_the_same_finding_has_no_differences() -> None:
    finding = read(raw_finding("abc", workload={"Name": "web", "Namespace": "shop", "Type": "pods", "Uid": "1"}))
    assert differences(finding, finding) == []
