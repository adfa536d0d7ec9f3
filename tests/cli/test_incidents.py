import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client

from contracts.incidents import Decision
from contracts.names import incident_id
from tests.cli.conftest import ACCOUNT, REGION, Firebreak, Write, detail, working
from tests.cli.fake_incident import DIGEST

pytestmark = [pytest.mark.usefixtures("installation")]


def workflow_id(made: dict[str, Any]) -> str:
    return incident_id(ACCOUNT, REGION, made["id"])


class TestStart:
    async def test_says_how_to_go_on(self, firebreak: Firebreak, write: Write) -> None:
        made = detail()
        ran = await firebreak("start", write(made))
        assert ran.code == 0
        assert workflow_id(made) in ran.out
        assert f"firebreak show {made['id']}" in ran.out

    async def test_two_at_once_are_one_incident(self, firebreak: Firebreak, write: Write, client: Client) -> None:
        made = detail()
        file = write([made, made])
        ran = await firebreak("start", file, "--json")
        assert sorted(d["outcome"] for d in ran.json) == ["attached", "started"]
        assert len({d["run_id"] for d in ran.json}) == 1
        assert len({d["incident"] for d in ran.json}) == 1

    async def test_a_single_finding_is_an_object_and_a_list_an_array(self, firebreak: Firebreak, write: Write) -> None:
        assert isinstance((await firebreak("start", write(detail()), "--json")).json, dict)
        assert isinstance((await firebreak("start", write([detail()]), "--json")).json, list)

    @pytest.mark.usefixtures("worker")
    async def test_waits_for_the_end(self, firebreak: Firebreak, write: Write) -> None:
        made = detail("auto")
        ran = await firebreak("start", write(made), "--wait", "--json")
        assert ran.code == 0
        document = ran.json
        assert document["state"] == "Remediated"
        assert document["open"] is False
        assert document["source"] == "result"
        assert document["targets"]["pods"] == [
            {"namespace": "shop", "name": "checkout-1", "uid": "uid-1", "node": "node-1"}
        ]
        assert document["changes"] == [
            {"step": "pod.quarantine", "resource": "Pod shop/checkout-1", "summary": "quarantined", "undone": False}
        ]
        assert set(document["evidence"]) == {"store", "artefacts", "manifest_sha256"}

    @pytest.mark.usefixtures("worker")
    async def test_waits_for_approval_until_the_deadline(self, firebreak: Firebreak, write: Write) -> None:
        ran = await firebreak("start", write(detail()), "--wait", "--timeout", "1", "--json")
        assert ran.code == 3
        assert ran.json["gates"][0]["state"] == "waiting"

    @pytest.mark.usefixtures("worker")
    async def test_an_expired_gate_ends_the_wait(self, firebreak: Firebreak, write: Write) -> None:
        assert (await firebreak("start", write(detail("expired")), "--wait")).code == 4

    @pytest.mark.usefixtures("worker")
    async def test_a_denial_ends_the_wait(self, firebreak: Firebreak, write: Write) -> None:
        made = detail()
        file = write(made)
        await firebreak("start", file)
        await firebreak("deny", workflow_id(made), "--reason", "false alarm")
        ran = await firebreak("start", file, "--wait", "--json")
        assert ran.code == 4
        assert ran.json["outcome"] == "attached"

    @pytest.mark.usefixtures("worker")
    async def test_the_worst_code_of_several(self, firebreak: Firebreak, write: Write) -> None:
        ran = await firebreak("start", write([detail("auto"), detail()]), "--wait", "--timeout", "1", "--json")
        assert ran.code == 3
        assert [d["state"] for d in ran.json] == ["Remediated", "AwaitingApproval"]

    async def test_without_a_worker_the_deadline_is_a_failure(self, firebreak: Firebreak, write: Write) -> None:
        ran = await firebreak("start", write(detail()), "--wait", "--timeout", "1", "--json")
        assert ran.code == 1
        assert ran.json["source"] == "visibility"
        assert "no worker" in ran.err

    async def test_a_timeout_needs_wait(self, firebreak: Firebreak, write: Write) -> None:
        ran = await firebreak("start", write(detail()), "--timeout", "5", "--json")
        assert (ran.code, ran.error["field"]) == (2, "--timeout")


class TestShow:
    @pytest.mark.usefixtures("worker")
    async def test_prints_the_commands_that_approve(self, firebreak: Firebreak, write: Write) -> None:
        made = detail()
        await firebreak("start", write(made))
        ran = await firebreak("show", workflow_id(made))
        assert ran.code == 0
        assert f'firebreak approve {made["id"]} eradicate --reason "WHY" --image REPOSITORY@sha256:DIGEST' in ran.out
        line = next(row for row in ran.out.splitlines() if "temporal workflow signal" in row)
        for part in (
            workflow_id(made),
            '"nonce": "nonce-eradicate"',
            '"digest": "sha256:',
            '"expires"',
            "--name approve",
        ):
            assert part in line
        assert "212 ms later" in ran.out
        assert all(len(row) <= 100 for row in ran.out.splitlines() if "temporal" not in row and "approve" not in row)

    async def test_says_what_temporal_knows_when_no_worker_answers(self, firebreak: Firebreak, write: Write) -> None:
        made = detail("[bold]x[/bold] \x1b[31m<img>")
        await firebreak("start", write(made))
        ran = await firebreak("show", workflow_id(made))
        assert ran.code == 0
        assert "no worker answered" in ran.out
        assert made["type"] in ran.out
        assert "\x1b" not in ran.out
        document = (await firebreak("show", workflow_id(made), "--json")).json
        assert document["source"] == "visibility"
        assert document["state"] == "Assessing"
        assert document["containment"] is None

    @pytest.mark.usefixtures("worker")
    async def test_finds_by_finding_id_and_by_its_beginning(self, firebreak: Firebreak, write: Write) -> None:
        made = detail()
        await firebreak("start", write(made))
        for text in (made["id"], made["id"][:12]):
            assert (await firebreak("show", text, "--json")).json["incident"] == workflow_id(made)

    async def test_an_ambiguous_beginning_lists_the_candidates(self, firebreak: Firebreak, write: Write) -> None:
        prefix = f"ambiguous{datetime.now(UTC):%H%M%S%f}"
        first, second = detail(id_=f"{prefix}-1"), detail(id_=f"{prefix}-2")
        await firebreak("start", write([first, second]))
        async with asyncio.timeout(10):
            while len((ran := await firebreak("show", prefix, "--json")).error["found"]) < 100:
                await asyncio.sleep(0.1)
        assert ran.code == 2
        assert workflow_id(first) in ran.error["found"]
        assert workflow_id(second) in ran.error["found"]

    @pytest.mark.parametrize("text", ["nothing-like-this", "gd/1/2/3", "' OR 1=1", "../../etc", "\x1b[31m", ""])
    async def test_an_id_that_means_nothing(self, firebreak: Firebreak, text: str) -> None:
        ran = await firebreak("show", "--json", "--", text)
        assert (ran.code, ran.error["field"]) == (2, "ID")
        assert "\x1b" not in ran.out


class TestList:
    async def test_the_newest_first(self, firebreak: Firebreak, write: Write) -> None:
        made = detail()
        await firebreak("start", write(made))
        async with asyncio.timeout(10):
            while True:
                found = (await firebreak("list", "--json", "--limit", "1")).json["incidents"]
                if found and found[0]["finding_id"] == made["id"]:
                    break
                await asyncio.sleep(0.1)
        assert found[0]["severity"] == 8.0
        assert found[0]["open"] is True
        ran = await firebreak("list")
        assert made["id"] in ran.out


class TestWatch:
    async def test_one_document_a_change(self, firebreak: Firebreak, write: Write, client: Client) -> None:
        made = detail()
        async with working(client):
            await firebreak("start", write(made))
            approving = asyncio.create_task(_approve_soon(client, workflow_id(made)))
            ran = await firebreak("watch", workflow_id(made), "--json")
            await approving
        documents = [json.loads(line) for line in ran.out.splitlines()]
        assert documents[0]["state"] == "AwaitingApproval"
        assert documents[-1]["state"] == "Remediated"
        assert documents[-1]["open"] is False
        assert len(documents) <= 4


async def _approve_soon(client: Client, incident: str) -> None:
    await asyncio.sleep(1)
    decision = Decision(
        incident=incident,
        gate="eradicate",
        digest=DIGEST,
        nonce="nonce-eradicate",
        decision="approve",
        by="a",
        reason="b",
        expires=datetime.now(UTC) + timedelta(minutes=1),
    )
    await client.get_workflow_handle(incident).signal("approve", decision)
