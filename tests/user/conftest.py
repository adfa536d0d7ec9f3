import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.client import Client

from activities.doors import Doors
from clients.kubernetes import Kubernetes
from devstack import identities
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from tests.assess import conftest as assess
from tests.assess.conftest import admin_door, aws, door, settings
from tests.devstack.test_aws import client
from tests.user.support import AwsAuth, Bindings, Entries, Rooms

__all__ = ["admin_door", "aws", "door", "settings"]

plain_doors = assess.doors


@pytest.fixture(name="doors")
def doors_of_both_identities(plain_doors: Doors, stack: StackInfo) -> Doors:
    bindings = Kubernetes.from_environment(kubeconfig=str(stack.kubeconfigs[identities.BINDINGS]))
    temporal = cast(Client, SimpleNamespace(identity="tests"))
    return dataclasses.replace(plain_doors, bindings=bindings, temporal=temporal)


@pytest.fixture
def rooms(doors: Doors) -> Rooms:
    return Rooms(doors)


@pytest.fixture(scope="session")
def eks(stack: StackInfo) -> Any:
    return client(stack, "eks")


@pytest.fixture
def entries(eks: Any) -> Iterator[Entries]:
    """The access entries; those that a test makes go with it."""
    made = Entries(eks)
    yield made
    made.close()


@pytest.fixture
def aws_auth(admin: KubeApi) -> Iterator[AwsAuth]:
    """No aws-auth, until a test writes one."""
    made = AwsAuth(admin)
    made.close()
    yield made
    made.close()


@pytest.fixture
def bindings(admin: KubeApi) -> Iterator[Bindings]:
    """Bindings that go with the test."""
    made = Bindings(admin)
    yield made
    made.close()
