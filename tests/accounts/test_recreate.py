"""A new identity for service accounts, against the real API server and its controllers (guide U6)."""

from __future__ import annotations

from typing import Any

import pytest

from activities.doors import Doors
from activities.restore import RestoreActivities
from contracts.activities import RestoreRequest
from contracts.common import PodTargets
from devstack.kube import KubeApi
from plans.model import Change
from tests.accounts.support import (
    INCIDENT,
    account,
    bound_token,
    carry_out,
    honoured,
    killed_after,
    legacy_token,
    make_account,
    make_token_secret,
    path,
    plan,
    request_for,
)
from tests.isolation.support import Killed, eventually, json_patch, make_pod, read, run

pytestmark = pytest.mark.stack

FIELDS: dict[str, Any] = {
    "metadata": {
        "labels": {"app": "api"},
        "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/api"},
    },
    "automountServiceAccountToken": False,
    "imagePullSecrets": [{"name": "registry"}],
    "secrets": [{"name": "vault"}, {"name": "api-token"}],
}


def kept(live: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: live["metadata"].get(k) for k in ("labels", "annotations", "finalizers", "ownerReferences")}
    return {**{k: live.get(k) for k in ("automountServiceAccountToken", "imagePullSecrets", "secrets")}, **metadata}


def deployment(admin: KubeApi, namespace: str, name: str, account_name: str) -> dict[str, Any]:
    labels = {"app": name}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "serviceAccountName": account_name,
                "containers": [{"name": "main", "image": "registry.example/a:1"}],
            },
        },
    }
    body = {"metadata": {"name": name}, "spec": spec}
    made = admin.request("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", body)
    eventually(lambda: pods_of(admin, namespace, name))
    return made


def pods_of(admin: KubeApi, namespace: str, app: str) -> list[dict[str, Any]]:
    found = admin.request("GET", path(namespace, "pods"), query={"labelSelector": f"app={app}"})["items"]
    return [p for p in found if "deletionTimestamp" not in p["metadata"]]


def test_every_old_token_ends_and_every_field_stays(doors: Doors, admin: KubeApi, namespace: str) -> None:
    before = make_account(admin, namespace, "api", **FIELDS)
    other = make_account(admin, namespace, "other")
    legacy, bound = make_token_secret(admin, namespace, "api"), bound_token(admin, namespace, "api")
    others = make_token_secret(admin, namespace, "other")
    assert honoured(admin, legacy) and honoured(admin, bound)

    outcome = carry_out(doors, request_for(namespace, "api"))

    assert outcome.complete, outcome
    assert outcome.summary == "1 account recreated, 1 token Secret deleted"
    after = account(admin, namespace, "api")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    # The name of the deleted Secret goes with it; everything else is as it was.
    assert kept(after) == {**kept(before), "secrets": [{"name": "vault"}]}
    assert read(admin, path(namespace, "secrets", "api-token")) is None
    eventually(lambda: not honoured(admin, legacy) and not honoured(admin, bound))
    assert honoured(admin, bound_token(admin, namespace, "api"))
    assert account(admin, namespace, "other") == other
    assert honoured(admin, others)


def test_the_plan_shows_who_loses_what_and_holds_no_token(doors: Doors, admin: KubeApi, namespace: str) -> None:
    make_account(admin, namespace, "api", **FIELDS)
    token = make_token_secret(admin, namespace, "api")
    planned = plan(doors, request_for(namespace, "api"))
    assert "api-token are deleted" in " ".join(planned.notes)
    assert token[:40] not in planned.model_dump_json()
    assert legacy_token(admin, namespace, "api-token") == token, "a plan changes nothing"


def test_the_default_account_recreates_itself_and_keeps_its_fields(
    doors: Doors, admin: KubeApi, namespace: str
) -> None:
    before = account(admin, namespace, "default")
    added = json_patch(
        admin,
        path(namespace, "serviceaccounts", "default"),
        {"op": "add", "path": "/imagePullSecrets", "value": [{"name": "registry"}]},
        {"op": "add", "path": "/metadata/labels", "value": {"team": "shop"}},
    )
    outcome = carry_out(doors, request_for(namespace, "default"))
    assert outcome.complete, outcome
    after = account(admin, namespace, "default")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert kept(after) == kept(added)


def test_healthy_pods_are_restarted_and_held_ones_are_not(doors: Doors, admin: KubeApi, namespace: str) -> None:
    make_account(admin, namespace, "api")
    deployment(admin, namespace, "healthy", "api")
    deployment(admin, namespace, "accused", "api")
    deployment(admin, namespace, "stranger", "default")
    bare = make_pod(admin, namespace, "bare", owned=False, serviceAccountName="api")
    (held,) = pods_of(admin, namespace, "accused")
    (old,) = pods_of(admin, namespace, "healthy")
    targets = PodTargets.model_validate(
        {
            "count": 1,
            "inline": [{"namespace": namespace, "name": held["metadata"]["name"], "uid": held["metadata"]["uid"]}],
        }
    )
    outcome = carry_out(doors, request_for(namespace, "api", pods=targets))

    assert outcome.complete, outcome
    assert outcome.summary == "1 account recreated, 1 rollout restarted"
    (task,) = outcome.tasks
    assert f"Pod {namespace}/bare" in task.text
    eventually(lambda: [p["metadata"]["uid"] for p in pods_of(admin, namespace, "healthy")] != [old["metadata"]["uid"]])
    assert [p["metadata"]["uid"] for p in pods_of(admin, namespace, "accused")] == [held["metadata"]["uid"]]
    for name in ("accused", "stranger"):
        live = admin.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        assert "annotations" not in live["spec"]["template"]["metadata"], name
    assert read(admin, path(namespace, "pods", "bare")) is not None
    assert bare.uid


def test_pods_are_restarted_once_an_identity(doors: Doors, admin: KubeApi, namespace: str) -> None:
    make_account(admin, namespace, "api")
    deployment(admin, namespace, "healthy", "api")
    first = plan(doors, request_for(namespace, "api"))
    assert carry_out(doors, request_for(namespace, "api"), planned=first).complete
    done = request_for(namespace, "api", made=first.changes)
    assert plan(doors, done).changes == (), "tried again, what was restarted is left alone"
    once_more = plan(doors, done.model_copy(update={"again": True}))
    assert [c.resource.kind for c in once_more.changes] == ["ServiceAccountIdentity", "DeploymentRollout"]
    (old,) = pods_of(admin, namespace, "healthy")
    assert carry_out(doors, done, planned=once_more).complete
    eventually(
        lambda: old["metadata"]["uid"] not in {p["metadata"]["uid"] for p in pods_of(admin, namespace, "healthy")}
    )


def test_what_the_account_owns_outlives_its_identity(doors: Doors, admin: KubeApi, namespace: str) -> None:
    uid = make_account(admin, namespace, "api")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "api", "uid": uid}
    admin.request("POST", path(namespace, "configmaps"), {"metadata": {"name": "kept", "ownerReferences": [owner]}})
    assert carry_out(doors, request_for(namespace, "api")).complete

    def orphaned() -> bool:
        found = read(admin, path(namespace, "configmaps", "kept"))
        assert found is not None, "it went with the old uid"
        return "ownerReferences" not in found["metadata"]

    eventually(orphaned)


@pytest.mark.parametrize("mutations", [0, 1, 2])
def test_killed_anywhere_and_run_again_it_ends_in_the_same_state(
    doors: Doors, admin: KubeApi, namespace: str, mutations: int
) -> None:
    before = make_account(admin, namespace, "api", **FIELDS)
    make_token_secret(admin, namespace, "api")
    request = request_for(namespace, "api")
    planned = plan(doors, request)
    with pytest.raises(Killed):
        carry_out(killed_after(doors, mutations), request, planned=planned)

    outcome = carry_out(doors, request, planned=planned)
    assert outcome.complete, outcome
    after = account(admin, namespace, "api")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert kept(after) == {**kept(before), "secrets": [{"name": "vault"}]}
    third = carry_out(doors, request, planned=planned)
    assert third.complete
    assert account(admin, namespace, "api")["metadata"]["uid"] == after["metadata"]["uid"]


def test_an_account_lost_between_two_attempts_is_made_again_from_the_record(
    doors: Doors, admin: KubeApi, namespace: str
) -> None:
    before = make_account(admin, namespace, "api", **FIELDS)
    planned = plan(doors, request_for(namespace, "api"))
    admin.request("DELETE", path(namespace, "serviceaccounts", "api"))
    again = request_for(namespace, "api", made=planned.changes)
    assert carry_out(doors, again).complete
    after = account(admin, namespace, "api")
    assert kept(after) == kept(before)
    # What this incident has done is not done twice when the step is tried again, only when it is repeated.
    assert carry_out(doors, again).complete
    assert account(admin, namespace, "api")["metadata"]["uid"] == after["metadata"]["uid"]
    assert carry_out(doors, again.model_copy(update={"again": True})).complete
    assert account(admin, namespace, "api")["metadata"]["uid"] != after["metadata"]["uid"]


def test_finalizers_that_hang_are_said_and_a_retry_finishes(
    doors: Doors, admin: KubeApi, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.accounts.identity._PATIENCE", 0.3)
    before = make_account(admin, namespace, "api", metadata={"finalizers": ["shop.example/audit"]})
    request = request_for(namespace, "api")
    planned = plan(doors, request)
    assert "shop.example/audit" in " ".join(planned.notes)
    outcome = carry_out(doors, request, planned=planned)
    assert not outcome.complete
    assert "shop.example/audit" in outcome.failures[0].message

    json_patch(admin, path(namespace, "serviceaccounts", "api"), {"op": "remove", "path": "/metadata/finalizers"})
    eventually(lambda: read(admin, path(namespace, "serviceaccounts", "api")) is None)
    retried = carry_out(doors, request_for(namespace, "api", made=planned.changes))
    assert retried.complete, retried
    after = account(admin, namespace, "api")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["metadata"]["finalizers"] == ["shop.example/audit"]
    json_patch(admin, path(namespace, "serviceaccounts", "api"), {"op": "remove", "path": "/metadata/finalizers"})


def test_protected_accounts_are_left_to_people(doors: Doors, admin: KubeApi) -> None:
    before = account(admin, "kube-system", "default")
    request = request_for("kube-system", "default")
    assert plan(doors, request).changes == ()
    outcome = carry_out(doors, request)
    assert outcome.complete
    assert "protected" in outcome.tasks[0].text
    assert account(admin, "kube-system", "default") == before


def test_an_account_that_does_not_exist_is_an_outcome(doors: Doors, namespace: str) -> None:
    planned = plan(doors, request_for(namespace, "nobody"))
    assert planned.skip == f"there is no account {namespace}/nobody"
    assert planned.changes == ()


def test_release_leaves_the_new_identity_and_says_so(
    doors: Doors, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    make_account(admin, namespace, "api")
    make_token_secret(admin, namespace, "api")
    planned = plan(doors, request_for(namespace, "api"))
    carry_out(doors, request_for(namespace, "api"), planned=planned)
    after = account(admin, namespace, "api")
    changes: tuple[Change, ...] = planned.changes
    result = run(release.restore_changes, RestoreRequest(incident=INCIDENT, step="release", changes=changes))
    assert not result.failures and not result.undone
    assert len(result.kept) == 2
    assert all("nothing brings it back" in k for k in result.kept)
    assert account(admin, namespace, "api") == after
