import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from temporalio.client import Client

from activities.doors import Doors
from clients.kubernetes import Kubernetes
from devstack import identities
from devstack.kube import KubeApi, KubeError
from devstack.stack import StackInfo
from tests.assess import conftest as assess
from tests.assess.conftest import admin_door, aws, door, publish, settings
from tests.configuration.support import Json, Room, path_of

__all__ = ["admin_door", "aws", "door", "publish", "settings"]

plain_doors = assess.doors
Make = Callable[..., Json]


@pytest.fixture(name="doors")
def doors_of_both_identities(plain_doors: Doors, stack: StackInfo) -> Doors:
    bindings = Kubernetes.from_environment(kubeconfig=str(stack.kubeconfigs[identities.BINDINGS]))
    temporal = cast(Client, SimpleNamespace(identity="tests"))
    return dataclasses.replace(plain_doors, bindings=bindings, temporal=temporal)


@pytest.fixture
def room(doors: Doors) -> Room:
    return Room(doors)


@pytest.fixture
def make(admin: KubeApi) -> Iterator[Make]:
    """Makes objects of the cluster that go with the test."""
    made: list[str] = []

    def create(obj: Json, namespace: str = "") -> Json:
        live = admin.request("POST", path_of(obj["kind"], namespace), obj)
        made.append(f"{path_of(obj['kind'], namespace)}/{obj['metadata']['name']}")
        return live

    yield create
    for path in reversed(made):
        with contextlib.suppress(KubeError):
            admin.request("DELETE", path)
