"""Release of changes outside of pods, as the activity: backwards, each for itself, and once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from activities.changes.engine import Engine
from activities.doors import Doors
from activities.restore import RestoreActivities
from contracts.activities import RestoreRequest, RestoreResult
from contracts.common import IncidentKey
from devstack.kube import KubeApi
from errors import FirebreakError, Forbidden, Paused, Throttled, Unavailable
from plans.model import Change
from tests.changes.support import (
    ONE,
    SPEC,
    TWO,
    Calls,
    Thing,
    deletion,
    fields_change,
    make,
    record,
    record_path,
    seen,
    standing,
    thing_change,
)
from tests.isolation.support import run

pytestmark = pytest.mark.stack


@pytest.fixture
def things(engine: Engine, admin: KubeApi, thing: Thing) -> Iterator[list[Change]]:
    """Four changes that an incident has made, in this order."""
    made = [thing_change(thing) for _ in range(4)]
    assert engine.make(made, ONE, "test.step", lambda: None) == (4, [])
    thing.writes.clear()
    yield made
    for one in made:
        if record(admin, one) is not None:
            admin.request("DELETE", record_path(one))


def restore(doors: Doors, *changes: Change, incident: str = ONE) -> RestoreResult:
    request = RestoreRequest(incident=IncidentKey(workflow_id=incident, run_id="run-1"), changes=changes)
    return run(RestoreActivities(doors).restore_changes, request)


def names(changes: list[Change]) -> list[str]:
    return [c.resource.name for c in changes]


def test_the_last_change_is_undone_first_and_each_once(doors: Doors, thing: Thing, things: list[Change]) -> None:
    result = restore(doors, *things)
    assert thing.writes == names(things)[::-1]
    assert list(result.undone) == [c.key for c in reversed(things)]
    assert not result.kept
    assert not result.failures
    assert all(thing.values[n] == {"/x": "old"} for n in names(things))
    again = restore(doors, *things)
    assert thing.writes == names(things)[::-1], "a second release changes nothing more"
    assert not again.failures


def test_one_that_is_refused_keeps_no_other(doors: Doors, thing: Thing, things: list[Change]) -> None:
    thing.trouble[things[2].resource.name] = Forbidden("not you")
    result = restore(doors, *things)
    assert thing.writes == [names(things)[n] for n in (3, 1, 0)]
    assert [(f.target, f.code) for f in result.failures] == [(str(things[2].resource), "Forbidden")]
    assert things[2].key not in result.undone
    thing.trouble.clear()
    again = restore(doors, *things)
    assert thing.writes[-1] == names(things)[2]
    assert len(thing.writes) == 4
    assert not again.failures


@pytest.mark.parametrize("error", [Throttled("slow down"), Unavailable("503")])
def test_a_service_that_does_not_answer_keeps_what_it_has_and_no_more(
    doors: Doors, thing: Thing, things: list[Change], error: FirebreakError
) -> None:
    thing.trouble[things[3].resource.name] = error
    with pytest.raises(type(error)):
        restore(doors, *things)
    assert thing.writes == [names(things)[n] for n in (2, 1, 0)]
    thing.trouble.clear()
    result = restore(doors, *things)
    assert thing.writes[-1] == names(things)[3]
    assert len(thing.writes) == 4
    assert {c.key for c in things} == set(result.undone)


def test_who_was_faster_once_is_no_failure_and_twice_is_one(doors: Doors, thing: Thing, things: list[Change]) -> None:
    thing.conflicts = 1
    assert not restore(doors, things[0]).failures
    assert thing.writes == names(things)[:1]
    thing.conflicts = 2
    (failure,) = restore(doors, things[1]).failures
    assert failure.code == "Conflict"
    assert not restore(doors, things[1]).failures, "it can be released again"


def test_it_does_not_wait_for_every_timeout(doors: Doors, thing: Thing, things: list[Change]) -> None:
    for n in names(things):
        thing.trouble[n] = Unavailable("no answer")
    thing.reads.clear()
    with pytest.raises(Unavailable):
        restore(doors, *things)
    assert len(thing.reads) == 3


def test_a_pause_ends_it_at_once(doors: Doors, thing: Thing, things: list[Change]) -> None:
    thing.trouble[things[3].resource.name] = Paused("held")
    with pytest.raises(Paused):
        restore(doors, *things)
    assert thing.writes == []


def test_an_object_made_again_is_not_the_one_whose_fields_were_changed(
    doors: Doors, engine: Engine, admin: KubeApi, namespace: str
) -> None:
    live = standing(admin, namespace)
    edited = fields_change(live)
    make(engine, edited)
    left = seen(admin, namespace, "web")
    whole = {"metadata": {"name": "web", "namespace": namespace, "labels": {"team": "shop", "stage": "held"}}}
    spec = {**SPEC, "policyTypes": ["Ingress", "Egress"]}
    gone = deletion(live).model_copy(update={"before": {"": {**whole, "spec": spec}}})
    assert make(engine, gone) == []
    assert seen(admin, namespace, "web") is None

    result = restore(doors, edited, gone)
    assert result.undone == (gone.key,)
    assert seen(admin, namespace, "web") == left
    assert result.kept == (
        f"NetworkPolicy {namespace}/web: left as it is, because another object stands under its name now",
    )


def test_what_another_incident_holds_is_said_and_stays(
    doors: Doors, engine: Engine, admin: KubeApi, namespace: str
) -> None:
    one = fields_change(standing(admin, namespace))
    before = seen(admin, namespace, "web")
    make(engine, one, ONE)
    make(engine, one, TWO)
    result = restore(doors, one)
    assert result.kept == (f"NetworkPolicy {namespace}/web: held by {TWO}",)
    assert not result.undone
    calls = Calls()
    again = restore(calls.doors(doors), one)
    assert again.kept == result.kept
    assert calls.of("networkpolicies") == []
    assert restore(doors, one, incident=TWO).undone == (one.key,)
    assert seen(admin, namespace, "web") == before
