"""The command line in this process, against a real Temporal server, with a worker of fake incidents when asked for."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sysconfig
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from cli.app import run
from contracts.names import CLUSTER, FINDING_ID, FINDING_TYPE, GATE, HOT_QUEUE, SEVERITY, STATE
from tests.cli.fake_incident import FakeIncident, FakeRelease
from tests.findings import builders
from workflows.sandbox import workflow_runner

ACCOUNT, REGION, CLUSTER_NAME = "123456789012", "us-east-1", "test-cluster"


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    beside = Path(sysconfig.get_path("scripts")) / "temporal"
    binary = str(beside) if beside.exists() else shutil.which("temporal")
    assert binary, "the temporal binary comes with the dev dependencies"
    async with await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=binary,
        search_attributes=[FINDING_ID, FINDING_TYPE, CLUSTER, STATE, GATE, SEVERITY],
    ) as env:
        yield env


@pytest.fixture
def client(server: WorkflowEnvironment) -> Client:
    return server.client


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No installation is configured and no stack runs."""
    for name in list(os.environ):
        if name.startswith(("FIREBREAK_", "TEMPORAL_", "AWS_", "KUBECONFIG")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FIREBREAK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))


@pytest.fixture
def installation(server: WorkflowEnvironment, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.client.service_client.config.target_host)
    monkeypatch.setenv("FIREBREAK_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("FIREBREAK_REGION", REGION)
    monkeypatch.setenv("FIREBREAK_CLUSTER", CLUSTER_NAME)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out.count("\n") == 1, f"not one document: {self.out!r} {self.err!r}"
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        found: dict[str, str] = self.json["error"]
        return found


Firebreak = Callable[..., Awaitable[Ran]]
Write = Callable[[Any], str]


@pytest.fixture
def firebreak(capsys: pytest.CaptureFixture[str]) -> Firebreak:
    async def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = await asyncio.to_thread(run, list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Ran(code, captured.out, captured.err)

    return call


@asynccontextmanager
async def working(client: Client) -> AsyncIterator[None]:
    """A worker that carries fake incidents out."""
    async with Worker(
        client, task_queue=HOT_QUEUE, workflows=[FakeIncident, FakeRelease], workflow_runner=workflow_runner()
    ):
        yield


@pytest.fixture
async def worker(client: Client) -> AsyncIterator[None]:
    async with working(client):
        yield


def detail(title: str = "", **more: Any) -> dict[str, Any]:
    """A finding of this installation, with an id of its own."""
    settings = {"id_": uuid.uuid4().hex, "account": ACCOUNT, "region": REGION, "cluster": CLUSTER_NAME}
    made: dict[str, Any] = builders.detail(**{**settings, **more})
    made["title"] = title or "AwaitingApproval"
    return made


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(content: Any) -> str:
        path = tmp_path / f"{uuid.uuid4().hex}.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)

    return put
