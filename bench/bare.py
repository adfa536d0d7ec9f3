"""The calls of one containment, recorded from the product's own activities, and made again bare: no Temporal, no plan.

Recorded, because a list written by hand would soon be another one than the product makes. Replayed one after the other
for another pod: names are exchanged, and what a patch tests is what was read just before.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kubernetes.client
import kubernetes.config
import urllib3
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.assess.assessing import Assessing
from activities.control import PauseGate
from activities.doors import Doors
from activities.isolation.fields import field_value
from activities.isolation.holders import HOLDERS_FIELD, holders_of, with_holder
from activities.isolation.isolate import IsolateActivities
from activities.isolation.verify import VerifyActivities
from bench.arena import OWN_CONFIGMAP, Target
from clients.aws import Aws
from clients.kubernetes import Kubernetes
from contracts.activities import AssessRequest, IsolateRequest, VerifyRequest
from contracts.common import IncidentKey
from contracts.names import CONTROL_CONFIGMAP, HOLD_LABEL
from contracts.states import Containment
from errors import FirebreakError
from evidence.store import open_store
from findings.model import Finding
from settings import Settings, load_settings

_STEP = "pod.quarantine"


@dataclass(frozen=True)
class Call:
    """One request; `refused` when the product expects the error that came."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    refused: bool


@dataclass(frozen=True)
class Calls:
    """All requests of one containment, and whose they were."""

    target: Target
    incident: str
    calls: tuple[Call, ...]

    def __str__(self) -> str:
        reads = sum(c.method == "GET" for c in self.calls)
        return f"1 GetFindings, {reads} reads and {len(self.calls) - reads} writes of the Kubernetes API"


class _RecordingPool:
    """Stands before the connection pool of the official client."""

    def __init__(self, pool: urllib3.PoolManager) -> None:
        self._pool = pool
        self.calls: list[Call] = []

    def urlopen(self, method: str, url: str, **more: Any) -> urllib3.BaseHTTPResponse:
        response = self._pool.urlopen(method, url, **more)
        parts, body = urlsplit(url), more.get("body")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.calls.append(Call(method, parts.path, query, json.loads(body) if body else None, response.status >= 300))
        return response


class Recorder:
    """Contains pods with the product's activities and without Temporal, and keeps the requests that they make."""

    def __init__(self, client: Client) -> None:
        configuration = kubernetes.client.Configuration()
        path = os.environ["KUBECONFIG"]
        kubernetes.config.load_kube_config(path, client_configuration=configuration)  # type: ignore[no-untyped-call]
        api_client = kubernetes.client.ApiClient(configuration)
        self._pool = _RecordingPool(api_client.rest_client.pool_manager)
        api_client.rest_client.pool_manager = self._pool  # type: ignore[assignment]  # It has what is used of one.
        door, settings = Kubernetes(api_client), load_settings()
        aws = Aws(region=settings.region)
        guarded = door.guarded_by(PauseGate(door, settings.namespace).check)
        doors = Doors(settings, guarded, guarded, aws, open_store(settings.evidence, aws.s3), client)
        self._rooms = Assessing(doors), IsolateActivities(doors), VerifyActivities(doors)

    def contain(self, finding: Finding, target: Target) -> Calls:
        """Contain the pod of a finding."""
        assessing, isolating, verifying = self._rooms
        self._pool.calls.clear()
        key = IncidentKey(workflow_id=f"bench/{finding.id}", run_id="recorded")
        run = ActivityEnvironment().run
        found = run(assessing.assess, AssessRequest(incident=key, finding=finding))
        pods, changes = found.pods, found.changes
        run(isolating.isolate_pods, IsolateRequest(incident=key, step=_STEP, pods=pods, changes=changes))
        request = VerifyRequest(incident=key, step=_STEP, pods=pods, changes=changes)
        proof = run(verifying.verify_containment, request)
        if proof.containment is not Containment.VERIFIED:
            raise RuntimeError(f"the recorded containment is {proof.containment.value}: {proof.reasons}")
        return Calls(target, key.workflow_id, tuple(self._pool.calls))

    def close(self) -> None:
        """End its threads."""
        self._rooms[0].close()


@dataclass
class BareCalls:
    """Makes recorded calls again for other pods. Safe to share between threads that have a namespace each."""

    kubernetes: Kubernetes = field(default_factory=Kubernetes.from_environment)
    settings: Settings = field(default_factory=load_settings)
    _control: threading.Lock = field(default_factory=threading.Lock)
    _turn: int = 0

    def __post_init__(self) -> None:
        self._aws = Aws(region=self.settings.region)
        self._record = self.kubernetes.get(f"/api/v1/namespaces/firebreak/configmaps/{OWN_CONFIGMAP}")

    def contain(self, recorded: Calls, target: Target, finding: Finding) -> None:
        """GetFindings, and then every call of the record."""
        incident = f"bench/{finding.id}"
        words = {
            recorded.target.pod.uid: target.pod.uid,
            recorded.target.pod.name: target.pod.name,
            recorded.target.pod.node: target.pod.node,
            recorded.target.workload.namespace: target.workload.namespace,
            recorded.incident: incident,
        }
        self._aws.guardduty.finding(self.settings.detector_id, finding.id)
        last: dict[str, Any] = {}
        for call in recorded.calls:
            path = _exchanged(call.path, words)
            try:
                answer = self._make(call, path, words, last, incident)
            except FirebreakError:
                if not call.refused:
                    raise
                continue
            name = "" if call.method != "POST" else f"/{answer['metadata']['name']}"
            last[path + name] = answer
        pod = last[f"/api/v1/namespaces/{target.workload.namespace}/pods/{target.pod.name}"]
        if HOLD_LABEL not in pod["metadata"]["labels"]:
            raise RuntimeError("the bare calls did not contain the pod")

    def _make(self, call: Call, path: str, words: Mapping[str, str], last: dict[str, Any], incident: str) -> Any:
        if call.method == "GET":
            return self.kubernetes.get(path, **{k: _exchanged(v, words) for k, v in call.query.items()})
        if call.method == "POST":
            return self.kubernetes.create(path, json.loads(_exchanged(json.dumps(call.body), words)))
        if call.method == "PATCH":
            return self.kubernetes.patch(path, [_operation(op, words, last[path], incident) for op in call.body])
        assert Path(path).name == CONTROL_CONFIGMAP
        with self._control:
            self._turn += 1
            body = {**self._record, "data": call.body["data"] | {"turn": str(self._turn)}}
            self._record = self.kubernetes.replace(path.replace(CONTROL_CONFIGMAP, OWN_CONFIGMAP), body)
            return self._record


def _operation(op: Mapping[str, Any], words: Mapping[str, str], live: Any, incident: str) -> dict[str, Any]:
    if op["op"] == "test":
        return {**op, "value": field_value(live, op["path"])}
    if op["path"] == HOLDERS_FIELD:
        return {**op, "value": with_holder(holders_of(live), incident)}
    return {**op, "value": json.loads(_exchanged(json.dumps(op.get("value")), words))}


def _exchanged(text: str, words: Mapping[str, str]) -> str:
    for old, new in words.items():
        text = text.replace(old, new)
    return text
