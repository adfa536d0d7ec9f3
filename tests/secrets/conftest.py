import dataclasses

import pytest

from activities.doors import Doors
from clients.aws import Aws
from clients.kubernetes import Kubernetes
from devstack.kube import KubeApi
from tests.accounts.conftest import bindings, kubernetes, plain_doors
from tests.assess.conftest import aws
from tests.secrets.support import install_kinds

__all__ = ["aws", "bindings", "kubernetes", "plain_doors"]


@pytest.fixture(scope="session")
def kinds(admin: KubeApi) -> None:
    """The kinds of cert-manager and External Secrets, without their controllers."""
    install_kinds(admin)


@pytest.fixture(name="doors")
def doors_of_both(plain_doors: Doors, bindings: Kubernetes, aws: Aws, kinds: None) -> Doors:
    return dataclasses.replace(plain_doors, bindings=bindings, aws=aws)
