import dataclasses
import uuid
from collections.abc import Callable

import pytest

from activities.doors import Doors
from clients.aws import Aws
from clients.kubernetes import Kubernetes
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from tests.accounts.conftest import bindings, kubernetes, plain_doors
from tests.assess.conftest import aws
from tests.devstack.test_aws import client
from tests.secrets.support import install_kinds

__all__ = ["aws", "bindings", "kubernetes", "plain_doors"]


@pytest.fixture(scope="session")
def kinds(admin: KubeApi) -> None:
    """The kinds of cert-manager and External Secrets, without their controllers."""
    install_kinds(admin)


@pytest.fixture(name="doors")
def doors_of_both(plain_doors: Doors, bindings: Kubernetes, aws: Aws, kinds: None) -> Doors:
    return dataclasses.replace(plain_doors, bindings=bindings, aws=aws)


@pytest.fixture
def in_aws(stack: StackInfo) -> Callable[..., str]:
    """Make a secret in Secrets Manager, with rotation set up or not."""
    secrets = client(stack, "secretsmanager")

    def make(*, rotates: bool = True) -> str:
        arn = str(secrets.create_secret(Name=f"shop/{uuid.uuid4().hex}", SecretString="v1")["ARN"])
        if rotates:
            secrets.rotate_secret(SecretId=arn, RotationRules={"AutomaticallyAfterDays": 30})
        return arn

    return make
