"""What incidents have done must be what today's workflows would do: running ones are replayed at every deployment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from contracts.names import ActivityName
from tests.replay.record import HISTORIES, SCENARIOS
from workflows.registry import WORKFLOWS
from workflows.sandbox import workflow_runner

FILES = sorted(HISTORIES.glob("*.json"))


def replayer() -> Replayer:
    return Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=workflow_runner())


def recorded(file: Path) -> WorkflowHistory:
    document = json.loads(file.read_text())
    return WorkflowHistory.from_json(document["workflow_id"], document["history"])


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
async def test_a_recorded_history_replays(file: Path) -> None:
    await replayer().replay_workflow(recorded(file))


def test_every_ending_is_recorded() -> None:
    names = {f.stem for f in FILES}
    assert {f"{name}.incident" for name in SCENARIOS} <= names
    assert {"remediated.pod", "failed-rollout.pod", "denied.pod", "released.pod", "released.release"} <= names
    assert {"several-paths.user", "several-paths.pod", "configuration.configuration"} <= names


async def test_a_history_of_other_commands_is_refused() -> None:
    """The test itself works: the same history with another activity in it does not replay."""
    document = json.loads((HISTORIES / "remediated.pod.json").read_text())
    text = json.dumps(document["history"]).replace(f'"{ActivityName.LIFT_HOLD}"', f'"{ActivityName.DELETE_PODS}"')
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(WorkflowHistory.from_json(document["workflow_id"], text))


def test_no_history_names_a_machine() -> None:
    for file in FILES:
        text = file.read_text()
        assert "/home/" not in text
        assert "site-packages" not in text
