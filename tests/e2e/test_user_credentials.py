"""The credentials behind a finding: a user's access key, and the IAM roles of a service account (guide U5, U6, P9)."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from activities.user.documents import revoked_before
from contracts.incidents import IncidentView
from contracts.states import IncidentState
from devstack.stack import StackInfo
from tests.assess.support import account_user, raw_finding
from tests.devstack.test_aws import client
from tests.e2e.incident import Incident, step_state
from tests.e2e.targets import NAME, contained, deployed, uids
from tests.e2e.workloads import Json
from tests.e2e.world import World
from tests.user_credentials.support import ACCOUNT, REVOKE, Iam, recorded

CLUSTER = "firebreak-demo"
IMPACT = "Impact:Kubernetes/MaliciousIPCaller"


@pytest.fixture
def iam(stack: StackInfo) -> Iam:
    return Iam(client(stack, "iam"))


@pytest.fixture
def eks(stack: StackInfo) -> Any:
    return client(stack, "eks")


@pytest.fixture
def graph(stack: StackInfo) -> Iterator[str]:
    """Detective is switched on while the test lasts."""
    detective = client(stack, "detective")
    arn = str(detective.create_graph()["GraphArn"])
    yield arn
    detective.delete_graph(GraphArn=arn)


def about_user(user: str, key: str) -> Json:
    """A finding about an IAM user who came with an access key."""
    arn = f"arn:aws:iam::{ACCOUNT}:user/{user}"
    raw = raw_finding(uuid.uuid4().hex, finding_type=IMPACT, user={"Username": arn, "Groups": []})
    raw["Resource"]["AccessKeyDetails"] = {
        "AccessKeyId": key,
        "PrincipalId": "AIDAEXAMPLE",
        "UserName": user,
        "UserType": "IAMUser",
    }
    return raw


def issuer_of(eks: Any) -> str:
    issuer: str = eks.describe_cluster(name=CLUSTER)["cluster"]["identity"]["oidc"]["issuer"]
    return issuer.removeprefix("https://")


def trust_of(issuer: str, namespace: str) -> Json:
    """Lets every service account of a namespace in."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringLike": {f"{issuer}:sub": f"system:serviceaccount:{namespace}:*"}},
            }
        ],
    }


async def done(incident: Incident, step: str) -> IncidentView:
    return await incident.until(lambda v: step_state(v, step) == "done", f"{step} done")


async def test_a_user_s_key_is_off_at_once_and_on_again_after_release(world: World, iam: Iam, graph: str) -> None:
    user = iam.user()
    key, other = iam.key(user), iam.key(user)
    event = {"EventId": uuid.uuid4().hex, "EventName": "CreateRole", "EventTime": datetime.now(UTC).isoformat()}
    recorded(world.stack, {**event, "AccessKeyId": key, "CloudTrailEvent": '{"eventName": "CreateRole"}'})
    raw = about_user(user, key)
    world.publish(raw)
    incident = await world.start(raw)

    await done(incident, "user.deactivate_key")
    assert iam.keys(user) == {key: "Inactive", other: "Active"}
    view = await done(incident, "user.review_account")
    (task,) = (t.task for t in view.tasks if t.task.step == "user.review_account")
    assert user in task.text and "made or changed CreateRole" in task.text
    assert view.evidence.artefacts >= 1
    assert iam.user_policies(user) == {}

    await incident.approve("credentials")
    await done(incident, "user.revoke_sessions")
    assert list(iam.user_policies(user)) == [REVOKE]
    assert iam.keys(user) == {key: "Inactive", other: "Active"}

    detective = client(world.stack, "detective")
    assert detective.list_investigations(GraphArn=graph)["InvestigationDetails"] == []
    await incident.approve("eradicate")
    view = await done(incident, "user.investigate")
    investigated = detective.list_investigations(GraphArn=graph)["InvestigationDetails"]
    assert [i["EntityArn"] for i in investigated] == [f"arn:aws:iam::{ACCOUNT}:user/{user}"]
    assert "found severity HIGH" in next(s.detail for s in view.steps if s.step == "user.investigate")

    await incident.release()
    assert iam.keys(user) == {key: "Active", other: "Active"}
    assert iam.user_policies(user) == {}


async def test_a_key_is_deleted_on_an_approval_of_its_own(world: World, iam: Iam) -> None:
    user = iam.user()
    key, other = iam.key(user), iam.key(user)
    raw = about_user(user, key)
    world.publish(raw)
    incident = await world.start(raw)
    await done(incident, "user.deactivate_key")
    view = await incident.until(
        lambda v: "user.delete_key" in v.previews, "the deletion is shown before it is approved"
    )
    assert any("cannot be brought back" in line for line in view.previews["user.delete_key"])
    assert key in iam.keys(user)

    await incident.approve("terminate")
    await done(incident, "user.delete_key")
    assert iam.keys(user) == {other: "Active"}
    await incident.release()
    assert iam.keys(user) == {other: "Active"}


async def test_a_service_account_loses_its_roles_and_gets_them_back(world: World, iam: Iam, eks: Any) -> None:
    issuer = issuer_of(eks)
    me = f"system:serviceaccount:{world.namespace}:web"
    trust = trust_of(issuer, world.namespace)
    trusting, given = iam.role(f"t-{secrets.token_hex(4)}", trust), iam.role()
    annotations = {"eks.amazonaws.com/role-arn": f"arn:aws:iam::{ACCOUNT}:role/{trusting}"}
    world.create(
        {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "web", "annotations": annotations}}
    )
    where = {"clusterName": CLUSTER, "namespace": world.namespace}
    eks.create_pod_identity_association(
        **where, serviceAccount="web", roleArn=f"arn:aws:iam::{ACCOUNT}:role/{given}", tags={"team": "shop"}
    )

    def roles() -> tuple[Json, list[Json], list[str], list[str]]:
        listed = eks.list_pod_identity_associations(**where)["associations"]
        found = [
            eks.describe_pod_identity_association(clusterName=CLUSTER, associationId=a["associationId"])["association"]
            for a in listed
        ]
        given_now = [{k: a[k] for k in ("serviceAccount", "roleArn", "tags")} for a in found]
        return iam.trust(trusting), given_now, list(iam.policies(trusting)), list(iam.policies(given))

    before = roles()
    raw = raw_finding(uuid.uuid4().hex, finding_type=IMPACT, user=account_user(world.namespace, "web"))
    world.publish(raw)
    incident = await world.start(raw)
    view = await incident.until(lambda v: "user.cut_pod_roles" in v.previews, "the roles are shown")
    assert any(given in line for line in view.previews["user.cut_pod_roles"])
    assert roles() == before

    await incident.approve("credentials")
    await done(incident, "user.revoke_sessions")
    now, associated, *policies = roles()
    assert now["Statement"][0] == trust["Statement"][0]
    assert [s["Condition"] for s in now["Statement"][1:]] == [{"StringEquals": {f"{issuer}:sub": me}}]
    assert (associated, policies) == ([], [[REVOKE], [REVOKE]])

    await incident.release()
    assert roles() == before


async def test_the_role_of_pods_is_ended_and_its_sessions_once_more_when_the_pods_are_gone(
    world: World, iam: Iam, eks: Any
) -> None:
    role = iam.role(f"t-{secrets.token_hex(4)}", trust_of(issuer_of(eks), world.namespace))
    token = {"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}
    with_role = {"volumes": [{"name": "aws-iam-token", "projected": {"sources": [token]}}]}
    accused = await deployed(world, "Deployment", pod=with_role)
    old = uids(world.pods(NAME))
    incident = await contained(world, accused)
    assert len(iam.trust(role)["Statement"]) == 1

    await incident.approve("credentials")
    await done(incident, "pod.revoke_sessions")
    denied = iam.trust(role)["Statement"][1:]
    assert [s["Effect"] for s in denied] == ["Deny"]
    first = revoked_before(iam.policies(role)[REVOKE])
    assert uids(world.pods(NAME)) == old, "what is compromised still runs, and may have got a session meanwhile"

    await incident.approve()
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED, view
    assert not uids(world.pods(NAME)) & old
    assert revoked_before(iam.policies(role)[REVOKE]) > first
    assert iam.trust(role)["Statement"][1:] == denied

    released = await world.firebreak("release", incident.id, "--reason", "the role is needed", "--by", "ada")
    assert released["done"] and not released["failures"], released
    assert (len(iam.trust(role)["Statement"]), list(iam.policies(role))) == (1, [])
