"""The hourly budget: never more than it says, whatever comes at once, and never unlimited."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from activities.assess.budget import Budget
from clients.kubernetes import Kubernetes
from clients.paths import list_path, object_path
from contracts.activities import Assessment
from contracts.common import IncidentKey
from contracts.names import CONTROL_CONFIGMAP
from plans.model import Gate, Verdict
from plans.policy import HourlyContainments
from tests.assess.support import JsonObject, pod_spec, workload_of

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("unspent")]

LIMITS = HourlyContainments(cluster=20, namespace=10)
CONTROL = object_path("ConfigMap", "firebreak", CONTROL_CONFIGMAP)


def key(name: str) -> IncidentKey:
    return IncidentKey(workflow_id=f"gd/{name}", run_id="r")


def test_a_hundred_incidents_at_once_get_exactly_twenty(door: Kubernetes) -> None:
    # Two workers, so that they race each other and not only themselves.
    workers = [Budget(door, "firebreak"), Budget(door, "firebreak")]

    def reserve(n: int) -> str:
        return workers[n % 2].reserve(key(str(n)), [f"ns-{n % 5}"], LIMITS)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(reserve, range(100)))
    assert answers.count("") == 20
    assert all("limit of 20" in a for a in answers if a)


def test_a_namespace_has_a_limit_of_its_own(door: Kubernetes) -> None:
    budget = Budget(door, "firebreak")
    answers = [budget.reserve(key(str(n)), ["one"], LIMITS) for n in range(12)]
    assert answers.count("") == 10 and "namespace one" in answers[-1]
    assert budget.reserve(key("elsewhere"), ["two"], LIMITS) == ""


def test_one_incident_reserves_once(door: Kubernetes) -> None:
    budget, other = Budget(door, "firebreak"), Budget(door, "firebreak")
    only_one = HourlyContainments(cluster=1, namespace=1)
    assert budget.reserve(key("a"), ["x"], only_one) == ""
    assert other.reserve(key("a"), ["x"], only_one) == ""
    assert budget.reserve(key("a"), ["x"], only_one) == ""
    assert other.reserve(key("b"), ["x"], only_one) != ""


def test_reservations_count_for_an_hour(door: Kubernetes) -> None:
    now = [1_000_000.0]
    budget = Budget(door, "firebreak", clock=lambda: now[0])
    one = HourlyContainments(cluster=1, namespace=1)
    assert budget.reserve(key("a"), ["x"], one) == ""
    now[0] += 3599
    assert budget.reserve(key("b"), ["x"], one) != ""
    now[0] += 2
    assert budget.reserve(key("b"), ["x"], one) == ""


def test_a_limit_of_zero_allows_nothing(door: Kubernetes) -> None:
    assert Budget(door, "firebreak").reserve(key("a"), ["x"], HourlyContainments(cluster=0)) != ""


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"a": "x"}', '{"a": []}', '{"a": [true]}', '{"a": [1, 2]}', "[" * 5000]
)
def test_a_record_that_cannot_be_read_is_never_unlimited(text: str, door: Kubernetes, admin_door: Kubernetes) -> None:
    body = {"metadata": {"name": CONTROL_CONFIGMAP}, "data": {"reservations": text}}
    admin_door.create(list_path("ConfigMap", "firebreak"), {"apiVersion": "v1", "kind": "ConfigMap", **body})
    refusal = Budget(door, "firebreak").reserve(key("a"), ["x"], LIMITS)
    assert "cannot be read" in refusal and "remove its key" in refusal
    assert admin_door.get(CONTROL)["data"]["reservations"] == text


def test_without_our_namespace_a_person_decides(door: Kubernetes) -> None:
    assert "could not be reserved" in Budget(door, "nowhere").reserve(key("a"), ["x"], LIMITS)


def test_incidents_of_a_worker_beyond_the_budget_wait_for_a_person(
    found: Callable[..., Assessment], make: Callable[..., JsonObject], door: Kubernetes
) -> None:
    spent = Budget(door, "firebreak")
    for n in range(19):
        assert spent.reserve(key(f"{n}-{uuid.uuid4()}"), [f"ns-{n}"], LIMITS) == ""
    pods = [make("Pod", name, pod_spec()) for name in ("one", "two")]
    first, second = (found(workload=workload_of(pod, "pods")) for pod in pods)
    decisions = [a.plan.terms(Gate.CONTAIN) for a in (first, second)]
    assert [d.decision for d in decisions if d] == [Verdict.AUTO, Verdict.APPROVAL]
    assert any("limit of 20" in r for d in decisions[1:] if d for r in d.reasons)


def test_what_waits_for_a_person_anyway_reserves_nothing(
    found: Callable[..., Assessment], make: Callable[..., JsonObject], door: Kubernetes
) -> None:
    found(workload=workload_of(make("Pod", "low", pod_spec()), "pods"), severity=4)
    one = HourlyContainments(cluster=1, namespace=1)
    assert Budget(door, "firebreak").reserve(key("first"), ["x"], one) == ""
