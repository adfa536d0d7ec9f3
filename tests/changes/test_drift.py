"""What the sweep finds of changes outside of pods, whom it tells, and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from activities.changes.drift import TURNS, drifted
from activities.changes.engine import Engine
from activities.changes.kinds import lives_in_cluster
from activities.doors import Doors
from activities.sweep import SweepActivities
from activities.user.aws_auth import KIND as AWS_AUTH
from contracts.activities import SweepRequest
from devstack.kube import KubeApi
from errors import Forbidden, Throttled
from plans.model import Change, ResourceRef
from tests.changes.support import (
    LABEL,
    ONE,
    SPEC,
    TWO,
    Thing,
    change,
    edited,
    fields_change,
    make,
    record,
    record_path,
    standing,
    thing_change,
)
from tests.isolation.support import NETWORKING, counting, json_patch, make_policy, run

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("nothing_held")]


@pytest.fixture
def kept(admin: KubeApi) -> Iterator[list[Change]]:
    """Changes whose records go after the test: those of no namespace would stay."""
    made: list[Change] = []
    yield made
    for one in made:
        if record(admin, one) is not None:
            admin.request("DELETE", record_path(one))


@pytest.fixture
def one(admin: KubeApi, namespace: str, kept: list[Change]) -> Change:
    made = fields_change(standing(admin, namespace))
    kept.append(made)
    return made


def broken(doors: Doors) -> dict[str, str]:
    return run(SweepActivities(doors).sweep_held_objects, SweepRequest(cluster="c")).broken


def taken_off(admin: KubeApi, one: Change) -> None:
    r = one.resource
    json_patch(admin, f"{NETWORKING}/{r.namespace}/networkpolicies/{r.name}", {"op": "remove", "path": LABEL})


def test_every_holder_of_a_change_that_fell_is_told_once(
    doors: Doors, engine: Engine, admin: KubeApi, namespace: str, one: Change, kept: list[Change]
) -> None:
    other = fields_change(standing(admin, namespace, "other"))
    kept.append(other)
    for incident in (ONE, TWO):
        make(engine, one, incident)
        make(engine, other, incident)
    assert not broken(doors).keys() & {ONE, TWO}
    taken_off(admin, one)
    reason = f"NetworkPolicy {namespace}/web: not as it was left (changed)"
    assert {k: v for k, v in broken(doors).items() if k in (ONE, TWO)} == {ONE: reason, TWO: reason}
    taken_off(admin, other)
    assert broken(doors)[ONE].endswith(" (and 1 more)"), "one word to an incident, however many fell"
    engine.undo(one, ONE)
    engine.undo(other, ONE)
    assert ONE not in broken(doors)
    assert TWO in broken(doors)


def test_not_while_it_is_undone_nor_before_it_was_made(
    doors: Doors, engine: Engine, admin: KubeApi, one: Change
) -> None:
    engine.held.join(one, ONE)
    assert ONE not in broken(doors), "it is about to be made"
    make(engine, one, ONE)
    taken_off(admin, one)
    assert ONE in broken(doors)
    edited(admin, one, releasing=ONE)
    assert ONE not in broken(doors)


def test_what_is_made_again_under_the_name_must_be_as_it_was_left(
    doors: Doors, engine: Engine, admin: KubeApi, namespace: str, one: Change
) -> None:
    make(engine, one, ONE)
    path = f"{NETWORKING}/{namespace}/networkpolicies/web"
    admin.request("DELETE", path)
    assert ONE not in broken(doors), "what is gone needs nothing"
    make_policy(admin, namespace, "web", SPEC)
    assert ONE in broken(doors)
    admin.request("DELETE", path)
    make_policy(admin, namespace, "web", {**SPEC, "policyTypes": ["Ingress", "Egress"]}, labels={"stage": "held"})
    assert ONE not in broken(doors)


def test_a_sweep_reads_each_object_once(
    doors: Doors, engine: Engine, admin: KubeApi, namespace: str, one: Change, kept: list[Change]
) -> None:
    for n in range(4):
        kept.append(fields_change(standing(admin, namespace, f"web-{n}")))
        make(engine, kept[-1], ONE)
        make(engine, kept[-1], TWO)
    calls: list[str] = []
    drifted(Engine(counting(doors, calls)), 0, lambda: None)
    mine = [c for c in calls if namespace in c]
    assert sorted(mine) == [f"GET {NETWORKING}/{namespace}/networkpolicies/web-{n}" for n in range(4)]
    assert [c for c in calls if "configmaps" in c] == ["GET /api/v1/namespaces/firebreak/configmaps"]


def test_aws_is_read_again_every_tenth_sweep(engine: Engine, thing: Thing, kept: list[Change]) -> None:
    for _ in range(30):
        kept.append(thing_change(thing))
        make(engine, kept[-1])
    fallen = kept[0].resource.name
    thing.values[fallen]["/x"] = "else"
    thing.reads.clear()
    sweeps, told = [], []
    for minute in range(TURNS):
        told += drifted(engine, minute, lambda: None)[1].get(ONE, [])
        sweeps.append(len(thing.reads))
    assert Counter(thing.reads) == {c.resource.name: 1 for c in kept}
    assert max(b - a for a, b in zip([0, *sweeps], sweeps, strict=False)) < 15, "spread over the sweeps"
    assert told == [f"Thing {fallen}: not as it was left (changed)"]


def test_aws_that_throttles_is_left_alone_for_this_sweep(
    engine: Engine, admin: KubeApi, thing: Thing, one: Change, kept: list[Change]
) -> None:
    make(engine, one)
    for _ in range(40):
        kept.append(thing_change(thing))
        make(engine, kept[-1])
        thing.trouble[kept[-1].resource.name] = Throttled("slow down")
    taken_off(admin, one)
    thing.reads.clear()
    for minute in range(TURNS):
        held, told = drifted(engine, minute, lambda: None)
        assert held >= 41
        assert told[ONE] == [f"{one.resource}: not as it was left (changed)"]
    assert len(thing.reads) <= TURNS, "asked once, and no more"


def test_what_cannot_be_read_is_no_drift_and_ends_no_sweep(
    doors: Doors, engine: Engine, admin: KubeApi, thing: Thing, one: Change, kept: list[Change]
) -> None:
    forbidden = thing_change(thing)
    unknown = change(ResourceRef(kind="Nonsense", name="n"), {"/x": 1}, {"/x": 2})
    kept += [forbidden, unknown]
    make(engine, forbidden, TWO)
    engine.held.join(unknown, TWO)
    engine.held.made(unknown, TWO, {"/x": 2})
    make(engine, one, ONE)
    thing.trouble[forbidden.resource.name] = Forbidden("not you")
    taken_off(admin, one)
    told = [drifted(engine, minute, lambda: None)[1] for minute in range(TURNS)]
    assert all(set(t) == {ONE} for t in told)
    assert TWO not in broken(doors)


def test_which_kinds_every_sweep_can_afford() -> None:
    assert lives_in_cluster("ClusterRoleBinding")
    assert lives_in_cluster("ValidatingAdmissionPolicy")
    assert lives_in_cluster(AWS_AUTH)
    assert not lives_in_cluster("AccessKey")
    assert not lives_in_cluster("NetworkInterface")
