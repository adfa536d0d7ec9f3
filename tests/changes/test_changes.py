"""One change against the real API server, as Firebreak's own identity: what is made, what is undone, what is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from activities.changes.engine import Engine
from activities.doors import Doors
from devstack.kube import KubeApi
from plans.model import Change, ResourceRef
from tests.changes.support import (
    LABEL,
    ONE,
    SPEC,
    TYPES,
    Calls,
    change,
    creation,
    deletion,
    fields_change,
    make,
    policy_ref,
    record,
    seen,
    standing,
)
from tests.isolation.support import NETWORKING, json_patch, make_policy

pytestmark = pytest.mark.stack


def patch(admin: KubeApi, one: Change, path: str, value: Any, op: str = "add") -> None:
    r = one.resource
    json_patch(admin, f"{NETWORKING}/{r.namespace}/networkpolicies/{r.name}", {"op": op, "path": path, "value": value})


def test_what_stood_beside_the_fields_stays(engine: Engine, admin: KubeApi, namespace: str) -> None:
    one = fields_change(standing(admin, namespace))
    assert make(engine, one) == []
    patch(admin, one, "/metadata/labels/owner", "jane")
    assert seen(admin, namespace, "web") == {
        "metadata": {"name": "web", "labels": {"team": "shop", "stage": "held", "owner": "jane"}},
        "spec": {**SPEC, "policyTypes": ["Ingress", "Egress"]},
    }
    assert engine.undo(one, ONE) == ""
    assert seen(admin, namespace, "web") == {
        "metadata": {"name": "web", "labels": {"team": "shop", "owner": "jane"}},
        "spec": SPEC,
    }


def test_a_field_that_somebody_changed_after_us_is_left(engine: Engine, admin: KubeApi, namespace: str) -> None:
    one = fields_change(standing(admin, namespace))
    make(engine, one)
    patch(admin, one, LABEL, "theirs")
    assert engine.undo(one, ONE) == f"NetworkPolicy {namespace}/web: left as it is, because somebody changed {LABEL}"
    live = seen(admin, namespace, "web")
    assert live is not None
    assert live["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert record(admin, one) is None


def test_what_somebody_has_put_back_already_does_not_keep_the_rest(
    engine: Engine, admin: KubeApi, namespace: str
) -> None:
    one = fields_change(standing(admin, namespace))
    before = seen(admin, namespace, "web")
    make(engine, one)
    patch(admin, one, TYPES, ["Ingress"], op="replace")
    assert engine.undo(one, ONE) == ""
    assert seen(admin, namespace, "web") == before


def test_a_created_object_that_somebody_extended_is_left(engine: Engine, admin: KubeApi, namespace: str) -> None:
    one = creation(namespace)
    make(engine, one)
    patch(admin, one, "/spec/egress", [{}])
    patched = seen(admin, namespace, "made")
    assert engine.undo(one, ONE).endswith("left as it is, because somebody changed it")
    assert seen(admin, namespace, "made") == patched


def test_what_the_server_writes_otherwise_is_still_ours(engine: Engine, admin: KubeApi, namespace: str) -> None:
    one = creation(namespace)
    make(engine, one)
    live = seen(admin, namespace, "made")
    assert live is not None
    assert [p["protocol"] for p in live["spec"]["ingress"][0]["ports"]] == ["TCP", "TCP"], "the server's own words"
    assert make(engine, one) == []
    assert engine.undo(one, ONE) == ""
    assert seen(admin, namespace, "made") is None


def test_an_object_that_is_gone_needs_nothing(engine: Engine, admin: KubeApi, namespace: str) -> None:
    one = fields_change(standing(admin, namespace))
    make(engine, one)
    admin.request("DELETE", f"{NETWORKING}/{namespace}/networkpolicies/web")
    assert engine.undo(one, ONE) == ""
    assert record(admin, one) is None


def test_another_object_under_the_name_is_never_touched(engine: Engine, admin: KubeApi, namespace: str) -> None:
    live = standing(admin, namespace)
    one, gone = fields_change(live), deletion(live)
    make(engine, one)
    path = f"{NETWORKING}/{namespace}/networkpolicies/web"
    admin.request("DELETE", path)
    make_policy(admin, namespace, "web", {**SPEC, "policyTypes": ["Ingress", "Egress"]}, labels={"stage": "held"})
    theirs = admin.request("GET", path)
    # It looks as if it were ours, down to the fields; its uid says that it is not.
    assert engine.undo(one, ONE).endswith("left as it is, because another object stands under its name now")
    assert [f.code for f in make(engine, one)] == ["TargetGone"]
    assert make(engine, gone) != []
    assert admin.request("GET", path) == theirs
    assert record(admin, one) is None, "what could not be made is held by nobody"
    assert record(admin, gone) is None


def test_a_deleted_object_that_somebody_made_anew_is_left(engine: Engine, admin: KubeApi, namespace: str) -> None:
    one = deletion(standing(admin, namespace))
    make(engine, one)
    make_policy(admin, namespace, "web", {**SPEC, "policyTypes": ["Egress"]})
    theirs = seen(admin, namespace, "web")
    assert any(engine.drifted(r) for r in engine.held.all() if r.change.resource == one.resource)
    assert engine.undo(one, ONE).endswith("left as it is, because somebody changed it")
    assert seen(admin, namespace, "web") == theirs


def test_what_could_not_be_made_is_planned_again_from_what_is_there_then(
    engine: Engine, admin: KubeApi, namespace: str
) -> None:
    live = standing(admin, namespace)
    stale = fields_change(live)
    patch(admin, stale, LABEL, "meanwhile")
    (failure,) = make(engine, stale)
    assert failure.code == "Conflict"
    assert LABEL in failure.message
    assert record(admin, stale) is None
    meanwhile = seen(admin, namespace, "web")

    fresh = stale.model_copy(update={"before": {**stale.before, LABEL: "meanwhile"}})
    assert make(engine, fresh) == []
    assert engine.undo(fresh, ONE) == ""
    assert seen(admin, namespace, "web") == meanwhile


def test_a_stale_plan_of_a_killed_attempt_is_replaced(doors: Doors, admin: KubeApi, namespace: str) -> None:
    live = standing(admin, namespace)
    stale = fields_change(live)
    Engine(doors).held.join(stale, ONE)
    patch(admin, stale, LABEL, "meanwhile")
    meanwhile = seen(admin, namespace, "web")
    fresh = stale.model_copy(update={"before": {**stale.before, LABEL: "meanwhile"}})
    assert make(Engine(doors), fresh) == []
    assert Engine(doors).undo(fresh, ONE) == ""
    assert seen(admin, namespace, "web") == meanwhile


def test_a_before_state_that_no_record_can_keep_is_refused_before_anything_changes(
    doors: Doors, admin: KubeApi, namespace: str
) -> None:
    live = standing(admin, namespace)
    field, calls = "/metadata/annotations/notes", Calls()
    large = change(policy_ref(live), {field: "x" * (1 << 20)}, {field: None})
    (failure,) = make(Engine(calls.doors(doors)), large)
    assert failure.code == "InputError"
    assert "a before-state that fits a record of 900000 bytes" in failure.message
    assert calls.made == []


def test_the_largest_before_state_that_is_kept_can_be_released_by_many(
    engine: Engine, admin: KubeApi, namespace: str
) -> None:
    notes = "x" * 200_000
    live = make_policy(admin, namespace, "web", SPEC, annotations={"notes": notes})
    field = "/metadata/annotations/notes"
    # Padded by what the object itself could not hold: the server allows 256 KiB of annotations.
    padding = {f"/metadata/annotations/none-{n}": None for n in range(1000)}
    large = change(policy_ref(live), {field: notes, **padding}, {field: None, **padding}, aims=("x" * 570_000,))
    incidents = [f"gd/123456789012/us-east-1/{n}" for n in range(3)]
    for incident in incidents:
        assert make(engine, large, incident) == []
    for incident in incidents[:-1]:
        assert "held by" in engine.undo(large, incident)
    assert engine.undo(large, incidents[-1]) == ""
    restored = seen(admin, namespace, "web")
    assert restored is not None
    assert restored["metadata"]["annotations"] == {"notes": notes}


VALUES = {"password": "cGFzc3dvcmQ="}
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("", None, {"metadata": {"name": "s"}, "data": VALUES}),
        ("", {"metadata": {"name": "s"}, "stringData": VALUES}, None),
        ("", {"metadata": {"name": "s", "annotations": {APPLIED: json.dumps({"data": VALUES})}}}, None),
        ("/data", VALUES, None),
        ("/data/password", VALUES["password"], None),
        ("/stringData/password", None, "password"),
        ("/metadata/annotations", {APPLIED: json.dumps({"data": VALUES})}, None),
        (f"/metadata/annotations/{APPLIED.replace('/', '~1')}", json.dumps({"data": VALUES}), None),
    ],
)
@pytest.mark.parametrize("kind", ["Secret", "TokenSecret"])
def test_no_change_shows_the_value_of_a_secret(doors: Doors, kind: str, field: str, before: Any, after: Any) -> None:
    calls = Calls()
    secret = ResourceRef(kind=kind, namespace="default", name="s", uid="1")
    (failure,) = make(Engine(calls.doors(doors)), change(secret, {field: before}, {field: after}))
    assert failure.code == "PolicyRefusal"
    assert "password" not in failure.message.replace(field, "")
    assert VALUES["password"] not in failure.message
    assert calls.made == []


def test_a_secret_without_its_values_may_go(engine: Engine, doors: Doors, admin: KubeApi, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    made = admin.request("POST", path, {"metadata": {"name": "s"}, "data": VALUES})
    ref = ResourceRef(kind="Secret", namespace=namespace, name="s", uid=made["metadata"]["uid"])
    allowed = change(ref, {"": {"metadata": {"name": "s"}, "type": "Opaque"}}, {"": None})
    # Refused by nobody but the API server: this identity may not read a Secret, and the guard has nothing against it.
    assert [f.code for f in make(engine, allowed)] == ["Forbidden"]
