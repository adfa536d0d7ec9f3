"""Fixtures that hand tests the embedded stack: one a session, in the user's state folder, under a name of its own.

FIREBREAK_TEST_STACK=keep starts or reuses the stack ``test`` and leaves it running, for quick repeats by hand.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress

import pytest

from contracts.names import HELD_LABEL, LABEL_ON
from devstack import cluster, identities
from devstack.kube import KubeApi, KubeError
from devstack.stack import StackInfo, down, up


@pytest.fixture(scope="session")
def stack() -> Iterator[StackInfo]:
    """The running stack."""
    if os.environ.get("FIREBREAK_TEST_STACK") == "keep":
        yield up("test")
        return
    name = f"test-{secrets.token_hex(4)}"
    try:
        yield up(name)
    finally:
        down(name)


@pytest.fixture(scope="session")
def admin(stack: StackInfo) -> KubeApi:
    """The API server as the cluster's administrator."""
    return KubeApi.from_kubeconfig(stack.kubeconfig_admin)


@pytest.fixture(scope="session")
def firebreak(stack: StackInfo) -> KubeApi:
    """The API server as Firebreak itself, with what deploy/rbac.yaml grants."""
    return KubeApi.from_kubeconfig(stack.kubeconfig)


@pytest.fixture(scope="session")
def namespace_admin(stack: StackInfo) -> KubeApi:
    """The API server as somebody who administers single namespaces."""
    return KubeApi.from_kubeconfig(stack.kubeconfigs[identities.NAMESPACE_ADMIN])


@pytest.fixture
def namespace(admin: KubeApi) -> Iterator[str]:
    """A fresh namespace that ``namespace_admin`` administers; it goes after the test, held pods included."""
    name = f"t-{secrets.token_hex(4)}"
    admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    cluster.grant_namespace_admin(admin, name)
    try:
        yield name
    finally:
        admin.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def nothing_held(admin: KubeApi) -> None:
    """Forget which changes incidents of earlier tests held: they are over and will never let go."""
    path = "/api/v1/namespaces/firebreak/configmaps"
    for record in admin.request("GET", path, query={"labelSelector": f"{HELD_LABEL}={LABEL_ON}"})["items"]:
        with suppress(KubeError):
            admin.request("DELETE", f"{path}/{record['metadata']['name']}")
