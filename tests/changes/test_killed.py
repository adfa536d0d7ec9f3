"""A worker that dies at any request of a change leaves one record and one change, once it is run again."""

from __future__ import annotations

import json

import pytest

from activities.changes.engine import Engine
from activities.doors import Doors
from devstack.kube import KubeApi
from tests.changes.support import (
    ONE,
    Calls,
    Prepare,
    make,
    prepared_creation,
    prepared_deletion,
    prepared_fields,
    record,
    seen,
)
from tests.isolation.support import Killed

pytestmark = pytest.mark.stack

KINDS = [prepared_fields, prepared_creation, prepared_deletion]
POINTS = [{"dies_before": 1}, {"dies_after": 1}, {"dies_after": 2}, {"dies_after": 3}]
"""Before the record, and after each of three changes: the record, the object, the record again."""


@pytest.mark.parametrize("prepare", KINDS)
@pytest.mark.parametrize("point", POINTS)
def test_killed_while_it_makes(
    doors: Doors, admin: KubeApi, namespace: str, prepare: Prepare, point: dict[str, int]
) -> None:
    one = prepare(admin, namespace)
    name = one.resource.name
    before, calls = seen(admin, namespace, name), Calls()
    with pytest.raises(Killed):
        make(Engine(calls.doors(doors, **point)), one)
    again = Engine(calls.doors(doors))
    assert make(again, one) == []

    after = seen(admin, namespace, name)
    assert after != before
    assert len(calls.of("networkpolicies")) == 1
    held = record(admin, one)
    assert held is not None
    assert json.loads(held["incidents"]) == [ONE]
    assert json.loads(held["before"]) == one.before
    assert json.loads(held["left"]) is not None
    assert not any(again.drifted(r) for r in again.held.all() if r.change.resource == one.resource)
    # Once more is nothing more, not even for the record.
    count = len(calls.made)
    assert make(again, one) == []
    assert len(calls.made) == count

    assert again.undo(one, ONE) == ""
    assert seen(admin, namespace, name) == before
    assert record(admin, one) is None


@pytest.mark.parametrize("prepare", KINDS)
@pytest.mark.parametrize("point", POINTS)
def test_killed_while_it_undoes(
    doors: Doors, admin: KubeApi, namespace: str, prepare: Prepare, point: dict[str, int]
) -> None:
    one = prepare(admin, namespace)
    name = one.resource.name
    before, calls = seen(admin, namespace, name), Calls()
    assert make(Engine(doors), one) == []
    with pytest.raises(Killed):
        Engine(calls.doors(doors, **point)).undo(one, ONE)
    assert Engine(calls.doors(doors)).undo(one, ONE) == ""

    assert seen(admin, namespace, name) == before
    assert record(admin, one) is None
    assert len(calls.of("networkpolicies")) == 1


@pytest.mark.parametrize("prepare", KINDS)
@pytest.mark.parametrize("point", POINTS)
def test_killed_and_released_without_being_run_again(
    doors: Doors, admin: KubeApi, namespace: str, prepare: Prepare, point: dict[str, int]
) -> None:
    one = prepare(admin, namespace)
    before = seen(admin, namespace, one.resource.name)
    with pytest.raises(Killed):
        make(Engine(Calls().doors(doors, **point)), one)
    assert Engine(doors).undo(one, ONE) == ""
    assert seen(admin, namespace, one.resource.name) == before
    assert record(admin, one) is None
