from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from activities.collect.activity import is_segment
from activities.collect.containers import describe_containers
from activities.collect.counts import Counts
from activities.collect.logs import LOG_LIMIT, _Cut
from activities.collect.model import Deadline
from activities.collect.parallel import for_each
from activities.collect.redact import redact
from activities.collect.rights import subject_keys
from activities.collect.shared import Shared
from errors import TargetGone, Unavailable
from evidence.entry import Entry, EntrySubject, Outcome

POD: dict[str, Any] = {
    "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "s3cret"}},
    "spec": {
        "hostPID": True,
        "initContainers": [{"name": "i", "env": [{"name": "A", "value": "s3cret"}]}],
        "containers": [
            {
                "name": "c",
                "image": "repo/app:1",
                "env": [
                    {"name": "A", "value": "s3cret"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                    {"name": "C", "value": ""},
                    {"name": "D"},
                    "not a variable",
                ],
                "command": ["sh", "-c", "kept"],
                "securityContext": {"privileged": True},
                "volumeMounts": [{"name": "root", "mountPath": "/host", "readOnly": True}],
            }
        ],
        "ephemeralContainers": [{"name": "e", "env": [{"name": "A", "value": "s3cret"}]}],
        "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
    },
    "status": {"containerStatuses": [{"name": "c", "imageID": "repo/app@sha256:aa", "restartCount": 3}]},
}


def test_values_of_variables_are_taken_out_and_listed() -> None:
    copy, taken = redact(POD)
    assert "s3cret" not in repr(copy)
    assert taken == (
        "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
        "/spec/initContainers/0/env/0/value",
        "/spec/containers/0/env/0/value",
        "/spec/ephemeralContainers/0/env/0/value",
    )
    assert copy["spec"]["containers"][0]["command"] == ["sh", "-c", "kept"]
    assert copy["spec"]["containers"][0]["env"][1:] == POD["spec"]["containers"][0]["env"][1:]


def test_the_original_is_left_alone_and_templates_are_reached() -> None:
    template = {"spec": {"jobTemplate": {"spec": {"template": POD}}}}
    assert "s3cret" not in repr(redact(template)[0])
    assert "s3cret" in repr(template)


def test_very_many_redactions_are_counted() -> None:
    many = {"env": [{"name": "A", "value": "x"} for _ in range(300)]}
    _, taken = redact(many)
    assert len(taken) == 201
    assert taken[-1].startswith("and 100 more")


def test_containers_are_joined_with_what_runs_and_what_they_mount() -> None:
    described = describe_containers(POD)
    assert [c["kind"] for c in described["containers"]] == ["init", "container", "ephemeral"]
    main = described["containers"][1]
    assert (main["imageID"], main["restartCount"]) == ("repo/app@sha256:aa", 3)
    assert main["mounts"][0] == {
        "mountPath": "/host",
        "readOnly": True,
        "volume": "root",
        "source": {"hostPath": {"path": "/"}},
    }
    assert described["pod"]["hostPID"] is True


def test_every_way_in_which_a_binding_means_an_account() -> None:
    assert subject_keys("shop", "web") == (
        ("ServiceAccount", "shop", "web"),
        ("User", "", "system:serviceaccount:shop:web"),
        ("Group", "", "system:serviceaccounts:shop"),
        ("Group", "", "system:serviceaccounts"),
        ("Group", "", "system:authenticated"),
    )


class _Silent:
    """A Kubernetes that nobody may ask."""


def test_a_question_is_asked_once_however_many_want_to_know() -> None:
    shared = Shared(_Silent())  # type: ignore[arg-type]
    asked: list[int] = []
    start = threading.Barrier(4)

    def ask() -> int:
        asked.append(1)
        return 42

    def want() -> None:
        start.wait()
        assert shared.once("key", ask) == 42

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [1]


def test_an_error_is_an_answer_too() -> None:
    shared = Shared(_Silent())  # type: ignore[arg-type]
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        raise TargetGone("gone")

    for _ in range(2):
        with pytest.raises(TargetGone):
            shared.once("key", ask)
    assert asked == [1]


def test_a_node_that_was_silent_twice_is_not_asked_again() -> None:
    shared = Shared(_Silent())  # type: ignore[arg-type]
    shared.node_was_silent("node-1")
    shared.ask_node("node-1")
    shared.node_was_silent("node-1")
    with pytest.raises(Unavailable, match="node-1"):
        shared.ask_node("node-1")
    shared.ask_node("node-2")
    shared.node_answered("node-1")
    shared.ask_node("node-1")


def _log(size: int) -> Iterator[bytes]:
    for _ in range(size >> 20):
        yield b"x" * (1 << 20)


@pytest.mark.parametrize(("more", "note"), [(0, ""), (1 << 20, f"cut after {LOG_LIMIT} bytes")])
def test_a_log_is_cut_at_its_limit_and_says_so(more: int, note: str) -> None:
    cut = _Cut(b"", _log(LOG_LIMIT + more))
    assert sum(map(len, cut)) == LOG_LIMIT
    assert cut.note().startswith(note)
    assert bool(cut.note()) == bool(note)


def test_a_deadline_ends_a_stream_that_goes_on() -> None:
    beats: list[int] = []
    deadline = Deadline(-1, lambda: beats.append(1))
    with pytest.raises(Unavailable, match="not complete within"):
        list(deadline.watch(iter([b"a"])))
    assert beats == [1]


@pytest.mark.parametrize(
    ("uid", "good"), [("3f1e-aa", True), ("", False), ("a/b", False), ("..", False), ("a b", False)]
)
def test_only_a_plain_uid_becomes_a_key(uid: str, good: bool) -> None:
    assert is_segment(uid) is good


def test_every_item_is_worked_on_once() -> None:
    done: list[int] = []
    beats: queue.SimpleQueue[None] = queue.SimpleQueue()
    for_each(range(50), done.append, threads=4, beats=beats, look=lambda progressed: None)
    assert sorted(done) == list(range(50))


def test_the_first_error_stops_the_others() -> None:
    done: list[int] = []
    beats: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work(number: int) -> None:
        if number == 5:
            raise RuntimeError("five")
        done.append(number)

    with pytest.raises(RuntimeError, match="five"):
        for_each(range(10_000), work, threads=2, beats=beats, look=lambda progressed: None)
    assert len(done) < 10_000


def test_an_error_of_the_onlooker_stops_the_threads() -> None:
    beats: queue.SimpleQueue[None] = queue.SimpleQueue()

    def look(progressed: bool) -> None:
        raise RuntimeError("cancelled")

    done: list[int] = []
    with pytest.raises(RuntimeError, match="cancelled"):
        for_each(range(100_000), done.append, threads=2, beats=beats, look=look)
    assert len(done) < 100_000


def _entry(outcome: Outcome, size: int = 0) -> Entry:
    return Entry(
        kind="x",
        subject=EntrySubject(kind="Pod"),
        collected_at=datetime.now(UTC),
        activity="collect_pods",
        worker="w",
        outcome=outcome,
        size=size,
        reason="TargetGone: it is gone" if outcome is Outcome.FAILED else "",
    )


def test_counts_lose_nothing_between_threads() -> None:
    counts = Counts()
    good, bad = _entry(Outcome.COLLECTED, 7), _entry(Outcome.FAILED)

    def count() -> None:
        for _ in range(5_000):
            counts.entry(good)
            counts.entry(bad)
            counts.artefact(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.so_far() == (40_000, 160_000, 20_000)
