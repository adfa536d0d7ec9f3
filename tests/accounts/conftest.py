import dataclasses

import pytest

from activities.doors import Doors
from clients.kubernetes import Kubernetes
from devstack import identities
from devstack.stack import StackInfo
from tests.isolation import conftest as isolation
from tests.isolation.conftest import kubernetes, release

__all__ = ["kubernetes", "release"]

plain_doors = isolation.doors


@pytest.fixture(scope="session")
def bindings(stack: StackInfo) -> Kubernetes:
    """The API server as the identity that edits bindings and lists Secrets."""
    return Kubernetes.from_environment(kubeconfig=str(stack.kubeconfigs[identities.BINDINGS]))


@pytest.fixture(name="doors")
def doors_of_both(plain_doors: Doors, bindings: Kubernetes) -> Doors:
    return dataclasses.replace(plain_doors, bindings=bindings)
