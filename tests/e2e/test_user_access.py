"""Identities are cut off from the cluster, by themselves or on approval, and release gives back what was taken."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from contracts.incidents import IncidentView
from contracts.states import Containment, IncidentState
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from tests.assess.support import raw_finding
from tests.devstack.test_aws import client
from tests.e2e.incident import step_state
from tests.e2e.world import World
from tests.user.support import (
    CLUSTER,
    NODE_ROW,
    PLATFORM,
    AwsAuth,
    Bindings,
    Entries,
    Json,
    fresh,
    group,
    role_arn,
    session_of,
    user,
    user_row,
)

TYPE = "CredentialAccess:Kubernetes/MaliciousIPCaller"


@pytest.fixture(scope="module")
def eks(stack: StackInfo) -> Any:
    return client(stack, "eks")


class Ways:
    """Entries, rows and bindings of one test, and what they say at one moment."""

    def __init__(self, admin: KubeApi, eks: Any) -> None:
        self.entries, self.aws_auth, self.bindings = Entries(eks), AwsAuth(admin), Bindings(admin)
        self.aws_auth.close()

    def state(self) -> Json:
        """What lets anybody in."""
        return {
            **{arn: self.entries.state(arn) for arn in self.entries.made},
            **{path: self.bindings.subjects(path) for path in self.bindings.made},
            "aws-auth": self.aws_auth.data,
        }


@pytest.fixture
def ways(admin: KubeApi, eks: Any) -> Iterator[Ways]:
    made = Ways(admin, eks)
    with ExitStack() as ends:
        for part in (made.entries, made.aws_auth, made.bindings):
            ends.enter_context(closing(part))
        yield made


def finding_about(world: World, username: str, *groups: str, **fields: Any) -> Json:
    raw = raw_finding(
        uuid.uuid4().hex,
        finding_type=TYPE,
        user={"Username": username, "Groups": [*groups, "system:authenticated"]},
        **fields,
    )
    world.publish(raw)
    return raw


def allowed(admin: KubeApi, username: str, *groups: str) -> bool:
    """Whether the API server would let somebody read every Secret."""
    spec = {"user": username, "groups": list(groups), "resourceAttributes": {"verb": "get", "resource": "secrets"}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(admin.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)["status"]["allowed"])


def providers(eks: Any) -> list[str]:
    found = eks.list_identity_provider_configs(clusterName=CLUSTER)["identityProviderConfigs"]
    return [c["name"] for c in found]


def with_reasons(view: IncidentView) -> str:
    return json.dumps([view.reasons, [f.model_dump() for f in view.failures]], indent=1)


async def test_an_administrator_of_the_cluster_is_cut_off_at_once(world: World, admin: KubeApi, ways: Ways) -> None:
    name = fresh("attacked")
    arn, username = role_arn(name, "team/"), session_of(name)
    other = ways.entries.make(role_arn(fresh("colleague")), groups=("ops",))
    ways.entries.grant(other, "View")
    ways.entries.make(arn, groups=("ops",))
    ways.entries.grant(arn)
    ways.aws_auth.write(NODE_ROW + user_row(role_arn(name), "attacked", "ops") + user_row(other, "colleague", "ops"))
    bound = ways.bindings.make(user(username), user("jane"), role="cluster-admin")
    before = ways.state()
    assert allowed(admin, username)

    incident = await world.start(finding_about(world, username, "ops"))
    view = await incident.contained()

    assert step_state(view, "user.cut_off") == "done", with_reasons(view)
    assert ways.state() == {
        other: before[other],
        arn: {**before[arn], "groups": [], "policies": {}},
        bound: [user("jane")],
        "aws-auth": {"mapRoles": NODE_ROW + user_row(other, "colleague", "ops")},
    }
    assert not allowed(admin, username)
    assert view.timings.contained is not None

    assert (await incident.release()).state is IncidentState.RELEASED
    assert ways.state() == before
    assert allowed(admin, username)


async def test_the_last_administrator_is_cut_off_only_when_there_is_another(world: World, ways: Ways) -> None:
    name = fresh("only")
    arn = ways.entries.make(role_arn(name))
    ways.entries.grant(arn)
    ways.aws_auth.write()
    before = ways.state()
    ways.entries.revoke(PLATFORM)
    try:
        incident = await world.start(finding_about(world, session_of(name)))
        view = await incident.until(lambda v: step_state(v, "user.cut_off") == "failed", "it is refused")
        assert "last administrator" in with_reasons(view)
        assert view.containment is not Containment.VERIFIED
        assert (ways.state(), view.timings.contained) == (before, None)
    finally:
        ways.entries.grant(PLATFORM)
    await world.firebreak("retry", incident.id, "user.cut_off", "--reason", "there is another one now", "--by", "ada")
    view = await incident.contained()
    assert ways.state()[arn]["policies"] == {}
    assert (await incident.release()).state is IncidentState.RELEASED
    assert ways.state() == before


async def test_a_user_of_the_map_is_cut_off_once_somebody_says_who_it_is(world: World, ways: Ways) -> None:
    arn = f"arn:aws:iam::123456789012:user/{fresh('mapped')}"
    name = fresh("jane")
    row = user_row(arn, name, "developers", kind="userarn")
    stays = user_row(f"{arn}-2", "colleague", "developers", kind="userarn")
    ways.aws_auth.write(NODE_ROW, f"# people\n{row}# more people\n{stays}")
    team = ways.bindings.make(group("developers"), role="edit")
    before = ways.state()

    incident = await world.start(finding_about(world, name, "developers"))
    await incident.waiting("contain")
    view = await incident.until(lambda v: "user.cut_off" in v.previews, "the approver sees what would be done")
    assert any(arn in said for said in view.previews["user.cut_off"])
    assert ways.state() == before, "nothing before somebody has approved"
    await incident.approve("contain")
    view = await incident.contained()
    assert ways.aws_auth.data == {"mapRoles": NODE_ROW, "mapUsers": f"# people\n# more people\n{stays}"}
    assert (await incident.release()).state is IncidentState.RELEASED
    assert ways.state() == before
    assert any(c.resource.kind == "AwsAuthRow" for c in view.changes)
    assert ways.bindings.made == [team]


async def test_an_oidc_user_and_its_groups_are_cut_off_on_approval(
    world: World, admin: KubeApi, eks: Any, ways: Ways
) -> None:
    name, team = f"{fresh('bob')}@example.com", fresh("team")
    ways.aws_auth.write()
    mine = ways.bindings.make(user(name), user("jane"), role="edit")
    theirs = ways.bindings.make(group(team), group("others"), role="edit")
    provider = fresh("p")
    config = {
        "identityProviderConfigName": provider,
        "issuerUrl": "https://login.example",
        "clientId": "kubernetes",
        "usernameClaim": "email",
    }
    which = {"clusterName": CLUSTER, "identityProviderConfig": {"type": "oidc", "name": provider}}
    eks.associate_identity_provider_config(clusterName=CLUSTER, oidc=config)
    for _ in range(2):
        eks.describe_identity_provider_config(**which)
    before = ways.state()

    incident = await world.start(finding_about(world, name, team))
    await incident.waiting("contain")
    assert ways.state() == before
    await incident.approve("contain")
    view = await incident.contained()
    assert (ways.bindings.subjects(mine), ways.bindings.subjects(theirs)) == ([user("jane")], [group("others")])
    assert not allowed(admin, name, team)
    assert view.containment is Containment.VERIFIED
    assert any("https://login.example" in t.task.text for t in view.tasks)
    assert providers(eks) == [provider], "everybody else still signs in"

    await incident.approve("terminate")
    view = await incident.until(lambda v: step_state(v, "user.disassociate_provider") == "done", "disassociated")
    assert providers(eks) == []

    assert (await incident.release()).state is IncidentState.RELEASED
    assert ways.state() == before
    assert providers(eks) == [provider]
    for _ in range(2):
        eks.describe_identity_provider_config(**which)
    eks.disassociate_identity_provider_config(**which)
    eks.describe_identity_provider_config(**which)
