from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.collect import Collecting
from activities.collect.activity import _list_name
from activities.collect.model import Collector, Deadline, Found, Task, Wave
from activities.collect.registry import COLLECTORS
from activities.doors import Doors
from activities.seal import Sealing
from clients.kubernetes import JsonObject, Kubernetes
from contracts.activities import CollectRequest, CollectResult, SealRequest
from contracts.changes import deny_all_change
from contracts.common import EvidenceState, PodTarget, PodTargets, StoredList
from devstack.kube import KubeApi
from errors import EvidenceError, Unavailable
from evidence.document import read_line
from evidence.entry import Entry
from evidence.local import LocalStore
from evidence.read import list_entries
from evidence.store import Stored, read_bytes
from evidence.verify import verify
from tests.collect.conftest import INCIDENT

pytestmark = pytest.mark.stack

Attempt = Callable[[int], ActivityEnvironment]
PREFIX = INCIDENT.evidence_prefix
FILES = {
    "logs/i0.log",
    "logs/c0.log",
    "events.json",
    "manifest.json",
    "containers.json",
    "owners.json",
    "service-account.json",
    "rights.json",
    "network-policies.json",
    "node.json",
}


def _request(pods: Iterable[PodTarget]) -> CollectRequest:
    inline = tuple(pods)
    return CollectRequest(incident=INCIDENT, step="pod.collect", pods=PodTargets(count=len(inline), inline=inline))


def _entries(doors: Doors, result: CollectResult) -> list[Entry]:
    assert result.entries is not None
    return [read_line(line) for line in read_bytes(doors.store, result.entries.key).splitlines()]


def _json(doors: Doors, pod: PodTarget, file: str) -> Any:
    return json.loads(read_bytes(doors.store, f"{PREFIX}/pods/{pod.uid}/{file}"))


def _seal(doors: Doors, environment: ActivityEnvironment, result: CollectResult) -> EvidenceState:
    assert result.entries is not None
    change = deny_all_change("shop", "pod.quarantine")
    request = SealRequest(
        incident=INCIDENT, phase="collect", entries=(result.entries,), changes=(change,), undone=(change.key,)
    )
    return environment.run(Sealing(doors).seal_evidence, request)


def test_everything_about_every_pod_is_kept(doors: Doors, workload: list[PodTarget], attempt: Attempt) -> None:
    result = attempt(1).run(Collecting(doors).collect_pods, _request(workload))
    assert result.failures == ()
    for pod in workload:
        folder = f"{PREFIX}/pods/{pod.uid}"
        assert {k.removeprefix(f"{folder}/") for k in doors.store.keys(folder)} == FILES
    pod = workload[0]
    assert _json(doors, pod, "manifest.json")["metadata"]["uid"] == pod.uid
    assert [o["object"]["kind"] for o in _json(doors, pod, "owners.json")["owners"]] == ["ReplicaSet", "Deployment"]
    assert _json(doors, pod, "node.json")["metadata"]["name"] == pod.node
    assert _json(doors, pod, "service-account.json")["metadata"]["name"] == "shop"
    assert [p["policy"]["metadata"]["name"] for p in _json(doors, pod, "network-policies.json")["policies"]] == [
        "opens"
    ]
    assert any(e["reason"] == "Scheduled" for e in _json(doors, pod, "events.json")["events"][pod.uid])
    [container] = [c for c in _json(doors, pod, "containers.json")["containers"] if c["kind"] == "container"]
    assert container["securityContext"] == {"privileged": True}
    assert container["mounts"][0]["source"]["hostPath"]["path"] == "/"


def test_the_rights_are_those_of_the_account_and_of_its_groups(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    attempt(1).run(Collecting(doors).collect_pods, _request(workload[:1]))
    granted = {g["binding"]["name"]: g for g in _json(doors, workload[0], "rights.json")["granted"]}
    assert granted["shop-reads"]["role"]["rules"][0]["resources"] == ["secrets"]
    assert granted["dangling"]["error"].startswith("TargetGone")
    # Everybody who is authenticated may discover the API; who looks for rights must not overlook it.
    assert "system:discovery" in granted


def test_no_value_of_a_variable_and_no_name_reaches_the_store(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    result = attempt(1).run(Collecting(doors).collect_pods, _request(workload))
    for key in doors.store.keys(""):
        assert b"hunter2" not in read_bytes(doors.store, key)
        assert re.fullmatch(r"[a-zA-Z0-9._/-]+", key)
        assert "shop" not in key
        assert "web" not in key
    manifests = [e for e in _entries(doors, result) if e.kind == "pod-manifest"]
    assert all(e.redactions == ("/spec/containers/0/env/0/value",) for e in manifests)


def test_what_was_collected_can_be_sealed_and_verified(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    result = attempt(1).run(Collecting(doors).collect_pods, _request(workload))
    state = _seal(doors, attempt(1), result)
    assert state.manifests == 1
    assert state.artefacts == result.artefacts + 1
    assert verify(doors.store, PREFIX, state.manifest_sha256, state.manifests).ok
    assert _seal(doors, attempt(2), result) == state
    [changes] = [e for e in list_entries(doors.store, PREFIX) if e.kind == "changes"]
    [line] = [json.loads(x) for x in read_bytes(doors.store, f"{PREFIX}/{changes.key}").splitlines()]
    assert line["undone"] is True
    assert line["change"]["resource"]["name"] == "firebreak-quarantine"


def test_a_seal_of_another_incidents_list_is_refused(doors: Doors, attempt: Attempt) -> None:
    foreign = StoredList(key="incidents/other/entries/a.jsonl", sha256="0" * 64, count=1)
    with pytest.raises(EvidenceError, match="does not belong"):
        attempt(1).run(
            Sealing(doors).seal_evidence, SealRequest(incident=INCIDENT, phase="collect", entries=(foreign,))
        )


def test_of_a_pod_that_is_gone_the_rest_is_kept(
    doors: Doors, admin: KubeApi, workload: list[PodTarget], attempt: Attempt
) -> None:
    gone, there = workload
    path = f"/api/v1/namespaces/{gone.namespace}/pods/{gone.name}"
    admin.request("DELETE", path, {"gracePeriodSeconds": 0})
    result = attempt(1).run(Collecting(doors).collect_pods, _request(workload))
    entries = [e for e in _entries(doors, result) if e.subject.uid == gone.uid and e.kind != "entry-list"]
    failed = {e.kind: e.reason for e in entries if not e.collected}
    assert set(failed) == {"logs", "pod-manifest", "containers", "service-account", "rights", "network-policies"}
    assert all(reason.startswith("TargetGone: ") for reason in failed.values())
    assert {e.kind for e in entries if e.collected} == {"events", "owners"}
    assert _json(doors, gone, "owners.json")["owners"][0]["object"]["kind"] == "Deployment"
    assert _json(doors, gone, "events.json")["events"][gone.uid]
    assert _json(doors, gone, "node.json")["metadata"]["name"] == gone.node
    folder = f"{PREFIX}/pods/{there.uid}"
    assert {k.removeprefix(f"{folder}/") for k in doors.store.keys(folder)} == FILES
    assert len(result.failures) == len(failed)


def test_another_pod_under_the_name_is_not_the_pod(doors: Doors, workload: list[PodTarget], attempt: Attempt) -> None:
    other = workload[0].model_copy(update={"uid": "00000000-0000-0000-0000-000000000000"})
    result = attempt(1).run(Collecting(doors).collect_pods, _request([other]))
    reasons = {e.kind: e.reason for e in _entries(doors, result) if not e.collected}
    assert "another pod stands under the name" in reasons["pod-manifest"]


@pytest.fixture
def pod_on_silent_node(admin: KubeApi, namespace: str) -> Iterator[PodTarget]:
    """A node whose kubelet listens nowhere, and a pod that is bound to it; the node goes after the test."""
    pod = _pod_on_silent_node(admin, namespace)
    yield pod
    admin.request("DELETE", f"/api/v1/nodes/{pod.node}")


def test_a_silent_node_costs_its_logs_and_nothing_else(
    doors: Doors, pod_on_silent_node: PodTarget, attempt: Attempt
) -> None:
    pod = pod_on_silent_node
    result = attempt(1).run(Collecting(doors).collect_pods, _request([pod]))
    entries = _entries(doors, result)
    failed = [e for e in entries if not e.collected]
    assert {e.kind for e in failed} == {"container-log"}
    assert {e.reason.partition(":")[0] for e in failed} <= {"Unavailable", "InputError"}
    assert {"pod-manifest", "containers", "node", "rights"} <= {e.kind for e in entries if e.collected}
    assert result.failures[0].target.startswith("container-log of Pod")


def test_a_pod_without_a_usable_uid_is_recorded_and_not_touched(doors: Doors, attempt: Attempt) -> None:
    bad = PodTarget(namespace="shop", name="web", uid="../../escape")
    result = attempt(1).run(Collecting(doors).collect_pods, _request([bad]))
    [entry] = _entries(doors, result)
    assert (entry.collected, entry.kind, entry.subject.uid) == (False, "pod", "../../escape")


def _broken(case: object) -> Iterator[Task]:
    raise KeyError("hostile\x1b[31m manifest")


def _breaks_off(case: object) -> Iterator[Task]:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise Unavailable("the connection is gone")

    def run(deadline: Deadline) -> Found:
        return Found(chunks(), "GET half")

    yield Task("half.log", "half-log", run, patient=False)


def test_a_collector_that_fails_is_recorded_and_the_others_go_on(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    collectors = (
        Collector("broken", Wave.VOLATILE, _broken),
        Collector("half", Wave.VOLATILE, _breaks_off),
        *(c for c in COLLECTORS if c.name == "node"),
    )
    result = attempt(1).run(Collecting(doors, collectors).collect_pods, _request(workload[:1]))
    outcomes = {e.kind: (e.collected, e.reason) for e in _entries(doors, result) if e.kind != "entry-list"}
    assert outcomes == {
        "broken": (False, "Internal: KeyError"),
        "half-log": (False, "Unavailable: the connection is gone"),
        "node": (True, ""),
        "audit-events": (True, "no event of it was found"),
    }
    assert not any("half" in key for key in doors.store.keys(""))


class _FailingStore(LocalStore):
    """Fails for good once it has written so many objects, as a full disk does."""

    def __init__(self, root: Path, writes: int) -> None:
        super().__init__(root)
        self.left = writes

    def put(self, key: str, chunks: Iterable[bytes]) -> Stored:
        if self.left <= 0:
            raise EvidenceError("no space left")
        self.left -= 1
        return super().put(key, chunks)


@pytest.mark.parametrize("writes", [0, 3, 7, 15, 23, 24, 25])
def test_a_crash_is_resumed_without_anything_twice(
    doors: Doors, workload: list[PodTarget], attempt: Attempt, tmp_path: Path, writes: int
) -> None:
    broken = replace(doors, store=_FailingStore(tmp_path / "evidence", writes))
    with pytest.raises(EvidenceError, match="no space"):
        attempt(1).run(Collecting(broken).collect_pods, _request(workload))
    result = attempt(2).run(Collecting(doors).collect_pods, _request(workload))
    entries = _entries(doors, result)
    keys = [e.key for e in entries if e.collected]
    # Of each pod the files and a list a wave, of both together their audit events and their list.
    assert len(keys) == len(set(keys)) == 2 * (len(FILES) + 2) + 2
    assert result.failures == ()
    assert verify(doors.store, PREFIX, _seal(doors, attempt(1), result).manifest_sha256).ok
    # Once more, as after a lost answer, it is the same list.
    assert attempt(3).run(Collecting(doors).collect_pods, _request(workload)) == result


def test_two_attempts_at_the_same_time_give_one_list(doors: Doors, workload: list[PodTarget], attempt: Attempt) -> None:
    results: list[CollectResult] = []

    def run(number: int) -> None:
        results.append(attempt(number).run(Collecting(doors).collect_pods, _request(workload)))

    threads = [threading.Thread(target=run, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0].entries == results[1].entries
    assert verify(doors.store, PREFIX, _seal(doors, attempt(1), results[0]).manifest_sha256).ok


class _Spy(Kubernetes):
    """Counts what is asked."""

    asked: list[str]

    def get(self, path: str, **query: str) -> JsonObject:
        self.asked.append(path)
        return super().get(path, **query)

    def pages(self, path: str, *, limit: int | str = 500, **query: str) -> Iterator[list[JsonObject]]:
        self.asked.append(path)
        yield from super().pages(path, limit=limit, **query)


def test_what_pods_share_is_read_once(
    doors: Doors, workload: list[PodTarget], attempt: Attempt, kubeconfig: None
) -> None:
    spy = _Spy.from_environment()
    assert isinstance(spy, _Spy)
    spy.asked = []
    attempt(1).run(Collecting(replace(doors, kubernetes=spy)).collect_pods, _request(workload))
    for part in ("rolebindings", "clusterrolebindings", "networkpolicies", "serviceaccounts/shop", "deployments/shop"):
        assert sum(path.endswith(f"/{part}") for path in spy.asked) == 1, part
    for pod in workload:
        assert sum(path.endswith(f"/pods/{pod.name}") for path in spy.asked) == 1


def test_a_silent_api_server_is_waited_for_and_at_last_recorded(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    nowhere = kubernetes.client.Configuration(host="https://127.0.0.1:9")
    silent = replace(doors, kubernetes=Kubernetes(kubernetes.client.ApiClient(nowhere)))
    with pytest.raises(Unavailable):
        attempt(1).run(Collecting(silent).collect_pods, _request(workload))
    result = attempt(8).run(Collecting(silent).collect_pods, _request(workload))
    assert {e.kind for e in _entries(doors, result) if e.collected} <= {"entry-list", "owners", "audit-events"}
    assert {f.code for f in result.failures} == {"Unavailable"}


def test_cancellation_ends_between_two_pods_and_a_retry_goes_on(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    environment = attempt(1)
    environment.on_heartbeat = lambda *details: environment.cancel()
    with pytest.raises(CancelledError):
        environment.run(Collecting(doors).collect_pods, _request(workload))
    assert attempt(2).run(Collecting(doors).collect_pods, _request(workload)).failures == ()


def test_a_list_of_targets_is_followed_and_sealed_with_the_rest(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    data = b"".join(p.model_dump_json().encode() + b"\n" for p in workload)
    stored = doors.store.create(f"{PREFIX}/targets/0001.jsonl", data)
    reference = StoredList(key=stored.key, sha256=stored.sha256, count=2, size=stored.size)
    request = CollectRequest(incident=INCIDENT, step="pod.collect", pods=PodTargets(count=2, reference=reference))
    result = attempt(1).run(Collecting(doors).collect_pods, request)
    assert _entries(doors, result)[0].key == "targets/0001.jsonl"
    assert verify(doors.store, PREFIX, _seal(doors, attempt(1), result).manifest_sha256).ok


def test_progress_is_reported_as_it_is_made(doors: Doors, workload: list[PodTarget], attempt: Attempt) -> None:
    beats: list[Any] = []
    environment = attempt(1)
    environment.on_heartbeat = lambda *details: beats.append(details[0])
    result = environment.run(Collecting(doors).collect_pods, _request(workload))
    assert beats[-1] == {
        "wave": "AUDIT",
        "waves": ["VOLATILE", "LASTING"],
        "pods": 2,
        "parts": 5,
        "artefacts": result.artefacts,
        "bytes": result.bytes,
        "failures": 0,
    }
    assert {b["wave"] for b in beats} == {"VOLATILE", "LASTING", "AUDIT"}
    for key in ("parts", "artefacts", "bytes"):
        assert [b[key] for b in beats] == sorted(b[key] for b in beats)


@pytest.mark.parametrize("writes", [3, 12, 15, 20, 23])
def test_progress_of_a_resumed_collection_counts_nothing_twice(
    doors: Doors, workload: list[PodTarget], attempt: Attempt, tmp_path: Path, writes: int
) -> None:
    collectors = (Collector("broken", Wave.VOLATILE, _broken), *COLLECTORS)
    beats: list[Any] = []
    first, second = attempt(1), attempt(2)
    first.on_heartbeat = second.on_heartbeat = lambda *details: beats.append(details[0] if details else None)
    with pytest.raises(EvidenceError, match="no space"):
        broken = replace(doors, store=_FailingStore(tmp_path / "evidence", writes))
        first.run(Collecting(broken, collectors).collect_pods, _request(workload))
    said = [b for b in beats if b]
    second.info = replace(second.info, heartbeat_details=said[-1:])
    beats.clear()

    result = second.run(Collecting(doors, collectors).collect_pods, _request(workload))
    last = {key: beats[-1][key] for key in ("parts", "artefacts", "bytes", "failures")}
    assert last == {"parts": 5, "artefacts": result.artefacts, "bytes": result.bytes, "failures": 2}
    assert len(result.failures) == 2
    for key in ("parts", "artefacts", "bytes", "failures"):
        assert [b[key] for b in beats if b][-1] == max(b[key] for b in beats if b)


def test_a_part_that_is_damaged_keeps_nothing_from_being_collected(
    doors: Doors, workload: list[PodTarget], attempt: Attempt
) -> None:
    request = _request(workload)
    name = _list_name(request.step, workload)
    doors.store.create(f"{PREFIX}/entries/{name}/{workload[0].uid}-{Wave.VOLATILE.value}.jsonl", b"not an entry\n")
    with pytest.raises(EvidenceError):
        attempt(2).run(Collecting(doors).collect_pods, request)
    assert read_bytes(doors.store, f"{PREFIX}/pods/{workload[1].uid}/manifest.json")


def _pod_on_silent_node(admin: KubeApi, namespace: str) -> PodTarget:
    name = f"silent-{namespace}"
    admin.request("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    status = {
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 9}},
        }
    }
    admin.request(
        "PATCH", f"/api/v1/nodes/{name}/status", status, content_type="application/strategic-merge-patch+json"
    )
    container = {"name": "web", "image": "busybox"}
    body = {"metadata": {"name": "web"}, "spec": {"nodeName": name, "containers": [container]}}
    pod = admin.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)
    return PodTarget(namespace=namespace, name="web", uid=pod["metadata"]["uid"], node=name)
