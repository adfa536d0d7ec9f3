"""What comes late, at once, or the other way round: an incident must neither hang on it nor take old news for new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from temporalio.client import WorkflowExecutionStatus

from contracts.incidents import Observation, StepsEnded
from contracts.names import ActivityName, Handler, WorkflowName
from contracts.states import Containment, IncidentState, ObservationKind, StepState
from plans.model import Gate
from tests.workflows.conftest import Incident
from tests.workflows.fakes import Script
from tests.workflows.plans import ASKS, a_plan, a_step
from tests.workflows.test_pod_path import step

Start = Callable[..., Awaitable[Incident]]

QUARANTINE = a_step("pod.quarantine", Gate.CONTAIN, proves=True)
COLLECT = a_step("pod.collect")
RECREATE = a_step("pod.recreate_account", Gate.CREDENTIALS, ASKS)
DELETE = a_step("pod.delete", Gate.ERADICATE, ASKS)
OF_IMAGE = (a_step("image.quarantine", Gate.CONTAIN), a_step("image.delete_pods", Gate.ERADICATE, ASKS))


async def with_pods_of_an_image_left(start: Start, slow: asyncio.Event) -> Incident:
    """The pods of the finding are gone, those of its image are not yet."""
    plan = a_plan(QUARANTINE, COLLECT, RECREATE, DELETE, *OF_IMAGE)
    incident = await start(Script(plan=plan, gate={"image.delete_pods": slow}))
    await incident.decide("credentials")
    await incident.until(lambda v: step(v, RECREATE.step) is StepState.DONE)
    await incident.decide("eradicate")
    await incident.until(lambda v: step(v, DELETE.step) is StepState.DONE)
    assert incident.script.did().count(RECREATE.step) == 1
    return incident


async def test_a_path_that_ends_as_it_reports_is_still_told_to_the_one_that_waits_for_it(start: Start) -> None:
    slow = asyncio.Event()
    incident = await with_pods_of_an_image_left(start, slow)
    image = incident.path("image")
    async with incident.held(WorkflowName.REMEDIATE_FINDING, incident.handle):
        slow.set()
        async with asyncio.timeout(10):
            while (await image.describe()).status is not WorkflowExecutionStatus.COMPLETED:
                await asyncio.sleep(0.01)
    assert (await incident.result()).state is IncidentState.REMEDIATED
    assert [r.again for r in incident.script.called(ActivityName.RECREATE_ACCOUNT)] == [False, True]


async def test_news_that_were_overtaken_do_not_replace_newer_ones(start: Start) -> None:
    incident = await with_pods_of_an_image_left(start, asyncio.Event())
    pod = incident.path("pod")
    async with incident.held(WorkflowName.REMEDIATE_PODS, pod):
        ended = {"image.delete_pods": StepState.DONE}
        await pod.signal(Handler.STEPS_ENDED, StepsEnded(steps=ended, number=1000))
        await pod.signal(Handler.STEPS_ENDED, StepsEnded(number=999))
    async with asyncio.timeout(10):
        while incident.script.did().count(RECREATE.step) < 2:
            await asyncio.sleep(0.01)


async def test_what_asks_to_look_again_while_pods_are_deleted_does_not_isolate_them_anew(start: Start) -> None:
    """Else a policy is made while containment's own changes are taken away, and stays behind."""
    deleting = asyncio.Event()
    incident = await start(Script(plan=a_plan(QUARANTINE, COLLECT, DELETE), gate={"pod.delete": deleting}))
    await incident.decide("eradicate")
    await incident.until(lambda _: bool(incident.script.called(ActivityName.DELETE_PODS)))
    await incident.handle.signal(Handler.OBSERVE, Observation(kind=ObservationKind.DRIFT, reason="a label is gone"))
    await incident.until(lambda v: any("containment broke" in n for n in v.notes))
    deleting.set()
    view = await incident.result()
    assert (view.state, view.containment) == (IncidentState.REMEDIATED, Containment.VERIFIED)
    order = incident.script.order()
    assert "isolate_pods" not in order[order.index("delete_pods") :]
