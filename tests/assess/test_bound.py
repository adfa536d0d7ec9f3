"""Which accounts of pods RBAC binds to something of their own (guide P5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from activities.assess.bound import BindingReads, named_by
from activities.assess.pods import pod_facts
from activities.assess.reading import Reader
from clients.kubernetes import Kubernetes
from clients.paths import list_path, object_path
from contracts.activities import Assessment
from errors import FirebreakError, Forbidden, Throttled, Unavailable
from plans.model import Plan
from plans.observed import PodFacts
from tests.assess.support import JsonObject, account_user, eventually, pod_spec, workload_of
from tests.assess.test_pods import token

RBAC = "rbac.authorization.k8s.io"


def binding(subject: JsonObject, namespace: str = "shop") -> JsonObject:
    return {"metadata": {"name": "b", "namespace": namespace}, "subjects": [subject]}


@pytest.mark.parametrize(
    ("subject", "named"),
    [
        ({"kind": "ServiceAccount", "name": "web", "namespace": "shop"}, {("shop", "web")}),
        ({"kind": "ServiceAccount", "name": "web"}, {("shop", "web")}),
        ({"kind": "ServiceAccount", "name": "web", "namespace": "other"}, {("other", "web")}),
        ({"kind": "User", "name": "system:serviceaccount:shop:web"}, {("shop", "web")}),
        ({"kind": "User", "name": "system:serviceaccount:shop"}, set()),
        ({"kind": "User", "name": "web"}, set()),
        ({"kind": "Group", "name": "system:serviceaccounts:shop"}, {("shop", "")}),
        ({"kind": "Group", "name": "system:serviceaccounts"}, set()),
        ({"kind": "Group", "name": "system:authenticated"}, set()),
        ({"kind": "Group", "name": "system:serviceaccount:shop:web"}, set()),
    ],
)
def test_whom_a_binding_names(subject: JsonObject, named: set[tuple[str, str]]) -> None:
    assert named_by([binding(subject)]) == named


def test_a_binding_of_nobody_names_nobody() -> None:
    assert named_by([{"metadata": {"name": "b"}}, {"metadata": {"name": "c"}, "subjects": None}]) == frozenset()


@pytest.mark.parametrize(
    ("volumes", "holds"),
    [
        ([], False),
        (None, False),
        (token(), True),
        (token(audience="vault"), True),
        (token(audience="sts.amazonaws.com"), False),
        ([*token(audience="sts.amazonaws.com"), *token()], True),
        ([{"name": "v", "projected": {"sources": [{"configMap": {"name": "ca"}}]}}], False),
    ],
)
def test_a_pod_holds_a_token_unless_it_is_for_aws_alone(volumes: list[JsonObject] | None, holds: bool) -> None:
    pod = {"metadata": {"namespace": "n", "name": "p", "uid": "u"}, "spec": {"volumes": volumes}}
    assert pod_facts(pod).holds_token is holds


@pytest.mark.parametrize("error", [Forbidden, Throttled, Unavailable])
def test_a_read_that_fails_is_a_note(error: type[FirebreakError], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> list[JsonObject]:
        raise error("not today")

    monkeypatch.setattr("activities.assess.bound.live_list", refuse)
    with ThreadPoolExecutor() as pool:
        reader = Reader(None, pool)  # type: ignore[arg-type]
        assert BindingReads(reader, ["shop"]).bound([PodFacts(namespace="shop", name="web", uid="u")]) == ()
    assert [n.partition(" could")[0] for n in sorted(reader.notes)] == [
        "The ClusterRoleBindings",
        "The RoleBindings of shop",
    ]


def rotated(plan: Plan) -> dict[str, list[str]]:
    return {s.step: [t.name for t in s.targets] for s in plan.steps if s.action == "recreate_account"}


@pytest.fixture
def bind(admin_door: Kubernetes, space: str) -> Iterator[Callable[..., None]]:
    """Bind subjects to a role that nobody made: what it gives does not matter here."""
    cluster_wide: list[JsonObject] = []

    def make(subject: JsonObject, *, everywhere: bool = False) -> None:
        kind = "ClusterRoleBinding" if everywhere else "RoleBinding"
        group = {} if subject["kind"] == "ServiceAccount" else {"apiGroup": RBAC}
        body = {
            "apiVersion": f"{RBAC}/v1",
            "kind": kind,
            "metadata": {"generateName": "t-"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "of-a-test"},
            "subjects": [subject | group],
        }
        made = admin_door.create(list_path(kind, "" if everywhere else space), body)
        cluster_wide.extend([made] if everywhere else [])

    yield make
    for made in cluster_wide:
        admin_door.delete(object_path("ClusterRoleBinding", "", made["metadata"]["name"]), uid=made["metadata"]["uid"])


@pytest.mark.stack
def test_the_cluster_says_who_is_bound_and_whose_token_is_mounted(
    found: Callable[..., Assessment],
    make: Callable[..., JsonObject],
    running: Callable[[str, int], list[JsonObject]],
    bind: Callable[..., None],
    space: str,
) -> None:
    for name in ("here", "everywhere", "unbound", "tokenless"):
        make("ServiceAccount", name)
        more = {"automountServiceAccountToken": False} if name == "tokenless" else {}
        make("Pod", name, pod_spec(serviceAccountName=name, **more), labels={"app": name})
    bind({"kind": "ServiceAccount", "namespace": space, "name": "here"})
    bind({"kind": "User", "name": f"system:serviceaccount:{space}:everywhere"}, everywhere=True)
    bind({"kind": "ServiceAccount", "namespace": space, "name": "tokenless"})
    pods = {name: running(name, 1)[0] for name in ("here", "everywhere", "unbound", "tokenless")}

    def steps(name: str) -> dict[str, list[str]]:
        return rotated(found(workload=workload_of(pods[name], "pods")).plan)

    eventually(lambda: steps("here"), "the watch cache knows the binding")
    eventually(lambda: steps("everywhere"), "the watch cache knows the binding of the cluster")
    assert steps("here") == {"pod.recreate_account": ["here"]}
    assert steps("everywhere") == {"pod.recreate_account": ["everywhere"]}
    assert steps("unbound") == steps("tokenless") == {}
    called = found(workload=workload_of(pods["here"], "pods"), user=account_user(space, "here"))
    assert rotated(called.plan) == {"user.recreate_account": ["here"]}
