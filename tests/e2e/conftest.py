"""Worlds for the end-to-end tests, and the workers that look after them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from contracts.names import CLUSTER, FINDING_ID, FINDING_TYPE, GATE, SEVERITY, STATE
from devstack import cluster
from devstack.kube import KubeApi, KubeError
from devstack.stack import StackInfo
from tests.e2e.processes import WorkerProcess, Zygote
from tests.e2e.world import World

NewWorld = Callable[[], Awaitable[World]]
_RETENTION = timedelta(days=1)


@pytest.fixture(scope="session")
def zygote(stack: StackInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Starts workers."""
    made = Zygote(tmp_path_factory.mktemp("workers"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def commands(stack: StackInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Runs the commands of operators."""
    made = Zygote(tmp_path_factory.mktemp("commands"))
    yield made
    made.close()


@pytest.fixture(scope="session")
async def client(stack: StackInfo) -> Client:
    """A client of the Temporal namespace that the session's worker works in."""
    return await new_temporal_namespace(stack)


@pytest.fixture(scope="session")
async def shared_worker(
    stack: StackInfo, admin: KubeApi, client: Client, zygote: Zygote, commands: Zygote
) -> WorkerProcess:
    """One worker for all tests that do not end it."""
    return zygote.start(World(stack, admin, client, commands, "").environment())


@pytest.fixture
async def world(
    stack: StackInfo, admin: KubeApi, client: Client, commands: Zygote, namespace: str, shared_worker: WorkerProcess
) -> AsyncIterator[World]:
    """A fresh namespace of the cluster, in the care of the shared worker."""
    made = World(stack, admin, client, commands, namespace)
    yield made
    await made.close()
    assert shared_worker.running, shared_worker.log.read_text()[-2000:]


@pytest.fixture
async def new_world(stack: StackInfo, admin: KubeApi, commands: Zygote) -> AsyncIterator[NewWorld]:
    """Makes worlds with a Temporal namespace of their own, so that each can have its own worker."""
    async with AsyncExitStack() as ends:

        async def make() -> World:
            name = f"t-{uuid.uuid4().hex[:8]}"
            admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
            ends.callback(_delete_namespace, admin, name)
            cluster.grant_namespace_admin(admin, name)
            made = World(stack, admin, await new_temporal_namespace(stack), commands, name)
            ends.push_async_callback(made.close)
            return made

        yield make


def _delete_namespace(admin: KubeApi, name: str) -> None:
    try:
        admin.request("DELETE", f"/api/v1/namespaces/{name}")
    except KubeError as error:
        # A test may have deleted it.
        if error.status != 404:
            raise


async def new_temporal_namespace(stack: StackInfo) -> Client:
    """A client of a new Temporal namespace that knows Firebreak's search attributes."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    outside = await Client.connect(stack.temporal_address)
    retention = Duration()
    retention.FromTimedelta(_RETENTION)
    await outside.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )
    attributes = {
        key.name: IndexedValueType.ValueType(key.indexed_value_type)
        for key in (FINDING_ID, FINDING_TYPE, CLUSTER, STATE, GATE, SEVERITY)
    }
    await outside.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=name, search_attributes=attributes)
    )
    return await Client.connect(stack.temporal_address, namespace=name, data_converter=pydantic_data_converter)
