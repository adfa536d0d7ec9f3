"""What only people can do: the incident waits for it, takes one word for it, and takes nothing that is no word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.incidents import IncidentView, ReleaseOrder
from contracts.names import Handler
from contracts.states import IncidentState, StepState
from contracts.steps import StepOutcome, Task, TaskDone
from tests.workflows.conftest import Incident
from tests.workflows.fakes import ALL_BUT_PODS, Script

STEP = "user.rotate_secrets"
ONE, TWO = (Task(id=f"{STEP}-{n}", step=STEP, text=f"Rotate {n}.", owner="shop") for n in ("0a1b2c3d", "4e5f6a7b"))
Start = Callable[..., Any]


def script(*outcomes: StepOutcome) -> Script:
    """An incident whose only step beside those on pods leaves tasks."""
    left: list[StepOutcome | Exception] = [*outcomes] or [
        StepOutcome(complete=True, summary="rotated", tasks=(ONE, TWO))
    ]
    return Script(unbuilt=ALL_BUT_PODS - {STEP}, outcomes={STEP: left})


async def with_tasks(start: Start, left: Script | None = None) -> Incident:
    """An incident that has done all it can, and waits for people."""
    incident: Incident = await start(left or script())
    await incident.decide("credentials")
    await incident.decide()
    await incident.until(lambda v: bool(v.tasks) and all(s.state is StepState.DONE for s in v.steps))
    return incident


async def say(incident: Incident, task: str, by: str = "ada", reason: str = "new password") -> None:
    await incident.handle.signal(Handler.TASK_DONE, TaskDone(task=task, by=by, reason=reason))


def done(view: IncidentView) -> dict[str, str]:
    """Who has done what."""
    return {t.task.id: t.by for t in view.tasks if t.done}


async def test_the_incident_is_remediated_by_the_last_task(start: Start) -> None:
    incident = await with_tasks(start)
    assert (await incident.view()).state is IncidentState.REMEDIATING
    await say(incident, ONE.id)
    view = await incident.until(lambda v: done(v) == {ONE.id: "ada"})
    assert view.state is IncidentState.REMEDIATING
    await say(incident, TWO.id, by="eve")
    ended = await incident.result()
    assert ended.state is IncidentState.REMEDIATED
    assert done(ended) == {ONE.id: "ada", TWO.id: "eve"}
    assert [(t.reason, t.at is not None) for t in ended.tasks] == [("new password", True)] * 2


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (TaskDone(task="user.rotate_secrets-ffffffff", by="ada", reason="x"), "is not one of this incident's"),
        (TaskDone(task="", by="ada", reason="x"), "is not one of this incident's"),
        (TaskDone(task=ONE.id, by="ada", reason="  "), "stays open"),
        (TaskDone(task=ONE.id, by=" ", reason="x"), "stays open"),
        ({"task": 7}, "not understood"),
        ("done", "not understood"),
    ],
)
async def test_what_names_no_task_no_person_or_no_reason_is_noted_and_counts_for_nothing(
    start: Start, message: object, said: str
) -> None:
    incident = await with_tasks(start)
    await incident.handle.signal(Handler.TASK_DONE, message)
    view = await incident.until(lambda v: any(said in n for n in v.notes))
    assert done(view) == {}
    assert view.state is IncidentState.REMEDIATING


async def test_the_first_word_stands(start: Start) -> None:
    incident = await with_tasks(start)
    await say(incident, ONE.id, by="ada", reason="first")
    await say(incident, ONE.id, by="eve", reason="second")
    view = await incident.until(lambda v: any("done already by ada" in n for n in v.notes))
    assert [(t.by, t.reason) for t in view.tasks if t.done] == [("ada", "first")]


async def test_a_task_stays_done_when_its_step_is_carried_out_again(start: Start) -> None:
    failed = StepOutcome(complete=False, summary="half of it", tasks=(ONE,))
    complete = StepOutcome(complete=True, summary="all", tasks=(ONE, TWO))
    incident: Incident = await start(script(failed, complete))
    await incident.decide("credentials")
    # What a step that failed leaves to people is theirs already.
    await incident.until(lambda v: [t.task.id for t in v.tasks] == [ONE.id])
    await say(incident, ONE.id)
    await incident.until(lambda v: done(v) == {ONE.id: "ada"})
    await incident.decide("credentials")
    view = await incident.until(lambda v: len(v.tasks) == 2)
    assert done(view) == {ONE.id: "ada"}


async def test_release_does_not_wait_for_people(start: Start) -> None:
    incident = await with_tasks(start)
    await incident.handle.signal(Handler.RELEASE, ReleaseOrder(by="ada", reason="false alarm"))
    assert (await incident.result()).state is IncidentState.RELEASED
