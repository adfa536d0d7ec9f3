import asyncio
import dataclasses

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from activities.lease import LeaseActivities, lease_name
from contracts.activities import LeaseRequest
from contracts.common import IncidentKey
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from errors import Conflict
from plans.model import ResourceRef
from tests.isolation.support import incident, read

pytestmark = pytest.mark.stack

A, B = incident("lease-a"), incident("lease-b")


@pytest.fixture
async def client(stack: StackInfo) -> Client:
    return await Client.connect(stack.temporal_address)


@pytest.fixture
def leases(doors: Doors, client: Client) -> LeaseActivities:
    return LeaseActivities(dataclasses.replace(doors, temporal=client))


@pytest.fixture
def targets(namespace: str) -> tuple[ResourceRef, ...]:
    return tuple(ResourceRef(kind="Deployment", namespace=namespace, name=n, uid=f"{namespace}-{n}") for n in "abc")


async def acquire(leases: LeaseActivities, key: IncidentKey, *resources: ResourceRef) -> int:
    request = LeaseRequest(incident=key, step="s", resources=resources)
    return (await ActivityEnvironment().run(leases.acquire_lease, request)).done


async def give_back(leases: LeaseActivities, key: IncidentKey, *resources: ResourceRef) -> int:
    request = LeaseRequest(incident=key, step="s", resources=resources)
    return (await ActivityEnvironment().run(leases.release_lease, request)).done


def holder(admin: KubeApi, resource: ResourceRef) -> str | None:
    lease = read(admin, f"/apis/coordination.k8s.io/v1/namespaces/firebreak/leases/{lease_name(resource)}")
    return None if lease is None else str(lease["spec"]["holderIdentity"])


async def open_workflow(client: Client, key: IncidentKey) -> None:
    # No worker takes it up, so it stays open.
    await client.start_workflow("Nothing", id=key.workflow_id, task_queue="nobody")


async def test_an_open_incident_keeps_the_others_out_until_it_gives_back(
    leases: LeaseActivities, client: Client, admin: KubeApi, targets: tuple[ResourceRef, ...]
) -> None:
    await open_workflow(client, A)
    try:
        assert await acquire(leases, A, *targets) == 3
        assert await acquire(leases, A, *targets) == 3, "the same incident enters again"
        with pytest.raises(Conflict, match=f"is taken by incident {A.workflow_id}"):
            await acquire(leases, B, targets[1])
        assert await give_back(leases, B, *targets) == 0, "nobody gives back what another has"
        assert await give_back(leases, A, *targets) == 3
        assert await acquire(leases, B, targets[1]) == 1
    finally:
        await client.get_workflow_handle(A.workflow_id).terminate()
    assert holder(admin, targets[1]) == B.workflow_id


async def test_all_or_nothing(
    leases: LeaseActivities, client: Client, admin: KubeApi, targets: tuple[ResourceRef, ...]
) -> None:
    await open_workflow(client, A)
    try:
        last = max(targets, key=lease_name)
        await acquire(leases, A, last)
        with pytest.raises(Conflict):
            await acquire(leases, B, *targets)
        assert [holder(admin, t) for t in targets if t != last] == [None, None]
        assert holder(admin, last) == A.workflow_id
    finally:
        await client.get_workflow_handle(A.workflow_id).terminate()


async def test_the_lease_of_a_closed_incident_is_taken_over(
    leases: LeaseActivities, client: Client, admin: KubeApi, targets: tuple[ResourceRef, ...]
) -> None:
    closed, unknown = incident("lease-closed"), incident("lease-unknown")
    await open_workflow(client, closed)
    await acquire(leases, closed, targets[0])
    await acquire(leases, unknown, targets[1])
    await client.get_workflow_handle(closed.workflow_id).terminate()
    assert await acquire(leases, B, *targets) == 3
    assert {holder(admin, t) for t in targets} == {B.workflow_id}


async def test_of_many_at_once_exactly_one_gets_it(
    leases: LeaseActivities, client: Client, targets: tuple[ResourceRef, ...]
) -> None:
    keys = [incident(f"lease-race-{i}") for i in range(8)]
    await asyncio.gather(*(open_workflow(client, key) for key in keys))
    try:
        results = await asyncio.gather(*(acquire(leases, key, *targets) for key in keys), return_exceptions=True)
        # Everybody takes them in the same order, so the first one decides.
        assert sum(r == 3 for r in results) == 1
        assert all(r == 3 or isinstance(r, Conflict) for r in results)
    finally:
        await asyncio.gather(*(client.get_workflow_handle(key.workflow_id).terminate() for key in keys))


def test_the_name_of_a_lease_depends_on_the_uid_alone_where_there_is_one() -> None:
    one = ResourceRef(kind="Pod", namespace="shop", name="web", uid="1")
    assert lease_name(one) == lease_name(one.model_copy(update={"name": "other"}))
    assert lease_name(one) != lease_name(one.model_copy(update={"uid": "2"}))
    assert len(lease_name(one)) <= 253
