from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from activities.changes.engine import Engine
from activities.doors import Doors
from clients.kubernetes import Kubernetes
from devstack.stack import StackInfo
from tests.accounts.conftest import bindings, doors_of_both, plain_doors
from tests.changes.support import Thing
from tests.isolation.conftest import kubernetes, release

__all__ = ["bindings", "doors_of_both", "kubernetes", "plain_doors", "release"]


@pytest.fixture
def engine(doors: Doors) -> Engine:
    return Engine(doors)


@pytest.fixture(scope="session")
def admin_door(stack: StackInfo) -> Kubernetes:
    return Kubernetes.from_environment(kubeconfig=str(stack.kubeconfig_admin))


@pytest.fixture
def thing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Thing]:
    """A kind that no API server knows, as those of AWS are."""
    made = Thing()
    monkeypatch.setitem(kinds_table(), "Thing", lambda doors: made)
    yield made


def kinds_table() -> dict[str, Any]:
    from activities.changes import kinds

    return kinds._FACTORIES
