import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.client import Client

from activities.doors import Doors
from devstack.stack import StackInfo
from tests.assess import conftest as assess
from tests.assess.conftest import admin_door, aws, door, settings
from tests.devstack.test_aws import client
from tests.user_credentials.support import Iam

__all__ = ["admin_door", "aws", "door", "settings"]

plain_doors = assess.doors


@pytest.fixture(name="doors")
def doors_with_an_identity(plain_doors: Doors) -> Doors:
    return dataclasses.replace(plain_doors, temporal=cast(Client, SimpleNamespace(identity="tests")))


@pytest.fixture
def iam(stack: StackInfo) -> Iam:
    return Iam(client(stack, "iam"))


@pytest.fixture
def eks(stack: StackInfo) -> Any:
    return client(stack, "eks")
