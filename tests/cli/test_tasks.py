"""`task list`, `task done`, and what waits for nothing but people."""

from __future__ import annotations

import pytest
from temporalio.client import Client

from contracts.names import incident_id
from tests.cli.conftest import ACCOUNT, REGION, Firebreak, Write, detail, working
from tests.cli.fake_incident import TASKS
from tests.e2e.incident import eventually_async

pytestmark = [pytest.mark.usefixtures("installation")]

FIRST, SECOND = (t.id for t in TASKS)


async def begin(firebreak: Firebreak, write: Write, title: str = "tasks") -> str:
    made = detail(title)
    assert (await firebreak("start", write(made))).code == 0
    return incident_id(ACCOUNT, REGION, made["id"])


@pytest.mark.usefixtures("worker")
async def test_the_last_task_ends_the_incident_and_who_did_what_is_kept(firebreak: Firebreak, write: Write) -> None:
    incident = await begin(firebreak, write)
    listed = (await firebreak("task", "list", incident, "--json")).json
    assert (listed["incident"], listed["open"]) == (incident, 2)
    assert [t["task"] for t in listed["tasks"]] == [FIRST, SECOND]

    ran = await firebreak("task", "done", incident, FIRST, "--reason", "new password", "--by", "ada", "--json")
    assert ran.code == 0
    assert ran.json == {
        "incident": incident,
        "task": FIRST,
        "accepted": True,
        "queued": False,
        "message": "done; 1 task left",
        "open": 1,
        "state": "Remediating",
    }
    shown = (await firebreak("task", "list", incident, "--json")).json["tasks"]
    assert [(t["task"], t["done"], t["by"], t["reason"]) for t in shown] == [
        (SECOND, False, "", ""),
        (FIRST, True, "ada", "new password"),
    ]

    last = await firebreak("task", "done", incident, SECOND, "--reason", "replaced", "--json")
    assert (last.code, last.json["message"]) == (0, "done; none is left")
    again = await firebreak("task", "done", incident, FIRST, "--reason", "once more", "--json")
    assert (again.code, again.json["accepted"]) == (1, False)
    assert "ada" in again.json["message"]
    assert "@" in (await firebreak("task", "list", incident, "--json")).json["tasks"][1]["by"], "the user, unless said"


@pytest.mark.usefixtures("worker")
async def test_what_is_listed_can_be_copied(firebreak: Firebreak, write: Write) -> None:
    incident = await begin(firebreak, write)
    out = (await firebreak("task", "list", incident)).out
    for task in TASKS:
        assert task.text in out
        assert f"task done {incident.rpartition('/')[2]} {task.id} --reason" in out


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ([FIRST], "--reason"),
        ([FIRST, "--reason", "  "], "--reason"),
        ([FIRST, "--reason", "x" * 501], "--reason"),
        (["user.rotate_secrets-ffffffff", "--reason", "x"], "TASK"),
        (["\x1b[31m", "--reason", "x"], "TASK"),
    ],
)
@pytest.mark.usefixtures("worker")
async def test_bad_input_names_the_field_and_changes_nothing(
    firebreak: Firebreak, write: Write, arguments: list[str], field: str
) -> None:
    incident = await begin(firebreak, write)
    ran = await firebreak("task", "done", incident, *arguments, "--json")
    assert (ran.code, ran.error["field"]) == (2, field)
    assert "\x1b" not in ran.out
    assert (await firebreak("task", "list", incident, "--json")).json["open"] == 2


@pytest.mark.usefixtures("worker")
async def test_waiting_for_people_alone_is_waiting(firebreak: Firebreak, write: Write) -> None:
    ran = await firebreak("start", write(detail("tasks")), "--wait", "--timeout", "1", "--json")
    assert (ran.code, ran.json["state"]) == (3, "Remediating")
    assert "2 tasks of people" in ran.err


async def test_without_a_worker_it_is_queued_and_taken_later(
    firebreak: Firebreak, write: Write, client: Client
) -> None:
    async with working(client):
        incident = await begin(firebreak, write)
    ran = await firebreak("task", "done", incident, FIRST, "--reason", "new password", "--json")
    assert (ran.code, ran.json["accepted"], ran.json["queued"]) == (0, None, True)
    async with working(client):
        # A worker that has just started does not answer yet, and then the list says only what Temporal itself knows.
        async def taken() -> bool:
            return bool((await firebreak("task", "list", incident, "--json")).json.get("open") == 1)

        await eventually_async(taken, "the task is taken as done")
