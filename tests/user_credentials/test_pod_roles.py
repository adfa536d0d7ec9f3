"""The IAM roles of service accounts: found, taken away from one account alone, and given back by release."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from activities.doors import Doors
from clients.kubernetes import Kubernetes
from clients.paths import list_path
from errors import Forbidden
from findings.model import Finding
from tests.assess.support import account_user, raw_finding, read
from tests.user_credentials.support import (
    ACCOUNT,
    REVOKE,
    Iam,
    Json,
    Rooms,
    about_role,
    incident,
    refusing,
    request,
)

pytestmark = pytest.mark.stack

CUT, REVOKE_STEP = "user.cut_pod_roles", "user.revoke_sessions"
CLUSTER = "firebreak-demo"


class Killed(Exception):
    """The worker dies here."""


@pytest.fixture
def rooms(doors: Doors) -> Rooms:
    return Rooms(doors)


@pytest.fixture
def issuer(eks: Any) -> str:
    return str(eks.describe_cluster(name=CLUSTER)["cluster"]["identity"]["oidc"]["issuer"]).removeprefix("https://")


@pytest.fixture
def namespace() -> str:
    return f"n-{secrets.token_hex(4)}"


@pytest.fixture
def associate(eks: Any) -> Callable[[str, str, str], None]:
    def make(namespace: str, account: str, role: str) -> None:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        tags = {"team": "shop"}
        eks.create_pod_identity_association(
            clusterName=CLUSTER, namespace=namespace, serviceAccount=account, roleArn=arn, tags=tags
        )

    return make


def associations(eks: Any, namespace: str) -> list[tuple[str, str, Any]]:
    found = eks.list_pod_identity_associations(clusterName=CLUSTER, namespace=namespace)["associations"]
    described = [
        eks.describe_pod_identity_association(clusterName=CLUSTER, associationId=a["associationId"])["association"]
        for a in found
    ]
    return sorted((a["serviceAccount"], a["roleArn"], a["tags"]) for a in described)


def trust(issuer: str, operator: str, *subjects: str) -> Json:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {operator: {f"{issuer}:sub": list(subjects), f"{issuer}:aud": "sts.amazonaws.com"}},
            }
        ],
    }


def about(namespace: str, account: str) -> Finding:
    return read(raw_finding(f"f-{secrets.token_hex(4)}", user=account_user(namespace, account)))


def denied(document: Json) -> list[Any]:
    return [s["Condition"]["StringEquals"] for s in document["Statement"] if s["Effect"] == "Deny"]


def test_one_account_loses_its_association_and_nobody_else(
    iam: Iam, eks: Any, rooms: Rooms, namespace: str, associate: Callable[[str, str, str], None]
) -> None:
    role = iam.role()
    associate(namespace, "web", role)
    associate(namespace, "api", role)
    before = associations(eks, namespace)
    one = incident()
    asked = request(CUT, about(namespace, "web"), one, (namespace, "web"))
    planned = rooms.plan(asked)
    assert any(f"{namespace}/api" in note for note in planned.notes)
    outcome, changes = rooms.carry_out(asked, planned)
    assert outcome.complete, outcome
    assert [a for a, _, _ in associations(eks, namespace)] == ["api"]
    again, _ = rooms.carry_out(asked, planned)
    assert again.complete
    rooms.release(one, changes)
    assert associations(eks, namespace) == before


@pytest.mark.parametrize(
    ("operator", "pattern"), [("StringEquals", "{me}"), ("StringLike", "system:serviceaccount:{ns}:*")]
)
def test_a_role_is_denied_to_the_account_however_it_is_let_in(
    iam: Iam, rooms: Rooms, issuer: str, namespace: str, operator: str, pattern: str
) -> None:
    me, neighbour = (f"system:serviceaccount:{namespace}:{n}" for n in ("web", "api"))
    before = trust(issuer, operator, pattern.format(me=me, ns=namespace), neighbour)
    role = iam.role(trust=before)
    elsewhere = iam.role(trust=trust(issuer, operator, "system:serviceaccount:other:web"))
    untouched = iam.trust(elsewhere)
    one = incident()
    asked = request(CUT, about(namespace, "web"), one, (namespace, "web"))
    planned = rooms.plan(asked)
    assert any(neighbour in note for note in planned.notes), planned.notes
    outcome, changes = rooms.carry_out(asked, planned)
    assert outcome.complete, outcome
    now = iam.trust(role)
    assert now["Statement"][:1] == before["Statement"]
    assert denied(now) == [{f"{issuer}:sub": me}]
    assert iam.trust(elsewhere) == untouched
    rooms.release(one, changes)
    assert iam.trust(role) == before


def test_two_accounts_of_one_role_are_denied_and_given_back_each_by_itself(
    iam: Iam, rooms: Rooms, issuer: str, namespace: str
) -> None:
    before = trust(issuer, "StringLike", f"system:serviceaccount:{namespace}:*")
    role = iam.role(trust=before)
    one, two = incident("one"), incident("two")
    _, first = rooms.carry_out(request(CUT, about(namespace, "web"), one, (namespace, "web")))
    _, second = rooms.carry_out(request(CUT, about(namespace, "api"), two, (namespace, "api")))
    _, third = rooms.carry_out(request(CUT, about(namespace, "web"), two, (namespace, "web")))
    assert len(denied(iam.trust(role))) == 2
    rooms.release(one, first)
    assert len(denied(iam.trust(role))) == 2
    rooms.release(two, second)
    assert denied(iam.trust(role)) == [{f"{issuer}:sub": f"system:serviceaccount:{namespace}:web"}]
    rooms.release(two, third)
    assert iam.trust(role) == before


def test_killed_between_two_changes_and_run_again_ends_the_same(
    iam: Iam,
    eks: Any,
    doors: Doors,
    rooms: Rooms,
    issuer: str,
    namespace: str,
    associate: Callable[[str, str, str], None],
) -> None:
    before = trust(issuer, "StringEquals", f"system:serviceaccount:{namespace}:web")
    role = iam.role(trust=before)
    associate(namespace, "web", role)
    one = incident()
    asked = request(CUT, about(namespace, "web"), one, (namespace, "web"))
    planned = rooms.plan(asked)
    with pytest.raises(Killed):
        Rooms(refusing(doors, Killed(), after=1)).carry_out(asked, planned)
    assert (associations(eks, namespace), denied(iam.trust(role))) == ([], [])
    outcome, changes = rooms.carry_out(asked, planned)
    assert outcome.complete and len(denied(iam.trust(role))) == 1
    rooms.release(one, changes)
    assert iam.trust(role) == before
    assert [a for a, _, _ in associations(eks, namespace)] == ["web"]


def test_the_sessions_of_the_roles_are_ended_after_they_were_cut(
    iam: Iam, rooms: Rooms, issuer: str, namespace: str, associate: Callable[[str, str, str], None]
) -> None:
    trusting = iam.role(trust=trust(issuer, "StringEquals", f"system:serviceaccount:{namespace}:web"))
    given, own = iam.role(), iam.role(f"firebreak-{secrets.token_hex(4)}")
    associate(namespace, "web", given)
    associate(namespace, "api", own)
    one = incident()
    finding, accounts = about(namespace, "web"), ((namespace, "web"), (namespace, "api"))
    _, cut = rooms.carry_out(request(CUT, finding, one, *accounts))
    asked = request(REVOKE_STEP, finding, one, *accounts, made=cut)
    planned = rooms.plan(asked)
    assert any("Protected" in note and own in note for note in planned.notes)
    outcome, changes = rooms.carry_out(asked, planned)
    assert outcome.complete
    assert [list(iam.policies(r)) for r in (trusting, given, own)] == [[REVOKE], [REVOKE], []]
    rooms.release(one, (*cut, *changes))
    assert [list(iam.policies(r)) for r in (trusting, given, own)] == [[], [], []]


def test_a_role_of_another_account_is_a_task_and_one_that_trusts_nobody_is_said(
    rooms: Rooms, admin_door: Kubernetes
) -> None:
    name = f"web-{secrets.token_hex(4)}"
    arn = "arn:aws:iam::999999999999:role/theirs"
    body = {"metadata": {"name": name, "annotations": {"eks.amazonaws.com/role-arn": arn}}}
    made = admin_door.create(list_path("ServiceAccount", "default"), body)
    asked = request(CUT, about("default", name), incident(), ("default", name))
    planned = rooms.plan(asked)
    assert any("another account" in note for note in planned.notes) and planned.changes == ()
    outcome, _ = rooms.carry_out(asked, planned)
    assert [arn in t.text for t in outcome.tasks] == [True]
    admin_door.delete(f"/api/v1/namespaces/default/serviceaccounts/{name}", uid=made["metadata"]["uid"])
    nothing = rooms.plan(request(CUT, about("default", name), incident(), ("default", name)))
    assert nothing.skip == f"No IAM role is given to default/{name}."


def test_a_refusal_of_iam_is_never_reported_as_done(iam: Iam, doors: Doors, issuer: str, namespace: str) -> None:
    before = trust(issuer, "StringEquals", f"system:serviceaccount:{namespace}:web")
    role = iam.role(trust=before)
    asked = request(CUT, about(namespace, "web"), incident(), (namespace, "web"))
    outcome, _ = Rooms(refusing(doors, Forbidden("iam:UpdateAssumeRolePolicy"))).carry_out(asked)
    assert not outcome.complete and outcome.failures[0].code == "Forbidden"
    assert outcome.summary.startswith("0 ways")
    assert iam.trust(role) == before


def test_roles_that_cannot_be_looked_up_are_failures_and_no_reason_to_spare_others(
    iam: Iam, doors: Doors, namespace: str
) -> None:
    role = iam.role()
    away = Rooms(dataclasses.replace(doors, settings=doors.settings.model_copy(update={"cluster": "nowhere"})))
    planned = away.plan(request(CUT, about(namespace, "web"), incident(), (namespace, "web")))
    assert [f.code for f in planned.failures] == ["TargetGone"] and planned.skip == ""
    outcome, _ = away.carry_out(request(REVOKE_STEP, about_role(role), incident(), (namespace, "web")))
    assert outcome.complete and list(iam.policies(role)) == [REVOKE]
    both = away.plan(request(REVOKE_STEP, about_role(role), incident(), (namespace, "web")))
    assert [f.code for f in both.failures] == ["TargetGone"] and len(both.changes) == 1
