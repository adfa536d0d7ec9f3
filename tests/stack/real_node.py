"""Fixtures that hand tests a stack with a real node: one a session, beside the usual one.

It is a stack of its own because its node would change what other tests count, and starting it takes seconds. Where this
machine cannot have one, whoever asks for it is skipped, and the reason stands in pytest's summary.

FIREBREAK_TEST_REAL_NODE=off skips the lane; FIREBREAK_TEST_STACK=keep leaves the stack ``test-real`` running.
"""

import os
import secrets
from collections.abc import Callable, Iterator

import pytest

from devstack.kube import KubeApi
from devstack.real_node.preconditions import obstacle
from devstack.stack import StackInfo, down, up
from devstack.tools import ensure_tools
from tests.stack.programs import answer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the lane where it cannot run; by a mark, so that the summary says why in one line a file."""
    lane = [item for item in items if item.get_closest_marker("real_node") or "real_stack" in _fixtures(item)]
    problem = _problem() if lane else ""
    if problem:
        for item in lane:
            item.add_marker(pytest.mark.skip(reason=f"no real node on this machine: {problem}"))


def _fixtures(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []


def _problem() -> str:
    return "FIREBREAK_TEST_REAL_NODE=off" if os.environ.get("FIREBREAK_TEST_REAL_NODE") == "off" else obstacle()


@pytest.fixture(scope="session")
def real_stack() -> Iterator[StackInfo]:
    """A running stack with a real node beside three that are played."""
    if os.environ.get("FIREBREAK_TEST_STACK") == "keep":
        yield up("test-real", real_node=True)
        return
    name = f"test-real-{secrets.token_hex(4)}"
    try:
        yield up(name, real_node=True)
    finally:
        down(name)


@pytest.fixture(scope="session")
def real_admin(real_stack: StackInfo) -> KubeApi:
    """Its API server as the cluster's administrator."""
    return KubeApi.from_kubeconfig(real_stack.kubeconfig_admin)


@pytest.fixture
def real_namespace(real_admin: KubeApi) -> Iterator[str]:
    """A fresh namespace; it goes after the test."""
    name = f"t-{secrets.token_hex(4)}"
    real_admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    try:
        yield name
    finally:
        real_admin.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def run_in_pod(real_stack: StackInfo, real_namespace: str) -> Callable[..., str]:
    """Runs a command in a pod of the namespace, as `kubectl exec` does, and gives what it prints."""
    kubectl = [str(ensure_tools()["kubectl"]), f"--kubeconfig={real_stack.kubeconfig_admin}", "-n", real_namespace]

    def run(pod: str, *words: str) -> str:
        return answer([*kubectl, "exec", pod, "--", *words])

    return run
