"""What a repeat of a finding means, against a real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from contracts.names import FINDING_ID, HOT_QUEUE, SEVERITY, STATE, Handler, incident_id
from errors import InputError
from findings.model import Finding
from findings.reader import read_findings
from intake.start import StartResult, check_installation, start_incident
from intake.summary import static_details, static_summary
from settings import Settings
from tests.cli.conftest import detail, server, working

__all__ = ["server"]


@pytest.fixture
def client(server: WorkflowEnvironment) -> Client:
    return server.client


@pytest.fixture
async def worker(client: Client) -> AsyncIterator[None]:
    async with working(client):
        yield


def finding(title: str = "", **more: Any) -> Finding:
    return read_findings(json.dumps(detail(title)))[0].model_copy(update=more)


async def notes(client: Client, incident: str) -> list[str]:
    return list((await client.get_workflow_handle(incident).query(Handler.STATUS.value))["notes"])


class TestWhileItRuns:
    async def test_two_at_once(self, client: Client) -> None:
        one = finding()
        outcomes = await asyncio.gather(*(start_incident(client, one) for _ in range(5)))
        assert sorted(o.result.value for o in outcomes) == ["attached"] * 4 + ["started"]
        assert len({o.run_id for o in outcomes}) == 1

    async def test_what_it_starts_with(self, client: Client) -> None:
        one = finding()
        outcome = await start_incident(client, one, requested_by="ada")
        described = await client.get_workflow_handle(outcome.incident).describe()
        assert outcome.incident == incident_id(one.account, one.region, one.id)
        assert described.task_queue == HOT_QUEUE
        assert described.typed_search_attributes[FINDING_ID] == one.id
        assert described.typed_search_attributes[SEVERITY] == 8.0
        assert described.typed_search_attributes[STATE] == "Assessing"
        assert described.raw_info.priority.priority_key == 2
        assert not described.raw_description.execution_config.workflow_execution_timeout.ToSeconds()
        assert (await described.static_summary() or "").startswith(one.type)
        assert "ada" in (await described.static_details() or "")

    @pytest.mark.usefixtures("worker")
    async def test_a_repeat_within_the_hour_says_nothing(self, client: Client) -> None:
        one = finding()
        await start_incident(client, one)
        assert (await start_incident(client, one)).result is StartResult.ATTACHED

    @pytest.mark.usefixtures("worker")
    async def test_a_repeat_an_hour_later_is_observed_once(self, client: Client) -> None:
        one = finding()
        outcome = await start_incident(client, one)
        # The server's clock cannot be moved, so ours is: the incident has not looked since an hour before `later`.
        later = datetime.now(UTC) + timedelta(minutes=61)
        assert (await start_incident(client, one, now=later)).result is StartResult.OBSERVED
        soon = later - timedelta(minutes=2)
        assert (await start_incident(client, one, now=soon)).result is StartResult.ATTACHED
        assert len(await notes(client, outcome.incident)) == 1

    async def test_without_a_worker_it_is_told_all_the_same(self, client: Client) -> None:
        one = finding()
        await start_incident(client, one)
        later = datetime.now(UTC) + timedelta(minutes=61)
        assert (await start_incident(client, one, now=later)).result is StartResult.OBSERVED

    @pytest.mark.usefixtures("worker")
    @pytest.mark.parametrize("what", ["severity", "targets"])
    async def test_a_change_is_observed_at_once(self, client: Client, what: str) -> None:
        one = finding()
        outcome = await start_incident(client, one)
        assert one.workload is not None
        change = (
            {"severity": 9.1} if what == "severity" else {"workload": one.workload.model_copy(update={"uid": "other"})}
        )
        again = await start_incident(client, one.model_copy(update=change))
        assert again.result is StartResult.OBSERVED
        [note] = await notes(client, outcome.incident)
        assert ("8 became 9.1" if what == "severity" else "it is about") in note


@pytest.mark.usefixtures("worker")
class TestAfterItClosed:
    async def close(self, client: Client, one: Finding) -> str:
        outcome = await start_incident(client, one)
        await client.get_workflow_handle(outcome.incident).result()
        return outcome.incident

    async def test_refused_and_said(self, client: Client) -> None:
        one = finding("auto")
        await self.close(client, one)
        again = await start_incident(client, one)
        assert again.result is StartResult.CLOSED
        assert again.refused
        assert "ended as Remediated" in again.message
        assert again.evidence is not None
        assert again.evidence.store == "memory"

    async def test_seen_again_since_is_a_new_run(self, client: Client) -> None:
        one = finding("auto")
        await self.close(client, one)
        later = one.model_copy(update={"last_seen": datetime.now(UTC) + timedelta(seconds=5)})
        outcomes = await asyncio.gather(*(start_incident(client, later) for _ in range(3)))
        assert StartResult.STARTED in {o.result for o in outcomes}
        started = next(o for o in outcomes if o.result is StartResult.STARTED)
        assert "earlier run ended as Remediated" in started.message

    async def test_a_plan_that_was_only_shown_may_run_again(self, client: Client) -> None:
        one = finding("plan-only")
        await self.close(client, one)
        assert (await start_incident(client, one, act_on_sample=True)).result is StartResult.STARTED

    async def test_terminated_by_hand_is_not_begun_anew(self, client: Client) -> None:
        one = finding()
        outcome = await start_incident(client, one)
        await client.get_workflow_handle(outcome.incident).terminate()
        again = await start_incident(client, one)
        assert again.result is StartResult.CLOSED
        assert "terminated" in again.message


class TestInstallation:
    @pytest.mark.parametrize("field", ["account", "region", "cluster"])
    def test_what_is_named_must_agree(self, field: str) -> None:
        other = {"account": "999999999999", "region": "eu-west-1", "cluster": "theirs"}[field]
        with pytest.raises(InputError) as caught:
            check_installation(finding(), Settings.model_construct().model_copy(update={field: other}))
        assert caught.value.field == field

    def test_a_finding_without_a_cluster_is_left_to_the_assessment(self) -> None:
        check_installation(finding(cluster=None), Settings.model_construct(cluster="ours"))


class TestSummary:
    def test_one_printable_line(self) -> None:
        one = finding(type="x\n\x1b[31m" * 100)
        assert len(static_summary(one)) <= 200
        assert static_summary(one).isprintable()

    def test_details_are_literal_markdown(self) -> None:
        made = detail("# <script>[x](javascript:1) `id`")
        one = read_findings(json.dumps(made))[0]
        details = static_details(one, datetime.now(UTC), "**me**")
        for literal in (r"\# \<script\>\[x\]\(javascript:1\) \`id\`", r"\*\*me\*\*"):
            assert literal in details
