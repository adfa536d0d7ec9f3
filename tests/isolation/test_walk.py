import dataclasses
import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.isolation.walk import MOST_FAILURES, MOST_GONE, Tally, walk
from activities.targets import read_targets
from contracts.common import PodTarget, PodTargets
from errors import EvidenceError, Forbidden, Paused, TargetGone, Unavailable
from evidence.local import LocalStore
from tests.isolation.support import stored

PODS = [PodTarget(namespace="shop", name=f"web-{i}", uid=str(i)) for i in range(200)]


def walked(work: Any, pods: list[PodTarget] = PODS, beats: list[Any] | None = None, last: Any = None) -> Tally:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, heartbeat_details=[last] if last else [])
    if beats is not None:
        environment.on_heartbeat = lambda *details: beats.append(details[0])
    return environment.run(lambda: walk("w", pods, work, step="s"))


def test_each_pod_is_worked_on_once_and_outcomes_are_counted() -> None:
    seen: list[str] = []

    def work(pod: PodTarget) -> str:
        seen.append(pod.uid)
        if int(pod.uid) % 4 == 1:
            raise TargetGone("gone")
        if int(pod.uid) % 4 == 2:
            raise Forbidden("no")
        return "kept" if int(pod.uid) % 4 == 3 else ""

    tally = walked(work)
    assert sorted(seen, key=int) == [p.uid for p in PODS]
    assert (tally.done, tally.gone, len(tally.failures), len(tally.kept)) == (50, 50, 50, 50)
    assert tally.failures[0].target == "Pod shop/web-2" and tally.failures[0].code == "Forbidden"
    result = tally.result()
    assert len(result.gone_targets) == MOST_GONE and len(result.failures) == MOST_FAILURES


@pytest.mark.parametrize("error", [Unavailable("down"), Paused("paused")])
def test_what_hits_the_cluster_stops_the_walk_and_a_retry_goes_on_at_the_cursor(error: Exception) -> None:
    broken = threading.Event()
    beats: list[Any] = []
    seen: list[int] = []

    def work(pod: PodTarget) -> str:
        if int(pod.uid) == 100 and not broken.is_set():
            broken.set()
            raise error
        seen.append(int(pod.uid))
        return ""

    with pytest.raises(type(error)):
        walked(work, beats=beats)
    assert beats[-1]["index"] == 100, "the cursor covers only what is finished"
    assert max(seen) < 140, "nothing far ahead was begun"
    seen.clear()
    tally = walked(work, last=beats[-1])
    assert (tally.done, tally.index, min(seen)) == (200, 200, 100)


def test_a_cancelled_walk_stops_between_two_pods() -> None:
    environment = ActivityEnvironment()
    seen: list[str] = []

    def work(pod: PodTarget) -> str:
        seen.append(pod.uid)
        if pod.uid == "5":
            environment.cancel()
        return ""

    # What stops it is the question, never an exception thrown into a mutation: that is what the decorator asks for.
    with pytest.raises(CancelledError):
        environment.run(_shielded(lambda: walk("w", PODS, work, step="s")))
    assert len(seen) < 60


def _shielded(work: Any) -> Any:
    def run() -> Any:
        with activity.shield_thread_cancel_exception():
            return work()

    return run


def test_a_bug_is_not_taken_for_a_failure_of_a_pod() -> None:
    def work(pod: PodTarget) -> str:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        walked(work)
    with pytest.raises(KeyError):
        walked(work, PODS[:1])


def test_targets_come_inline_or_from_the_store_once_their_hash_is_checked(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert list(read_targets(store, PodTargets(count=1, inline=(PODS[0],)))) == PODS[:1]
    pods = stored(store, PODS)
    assert list(read_targets(store, pods)) == PODS
    assert pods.reference
    for update, message in (({"sha256": "0" * 64}, "sha256"), ({"count": 7}, "200 targets, not 7")):
        wrong = pods.model_copy(update={"reference": pods.reference.model_copy(update=update)})
        with pytest.raises(EvidenceError, match=message):
            read_targets(store, wrong)


def test_a_line_that_is_no_target_is_named_by_its_number(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    data = PODS[0].model_dump_json().encode() + b'\n{"name": "x"}\n'
    store.create("incidents/t/odd.jsonl", data)
    good = stored(store, PODS)
    assert good.reference
    reference = good.reference.model_copy(
        update={"key": "incidents/t/odd.jsonl", "sha256": hashlib.sha256(data).hexdigest(), "count": 2}
    )
    with pytest.raises(EvidenceError, match="line 2"):
        read_targets(store, PodTargets(count=2, reference=reference))
