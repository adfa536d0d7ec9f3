"""Scans are read, and begun where there is none; that nothing was found, or looked for, is said as such (I5)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import urllib3

from activities.doors import Doors
from activities.image.scan import ScanActivities
from contracts.steps import StepRequest
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from errors import Forbidden
from evidence.store import read_bytes
from tests.image.registry import ecr_client, new_repository, push
from tests.isolation.support import eventually, run
from tests.node.support import TOLERATION, Fleet, fleet

pytestmark = pytest.mark.stack

nodes = pytest.fixture(name="nodes")(fleet)


@pytest.fixture
def room(doors: Doors) -> ScanActivities:
    return ScanActivities(doors, patience=timedelta(seconds=10), pause=0.05)


def test_an_image_that_was_never_scanned_is_scanned_and_the_worst_is_named(
    stack: StackInfo, room: ScanActivities, doors: Doors, request_for: Callable[..., StepRequest]
) -> None:
    ecr = ecr_client(stack)
    pushed = push(ecr, *new_repository(ecr), "1.0")
    outcome = run(room.scan_image, request_for("image.scan", pushed.by_digest, gate=None))
    assert outcome.complete
    assert "scanned now" in outcome.summary
    assert "high" in outcome.summary
    assert "CVE-" in outcome.summary
    assert outcome.entries is not None
    assert b"imageScanFindings" not in read_bytes(doors.store, outcome.entries.key)
    again = run(room.scan_image, request_for("image.scan", pushed.by_digest, gate=None))
    assert "last scan" in again.summary


def test_the_volumes_of_the_nodes_that_run_it_are_scanned(
    stack: StackInfo,
    room: ScanActivities,
    request_for: Callable[..., StepRequest],
    admin: KubeApi,
    namespace: str,
    nodes: Fleet,
) -> None:
    image = f"registry.example/web@sha256:{secrets.token_hex(32)}"
    pods = f"/api/v1/namespaces/{namespace}/pods"
    # A node of its own: whatever was scanned before on another one is still known there.
    node = nodes.node()
    spec = {"nodeName": node.name, "tolerations": [TOLERATION], "containers": [{"name": "c", "image": image}]}
    admin.request("POST", pods, {"metadata": {"name": "p"}, "spec": spec})
    eventually(lambda: admin.request("GET", f"{pods}/p")["status"].get("phase") == "Running")
    instance = node.instance_id
    arn = f"arn:aws:ec2:{stack.region}:{stack.account}:instance/{instance}"
    urllib3.request("POST", f"{stack.aws_endpoint}/_firebreak/guardduty/malware", json={"instance_arn": arn})

    outcome = run(room.scan_image, request_for("image.scan", image, gate=None))
    assert outcome.complete
    assert f"({instance}): malware scan begun now: malware found" in outcome.summary
    # The image's registry is somebody else's, whose task the scan of the image is.
    assert [t.owner for t in outcome.tasks] == ["registry.example"]


def test_a_service_that_refuses_is_said_and_keeps_nothing_else_back(
    stack: StackInfo,
    room: ScanActivities,
    doors: Doors,
    request_for: Callable[..., StepRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ecr = ecr_client(stack)
    pushed = push(ecr, *new_repository(ecr), "1.0")

    def refuse(*_: Any) -> Any:
        raise Forbidden("ecr:DescribeImageScanFindings: AccessDenied")

    monkeypatch.setattr(doors.aws.ecr, "scan", refuse)
    outcome = run(room.scan_image, request_for("image.scan", pushed.by_digest, gate=None))
    assert (outcome.complete, outcome.skipped) == (True, True)
    assert "no scan: ecr:DescribeImageScanFindings: AccessDenied" in outcome.summary
