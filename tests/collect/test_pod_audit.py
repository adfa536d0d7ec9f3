"""The audit events of pods in their collection: of these pods only, and never at the cost of the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.collect import Collecting
from activities.doors import Doors
from activities.seal import Sealing
from contracts.activities import CollectRequest, CollectResult, SealRequest
from contracts.common import PodTarget, PodTargets
from devstack.aws import audit
from devstack.aws.audit import event
from devstack.stack import StackInfo
from evidence.document import read_line
from evidence.entry import Entry
from evidence.store import read_bytes
from evidence.verify import verify
from tests.collect.conftest import INCIDENT
from tests.devstack.test_aws import client

pytestmark = pytest.mark.stack

Attempt = Callable[[int], ActivityEnvironment]
PREFIX = INCIDENT.evidence_prefix
SEEN = datetime.now(UTC) - timedelta(minutes=10)


@pytest.fixture
def logs(stack: StackInfo) -> Any:
    return client(stack, "logs")


def asked(*pods: PodTarget) -> CollectRequest:
    targets = PodTargets(count=len(pods), inline=pods)
    return CollectRequest(incident=INCIDENT, step="pod.collect", pods=targets, first_seen=SEEN, last_seen=SEEN)


def entries(doors: Doors, result: CollectResult) -> list[Entry]:
    assert result.entries is not None
    return [read_line(line) for line in read_bytes(doors.store, result.entries.key).splitlines()]


def audited(doors: Doors, result: CollectResult) -> Entry:
    (found,) = [e for e in entries(doors, result) if e.kind == "audit-events"]
    return found


def kept(doors: Doors, entry: Entry) -> list[Any]:
    return [json.loads(line) for line in read_bytes(doors.store, f"{PREFIX}/{entry.key}").splitlines()]


def test_what_was_done_to_the_pods_and_with_their_tokens_is_kept(
    stack: StackInfo, doors: Doors, logs: Any, workload: list[PodTarget], attempt: Attempt
) -> None:
    one, two = workload
    account = f"system:serviceaccount:{one.namespace}:shop"
    token = {"username": account, "extra": {"authentication.kubernetes.io/pod-uid": [two.uid]}}
    found = [
        event("mallory", "create", "pods", namespace=one.namespace, name=one.name, subresource="exec"),
        event(account, "list", "secrets", namespace=one.namespace, user=token, responseObject={"items": ["hunter2"]}),
        event("mallory", "create", "pods", namespace=one.namespace, name=f"{one.name}0", subresource="exec"),
        event("mallory", "create", "pods", namespace="elsewhere", name=one.name, subresource="exec"),
        event(account, "list", "secrets", namespace=one.namespace),
    ]
    audit.write(logs, stack.cluster, [(SEEN, audit.line_of(e)) for e in found])
    result = attempt(1).run(Collecting(doors).collect_pods, asked(one, two))
    assert result.failures == ()
    entry = audited(doors, result)
    assert [e["auditID"] for e in kept(doors, entry)] == [e["auditID"] for e in found[:2]]
    assert b"hunter2" not in read_bytes(doors.store, f"{PREFIX}/{entry.key}")
    assert entry.redactions == ("/1/responseObject",)
    assert (entry.subject.kind, entry.subject.namespace) == ("Pods", one.namespace)
    assert one.name not in entry.key and one.namespace not in entry.key

    seal = SealRequest(incident=INCIDENT, phase="collect", entries=(result.entries,) if result.entries else ())
    state = attempt(1).run(Sealing(doors).seal_evidence, seal)
    assert verify(doors.store, PREFIX, state.manifest_sha256, state.manifests).ok

    alone = attempt(1).run(Collecting(doors).collect_pods, asked(one))
    entry = audited(doors, alone)
    assert [e["auditID"] for e in kept(doors, entry)] == [found[0]["auditID"]]
    assert (entry.subject.kind, entry.subject.uid) == ("Pod", one.uid)


def test_a_cluster_without_an_audit_log_costs_nothing_else(
    stack: StackInfo, doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    where = {"subnetIds": ["subnet-1", "subnet-2"]}
    role = "arn:aws:iam::123456789012:role/cluster"
    client(stack, "eks").create_cluster(name="no-audit-log", roleArn=role, resourcesVpcConfig=where)
    there = replace(doors, settings=doors.settings.model_copy(update={"cluster": "no-audit-log"}))
    result = attempt(1).run(Collecting(there).collect_pods, asked(*workload))
    (failed,) = [e for e in entries(doors, result) if not e.collected]
    assert failed.kind == "audit-events" and "audit log of the cluster no-audit-log is off" in failed.reason
    assert [f.code for f in result.failures] == ["TargetGone"]
    assert {"pod-manifest", "events", "rights", "node"} <= {e.kind for e in entries(doors, result) if e.collected}


def test_what_an_attempt_that_died_has_kept_is_not_read_again(
    stack: StackInfo, doors: Doors, logs: Any, workload: list[PodTarget], attempt: Attempt
) -> None:
    (pod,) = workload[:1]
    found = event("mallory", "get", "pods", namespace=pod.namespace, name=pod.name)
    audit.write(logs, stack.cluster, [(SEEN, audit.line_of(found))])
    environment = attempt(1)

    def beat(*details: Any) -> None:
        if any("audit/" in key for key in doors.store.keys(PREFIX)):
            environment.cancel()

    environment.on_heartbeat = beat
    with pytest.raises(CancelledError):
        environment.run(Collecting(doors).collect_pods, asked(pod))
    entry = audited(doors, attempt(2).run(Collecting(doors).collect_pods, asked(pod)))
    assert [e["auditID"] for e in kept(doors, entry)] == [found["auditID"]]
    assert "earlier attempt" in entry.reason


def test_a_request_of_before_says_no_time_and_is_answered(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    old = asked(workload[0]).model_dump(mode="json", exclude={"first_seen", "last_seen"})
    result = attempt(1).run(Collecting(doors).collect_pods, CollectRequest.model_validate(old))
    assert audited(doors, result).collected
