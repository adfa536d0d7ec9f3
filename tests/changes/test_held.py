"""Several incidents on one change, and records that somebody laid hands on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from activities.changes import held as held_room
from activities.changes.engine import Engine
from activities.changes.records import Record
from activities.doors import Doors
from activities.sweep import SweepActivities
from contracts.activities import SweepRequest
from devstack.kube import KubeApi
from errors import Conflict, Forbidden
from plans.model import Change
from tests.changes.support import (
    LABEL,
    ONE,
    TWO,
    Calls,
    Thing,
    creation,
    edited,
    fields_change,
    make,
    record,
    record_path,
    seen,
    standing,
    thing_change,
)
from tests.isolation.support import NETWORKING, Killed, json_patch, run

pytestmark = pytest.mark.stack

Work = Callable[[], Any]


class Clock:
    """Time as the room of records sees it; says when somebody waits."""

    def __init__(self, waiting: threading.Event) -> None:
        self._waiting = waiting

    monotonic = staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> None:
        self._waiting.set()
        time.sleep(seconds)


@pytest.fixture
def one(admin: KubeApi, namespace: str) -> Iterator[Change]:
    made = fields_change(standing(admin, namespace))
    yield made
    if record(admin, made) is not None:
        admin.request("DELETE", record_path(made))


@pytest.mark.parametrize(("first", "last"), [(ONE, TWO), (TWO, ONE)])
def test_only_the_last_release_undoes(
    engine: Engine, admin: KubeApi, namespace: str, one: Change, first: str, last: str
) -> None:
    before = seen(admin, namespace, "web")
    assert make(engine, one, ONE) == []
    changed = seen(admin, namespace, "web")
    assert make(engine, one, TWO) == []
    assert seen(admin, namespace, "web") == changed
    assert engine.undo(one, first) == f"NetworkPolicy {namespace}/web: held by {last}"
    assert seen(admin, namespace, "web") == changed
    # A second release of the same incident is not the last one's.
    assert engine.undo(one, first) == f"NetworkPolicy {namespace}/web: held by {last}"
    assert engine.undo(one, last) == ""
    assert seen(admin, namespace, "web") == before
    assert record(admin, one) is None


@pytest.mark.parametrize(("first", "last"), [(ONE, TWO), (TWO, ONE)])
def test_the_second_may_want_something_else(
    engine: Engine, admin: KubeApi, namespace: str, one: Change, first: str, last: str
) -> None:
    before = seen(admin, namespace, "web")
    other = one.model_copy(update={"before": one.after, "after": {**one.after, LABEL: "more"}})
    assert make(engine, one, ONE) == []
    assert make(engine, other, TWO) == []
    assert not any(engine.drifted(r) for r in engine.held.all() if r.change.resource == one.resource)
    changes = {ONE: one, TWO: other}
    assert "held by" in engine.undo(changes[first], first)
    assert engine.undo(changes[last], last) == ""
    assert seen(admin, namespace, "web") == before


def test_the_second_may_die_before_it_says_what_it_left(
    engine: Engine, doors: Doors, admin: KubeApi, namespace: str, one: Change
) -> None:
    before = seen(admin, namespace, "web")
    other = one.model_copy(update={"before": one.after, "after": {**one.after, LABEL: "more"}})
    make(engine, one, ONE)
    with pytest.raises(Killed):
        # It has joined and changed the object.
        make(Engine(Calls().doors(doors, dies_after=2)), other, TWO)
    assert "held by" in engine.undo(one, ONE)
    assert engine.undo(other, TWO) == ""
    assert seen(admin, namespace, "web") == before


def test_who_joins_while_it_is_undone_waits_and_makes_it_again(
    engine: Engine, admin: KubeApi, namespace: str, one: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(engine, one, ONE)
    changed = seen(admin, namespace, "web")
    waiting = threading.Event()
    monkeypatch.setattr(held_room, "time", Clock(waiting))
    results: list[Future[Any]] = []
    with ThreadPoolExecutor(1) as pool:

        def undo(found: Record) -> str:
            results.append(pool.submit(make, engine, one, TWO))
            assert waiting.wait(10), "it has seen that the change is being undone"
            return engine._put_back(found, one)

        assert engine.held.leave(one, ONE, undo) == ""
        assert results[0].result(10) == []
    assert seen(admin, namespace, "web") == changed
    held = record(admin, one)
    assert held is not None
    assert json.loads(held["incidents"]) == [TWO]
    assert engine.undo(one, TWO) == ""


def test_a_release_that_hangs_is_named_to_who_would_join(
    engine: Engine, admin: KubeApi, one: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_room, "_PATIENCE", 0.1)
    make(engine, one, ONE)
    edited(admin, one, releasing=ONE)
    (failure,) = make(engine, one, TWO)
    assert failure.code == "Conflict"
    assert f"{ONE} is undoing it" in failure.message
    # Whoever was interrupted finishes by being released again.
    assert engine.undo(one, ONE) == ""
    assert make(engine, one, TWO) == []


def test_who_joins_just_before_the_release_keeps_the_change(
    engine: Engine, admin: KubeApi, namespace: str, one: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(engine, one, ONE)
    changed = seen(admin, namespace, "web")
    replace = engine.held._replace

    def late(live: Any, found: Record) -> Any:
        if found.releasing and TWO not in found.incidents:
            monkeypatch.setattr(engine.held, "_replace", replace)
            make(engine, one, TWO)
        return replace(live, found)

    monkeypatch.setattr(engine.held, "_replace", late)
    assert engine.undo(one, ONE) == f"NetworkPolicy {namespace}/web: held by {TWO}"
    assert seen(admin, namespace, "web") == changed


def test_a_record_that_is_edited_while_it_is_undone_is_not_thrown_away(
    engine: Engine, admin: KubeApi, one: Change
) -> None:
    make(engine, one, ONE)

    def undo(found: Record) -> str:
        edited(admin, one, incidents=json.dumps([ONE, TWO]))
        return engine._put_back(found, one)

    assert "held by" in engine.held.leave(one, ONE, undo)
    held = record(admin, one)
    assert held is not None
    assert json.loads(held["incidents"]) == [TWO]


def test_a_failed_undo_leaves_a_holder_that_can_try_again(engine: Engine, admin: KubeApi, thing: Thing) -> None:
    one = thing_change(thing)
    make(engine, one)
    thing.trouble[one.resource.name] = Forbidden("not you")
    with pytest.raises(Forbidden):
        engine.undo(one, ONE)
    held = record(admin, one)
    assert held is not None
    assert (json.loads(held["incidents"]), held["releasing"]) == ([ONE], "")
    thing.trouble.clear()
    assert engine.undo(one, ONE) == ""
    assert thing.values[one.resource.name] == {"/x": "old"}


def test_eight_at_once(doors: Doors, admin: KubeApi, namespace: str, one: Change) -> None:
    before, calls = seen(admin, namespace, "web"), Calls()
    engine = Engine(calls.doors(doors))
    incidents = [f"gd/123456789012/us-east-1/{n}" for n in range(8)]

    made = at_once([partial(make, engine, one, i) for i in incidents])
    assert made == [[]] * 8
    assert len(calls.of("networkpolicies")) == 1
    held = record(admin, one)
    assert held is not None
    assert sorted(json.loads(held["incidents"])) == incidents

    later = [f"{i}-later" for i in incidents[:4]]
    leaving: list[Work] = [partial(engine.undo, one, i) for i in incidents[:4]]
    at_once([*leaving, *(partial(make, engine, one, i) for i in later)])
    held = record(admin, one)
    assert held is not None
    expected = sorted([*incidents[4:], *later])
    assert sorted(json.loads(held["incidents"])) == expected

    kept = at_once([partial(engine.undo, one, i) for i in expected])
    assert sorted(bool(k) for k in kept) == [False] + [True] * 7
    assert len(calls.of("networkpolicies")) == 2
    assert seen(admin, namespace, "web") == before
    assert record(admin, one) is None


def at_once(work: Sequence[Work]) -> list[Any]:
    """Let threads begin together; their results, in order."""
    barrier = threading.Barrier(len(work))

    def begin(one: Work) -> Any:
        barrier.wait()
        return one()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(begin, work))


GARBAGE: list[dict[str, str | None]] = [
    {"incidents": "not json"},
    {"incidents": '"gd"'},
    {"incidents": '{"a": 1}'},
    {"incidents": "[1, null]"},
    {"incidents": "[" * 100_000},
    {"before": "[]"},
    {"before": None},
    {"after": '{"/other": 1}'},
    {"resource": '{"kind": "Node", "name": "node-1"}'},
    {"resource": ""},
    {"aims": "7"},
    {"left": '{"/other": 1}'},
    {"left": "[]"},
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda g: json.dumps(g)[:30])
def test_a_record_that_nobody_can_read_is_held_by_somebody_unknown(
    engine: Engine, doors: Doors, admin: KubeApi, namespace: str, one: Change, garbage: dict[str, str | None]
) -> None:
    before = seen(admin, namespace, "web")
    make(engine, one, ONE)
    changed = seen(admin, namespace, "web")
    edited(admin, one, **garbage)
    damaged = record(admin, one)

    assert make(engine, one, TWO) == [], "containment does not wait for it"
    run(SweepActivities(doors).sweep_held_objects, SweepRequest(cluster="c"))
    for incident in (ONE, TWO):
        kept = engine.undo(one, incident)
        assert "held by somebody unknown" in kept
        assert record_path(one).rpartition("/")[2] in kept
    assert seen(admin, namespace, "web") == changed
    assert record(admin, one) == damaged

    # A person has looked at it, and throws it away.
    admin.request("DELETE", record_path(one))
    assert engine.undo(one, ONE) == ""
    assert seen(admin, namespace, "web") == before


def test_a_record_that_somebody_deleted_comes_back_with_the_next_attempt(
    engine: Engine, admin: KubeApi, namespace: str, one: Change
) -> None:
    before = seen(admin, namespace, "web")
    make(engine, one, ONE)
    written = record(admin, one)
    admin.request("DELETE", record_path(one))
    assert make(engine, one, ONE) == []
    assert record(admin, one) == written
    admin.request("DELETE", record_path(one))
    assert engine.undo(one, ONE) == ""
    assert seen(admin, namespace, "web") == before


def test_without_a_record_only_exactly_what_history_says_is_undone(
    engine: Engine, admin: KubeApi, namespace: str
) -> None:
    one = creation(namespace)
    make(engine, one, ONE)
    admin.request("DELETE", record_path(one))
    rule = {"op": "add", "path": "/spec/egress", "value": [{}]}
    json_patch(admin, f"{NETWORKING}/{namespace}/networkpolicies/made", rule)
    extended = seen(admin, namespace, "made")
    assert engine.undo(one, ONE).endswith("left as it is, because somebody changed it")
    assert seen(admin, namespace, "made") == extended


def test_without_a_record_a_plan_names_nothing_of_others(engine: Engine, one: Change) -> None:
    aimed = one.model_copy(update={"aims": ("cut:subject//jane",)})
    make(engine, aimed, ONE)
    assert [c.resource for c in engine.held.for_aims(["cut:subject//jane"])] == [one.resource]
    assert engine.held.for_aims(["cut:subject//john"]) == []
    engine.undo(aimed, ONE)
    assert engine.held.for_aims(["cut:subject//jane"]) == []


def test_edited_again_and_again_is_said(engine: Engine, one: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    make(engine, one, ONE)
    monkeypatch.setattr(engine.held, "_replace", lambda *_: None)
    with pytest.raises(Conflict, match="again and again"):
        engine.undo(one, ONE)
