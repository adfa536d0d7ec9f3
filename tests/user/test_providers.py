"""An identity provider is disassociated with everybody in it, and associated again as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from activities.changes.kinds import kind_of
from activities.doors import Doors
from activities.user.providers import KIND
from contracts.steps import StepOutcome
from errors import Unavailable
from plans.model import ResourceRef
from tests.isolation.support import Killed
from tests.user.support import CLUSTER, Bindings, Rooms, about, fresh, incident, request, user

pytestmark = pytest.mark.stack

STEP = "user.disassociate_provider"
Associate = Callable[..., str]


@pytest.fixture
def associate(eks: Any) -> Iterator[Associate]:
    """Associates a provider, ready to use; it goes with the test."""
    made: list[str] = []

    def make(**oidc: str) -> str:
        made.append(fresh("p"))
        config = {
            "identityProviderConfigName": made[-1],
            "issuerUrl": "https://login.example",
            "clientId": "k8s",
            **oidc,
        }
        eks.associate_identity_provider_config(clusterName=CLUSTER, oidc=config, tags={"team": "identity"})
        assert [status(eks, made[-1]) for _ in range(2)] == ["CREATING", "ACTIVE"]
        return made[-1]

    yield make
    for name in made:
        which = {"clusterName": CLUSTER, "identityProviderConfig": {"type": "oidc", "name": name}}
        if status(eks, name) in ("CREATING", "ACTIVE"):
            eks.disassociate_identity_provider_config(**which)
            status(eks, name)


def described(eks: Any, name: str) -> Any:
    which = {"type": "oidc", "name": name}
    try:
        answer = eks.describe_identity_provider_config(clusterName=CLUSTER, identityProviderConfig=which)
    except ClientError:
        return None
    return answer["identityProviderConfig"]["oidc"]


def status(eks: Any, name: str) -> str:
    found = described(eks, name)
    return str(found["status"]) if found else ""


def without_moments(config: Any) -> Any:
    return {k: v for k, v in config.items() if k not in ("status", "identityProviderConfigArn")}


@pytest.mark.parametrize(
    ("oidc", "username"),
    [
        ({}, "https://login.example#0123"),
        ({"usernameClaim": "email"}, "bob@example.com"),
        ({"usernameClaim": "email", "usernamePrefix": "corp:"}, "corp:bob@example.com"),
        (
            {"usernameClaim": "name", "usernamePrefix": "-", "groupsClaim": "roles", "groupsPrefix": "g:"},
            "b@example.com",
        ),
    ],
)
def test_a_provider_goes_and_comes_back_as_it_was(
    rooms: Rooms, eks: Any, bindings: Bindings, associate: Associate, oidc: dict[str, str], username: str
) -> None:
    name = associate(**oidc)
    before = described(eks, name)
    bindings.make(user("corp:alice@example.com"))
    asked, key = request(about(username), (key := incident()), STEP), key
    planned = rooms.plan(asked)
    assert any("Everybody" in n for n in planned.notes)
    assert any("corp:alice@example.com" in n for n in planned.notes) is (oidc.get("usernamePrefix") == "corp:")
    assert status(eks, name) == "ACTIVE"
    outcome, changes = rooms.carry_out(asked, planned)
    assert outcome.complete
    assert described(eks, name) is None
    assert not rooms.release(key, changes).kept
    assert [status(eks, name) for _ in range(2)] == ["CREATING", "ACTIVE"]
    assert without_moments(described(eks, name)) == without_moments(before)


def test_another_provider_s_users_are_not_reached_by_it(rooms: Rooms, eks: Any, associate: Associate) -> None:
    name = associate()
    for username in ("https://other.example#1", "jane", "system:admin"):
        planned = rooms.plan(request(about(username), incident(), STEP))
        assert (planned.changes, bool(planned.skip)) == ((), True), username
    assert status(eks, name) == "ACTIVE"


def test_it_is_not_associated_again_before_the_old_one_is_gone(doors: Doors, eks: Any, associate: Associate) -> None:
    name = associate()
    kind, ref = kind_of(doors, KIND), ResourceRef(kind=KIND, name=name)
    before = kind.read(ref, ("",))
    kind.write(ref, before, {"": None})
    with pytest.raises(Unavailable, match="still being removed"):
        kind.write(ref, {"": None}, before)
    kind.write(ref, {"": None}, before)
    assert status(eks, name) == "CREATING"


def test_a_worker_that_died_on_the_way_is_followed_by_one_that_waits(
    rooms: Rooms, eks: Any, associate: Associate
) -> None:
    name = associate()
    asked = request(about("https://login.example#0123"), incident(), STEP)
    planned = rooms.plan(asked)
    with pytest.raises(Killed):
        rooms.dying_after(0).carry_out(asked, planned)
    assert status(eks, name) == "ACTIVE"
    eks.disassociate_identity_provider_config(
        clusterName=CLUSTER, identityProviderConfig={"type": "oidc", "name": name}
    )
    outcome: StepOutcome = rooms.carry_out(asked, planned)[0]
    assert outcome.complete
    assert described(eks, name) is None


def test_the_provider_s_owner_gets_a_task(rooms: Rooms, associate: Associate, bindings: Bindings) -> None:
    associate()
    finding, key = about("https://login.example#0123"), incident()
    bindings.make(user("https://login.example#0123"))
    outcome, changes = rooms.carry_out(request(finding, key))
    again, _ = rooms.carry_out(request(finding, key, made=changes))
    assert outcome.complete
    assert [t.owner for t in outcome.tasks] == ["the owner of https://login.example"]
    assert [t.id for t in again.tasks] == [t.id for t in outcome.tasks]
