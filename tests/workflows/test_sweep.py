"""The drift sweep: one schedule a cluster, and only incidents whose proof broke are woken."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from temporalio.client import ScheduleActionStartWorkflow
from temporalio.testing import WorkflowEnvironment

from activities.sweep_schedule import INTERVAL, ensure_sweep
from contracts.names import ActivityName
from contracts.states import Containment
from tests.workflows.conftest import Incident
from tests.workflows.fakes import Script, incomplete, verified

Start = Callable[..., Awaitable[Incident]]


async def test_workers_that_start_together_leave_one_schedule(server: WorkflowEnvironment) -> None:
    cluster = f"payments {uuid.uuid4().hex}/../x"
    first, second = await ensure_sweep(server.client, cluster), await ensure_sweep(server.client, cluster)
    assert first == second
    assert "/../" not in first
    described = await server.client.get_schedule_handle(first).describe()
    assert [i.every for i in described.schedule.spec.intervals] == [INTERVAL]
    assert isinstance(described.schedule.action, ScheduleActionStartWorkflow)
    await server.client.get_schedule_handle(first).delete()


async def test_the_schedule_wakes_the_incident_that_the_sweep_names_and_no_other(
    server: WorkflowEnvironment, start: Start
) -> None:
    script = Script(proofs=[verified()])
    broken = await start(script)
    whole = await start()
    for incident in (broken, whole):
        await incident.until(lambda v: v.containment is Containment.VERIFIED)
    broken.script.proofs[:] = [incomplete("the label is gone")]
    # An incident that is not there (any more) must not keep the others from being told.
    broken.script.broken = {"gd/0/nowhere/gone": "no incident", broken.handle.id: "the label is gone"}
    name = await ensure_sweep(server.client, uuid.uuid4().hex)
    schedule = server.client.get_schedule_handle(name)
    await schedule.trigger()
    view = await broken.until(lambda v: v.containment is Containment.INCOMPLETE)
    await schedule.delete()
    assert any("the label is gone" in n for n in view.notes)
    assert not (await whole.view()).notes
    assert broken.script.called(ActivityName.SWEEP_HELD_OBJECTS)
