"""The pause switch: it stops mutations, nothing else, and whatever it says."""

from __future__ import annotations

import pytest

from activities.assess.budget import Budget
from activities.control import PauseGate, pause, read_pause, resume
from clients.kubernetes import Kubernetes
from clients.paths import list_path, object_path
from contracts.common import IncidentKey
from contracts.names import CONTROL_CONFIGMAP
from errors import Forbidden, Paused
from plans.policy import HourlyContainments

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("unspent")]

CONTROL = object_path("ConfigMap", "firebreak", CONTROL_CONFIGMAP)


def policy(name: str) -> dict[str, object]:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}
    return dict(body)


def test_a_pause_stops_every_mutation_until_resume(door: Kubernetes, space: str) -> None:
    guarded = door.guarded_by(PauseGate(door, "firebreak", ttl=0).check)
    path = list_path("NetworkPolicy", space)
    created = guarded.create(path, policy("before"))
    pause(door, "firebreak", by="ops@example.com", reason="change freeze")
    one = object_path("NetworkPolicy", space, "before")
    for mutation in (
        lambda: guarded.create(path, policy("during")),
        lambda: guarded.patch(one, [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]),
        lambda: guarded.replace(one, created),
        lambda: guarded.delete(one, uid=created["metadata"]["uid"]),
    ):
        with pytest.raises(Paused, match=r"ops@example\.com: change freeze"):
            mutation()
    assert [p["metadata"]["name"] for p in guarded.items(path)] == ["before"]
    held = resume(door, "firebreak")
    assert held is not None and held.by == "ops@example.com"
    guarded.create(path, policy("after"))


def test_pausing_twice_keeps_the_first_and_resuming_twice_is_quiet(door: Kubernetes) -> None:
    pause(door, "firebreak", by="one", reason="a")
    assert pause(door, "firebreak", by="two", reason="b").by == "one"
    assert resume(door, "firebreak") is not None
    assert resume(door, "firebreak") is None
    assert read_pause(door, "firebreak") is None


def test_a_pause_and_reservations_share_the_record(door: Kubernetes) -> None:
    budget, limits = Budget(door, "firebreak"), HourlyContainments(cluster=2, namespace=2)
    assert budget.reserve(IncidentKey(workflow_id="a", run_id="r"), ["x"], limits) == ""
    pause(door, "firebreak", by="ops", reason="")
    # Reserving is no mutation of anybody's cluster, and it must not end the pause.
    assert budget.reserve(IncidentKey(workflow_id="b", run_id="r"), ["x"], limits) == ""
    assert read_pause(door, "firebreak") is not None
    resume(door, "firebreak")
    assert budget.reserve(IncidentKey(workflow_id="c", run_id="r"), ["x"], limits) != ""


def test_anything_written_by_hand_pauses(door: Kubernetes, admin_door: Kubernetes) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONTROL_CONFIGMAP}}
    admin_door.create(list_path("ConfigMap", "firebreak"), body | {"data": {"paused": "true"}})
    with pytest.raises(Paused):
        PauseGate(door, "firebreak").check()


def test_the_answer_is_kept_for_a_moment_only(door: Kubernetes) -> None:
    now = [0.0]
    gate = PauseGate(door, "firebreak", clock=lambda: now[0])
    gate.check()
    pause(door, "firebreak", by="ops", reason="")
    gate.check()
    now[0] += 1.0
    with pytest.raises(Paused):
        gate.check()


def test_who_cannot_see_the_switch_does_nothing(stack: object, door: Kubernetes) -> None:
    # Firebreak may read ConfigMaps in its own namespace only.
    with pytest.raises(Forbidden):
        PauseGate(door, "default").check()
