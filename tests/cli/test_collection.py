"""How far a collection is: read from the heartbeat of its activity, and told in lines, in a bar and in JSON."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from cli.collection import Collection
from cli.reading import Reading, Source
from cli.screen import incident_screen
from cli.view import incident_document
from cli.watching import progress_line
from contracts.activities import CollectProgress
from contracts.incidents import IncidentView, StepStatus
from contracts.names import incident_id, path_id
from contracts.states import IncidentState, StepState
from contracts.words import sized
from tests.cli.conftest import ACCOUNT, REGION, Firebreak, Write, detail, working
from tests.cli.fake_path import QUEUE, FakePath, HeldCollection
from tests.cli.test_live_screen import BRIEF, VIEW, drawn
from workflows.sandbox import workflow_runner

WAVES = ("NODE", "VOLATILE", "LASTING")
PROGRESS = CollectProgress(
    wave="VOLATILE", waves=WAVES, pods=200, parts=320, artefacts=1340, bytes=12_345_678, failures=3
)
LINE = "wave 2 of 3 · 120 of 200 pods · 1,340 artefacts, 12.3 MB, 3 failed"


def reading(*progress: CollectProgress, step: str = "pod.collect", gates: bool = True) -> Reading:
    steps = tuple(
        StepStatus(step=name, state=StepState.RUNNING if name == step else StepState.PLANNED)
        for name in dict.fromkeys(("pod.quarantine", "pod.collect", "pod.redeploy", step))
    )
    changed: dict[str, Any] = {"steps": steps, "state": IncidentState.REMEDIATING}
    view: IncidentView = VIEW.model_copy(update=changed if gates else {**changed, "gates": ()})
    return Reading(Source.WORKFLOW, BRIEF, view, collections=tuple(Collection(step, p) for p in progress))


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (PROGRESS, LINE),
        (CollectProgress(), ""),
        # What a worker of before these numbers says.
        (CollectProgress(wave="VOLATILE", pods=200, parts=320), "200 pods"),
        (
            CollectProgress(wave="NODE", waves=WAVES, pods=1, parts=0, artefacts=1, bytes=1, failures=0),
            "wave 1 of 3 · 0 of 1 pod · 1 artefact, 1 byte",
        ),
        # A part too many, as of a wave that a retry has no more: never 201 of 200.
        (CollectProgress(wave="NODE", waves=WAVES, pods=200, parts=999), "wave 1 of 3 · 200 of 200 pods"),
        (
            CollectProgress(nodes=2, parts=1, artefacts=8, bytes=45_600, failures=1),
            "1 of 2 nodes · 8 artefacts, 45.6 kB, 1 failed",
        ),
    ],
)
def test_how_far_it_is_in_words(progress: CollectProgress, words: str) -> None:
    assert Collection("pod.collect", progress).words == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**9, "5.0 GB"),
        (3 * 10**15, "3,000.0 TB"),
    ],
)
def test_sizes(number: int, words: str) -> None:
    assert sized(number) == words


def test_show_says_it_behind_the_step() -> None:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(incident_screen(reading(PROGRESS)))
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    assert f"pod.collect running {LINE} pod.redeploy planned" in text
    assert f"running pod.collect ({LINE})" in progress_line(reading(PROGRESS))
    assert progress_line(reading()).endswith("running pod.collect  waits at credentials, eradicate, terminate")


# 320 of 600 parts, of a bar as long as there is room for.
@pytest.mark.parametrize(("width", "bar"), [(40, ""), (60, "━" * 10 + "╸"), (80, "━" * 16), (100, "━" * 16)])
def test_watch_draws_a_bar_below_the_step(width: int, bar: str) -> None:
    lines = drawn(reading(PROGRESS, gates=False), width, 30)
    assert all(len(line) <= width for line in lines)
    [at] = [n for n, line in enumerate(lines) if "pod.collect" in line and "running" in line]
    assert "wave 2 of 3 · 120 of 200 pods"[: width - 28] in lines[at]
    drawn_bar, _, brought = lines[at + 1].strip().rpartition("  ")
    assert drawn_bar.strip() == bar
    assert brought == "1,340 artefacts, 12.3 MB, 3 failed"
    assert not [line for line in drawn(reading(gates=False), width, 30) if "━" in line]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 30), (100, 20)])
def test_a_bar_never_pushes_a_command_out(width: int, height: int) -> None:
    lines = drawn(reading(PROGRESS), width, height)
    assert len(lines) < height
    without = [line for line in drawn(reading(), width, height) if "firebreak approve" in line]
    assert [line for line in lines if "firebreak approve" in line] == without


def test_without_a_known_whole_there_is_no_bar() -> None:
    old = CollectProgress(wave="VOLATILE", pods=200, parts=320)
    assert not [line for line in drawn(reading(old), 100, 60) if "━" in line]


def test_json_has_every_key_and_null_for_what_is_not_known() -> None:
    documents: Any = [
        incident_document(r)["collection"]
        for r in (
            reading(PROGRESS),
            reading(CollectProgress(nodes=2, parts=1, artefacts=8, bytes=9, failures=0), step="node.collect"),
            reading(CollectProgress(wave="VOLATILE", pods=200, parts=320)),
            reading(),
            Reading(Source.VISIBILITY, BRIEF),
        )
    ]
    assert documents == [
        [
            {
                "step": "pod.collect",
                "wave": "volatile",
                "waves": ["node", "volatile", "lasting"],
                "pods": 200,
                "nodes": None,
                "parts": 320,
                "artefacts": 1340,
                "bytes": 12_345_678,
                "failures": 3,
            }
        ],
        [
            {
                "step": "node.collect",
                "wave": None,
                "waves": [],
                "pods": None,
                "nodes": 2,
                "parts": 1,
                "artefacts": 8,
                "bytes": 9,
                "failures": 0,
            }
        ],
        [
            {
                "step": "pod.collect",
                "wave": "volatile",
                "waves": [],
                "pods": 200,
                "nodes": None,
                "parts": 320,
                "artefacts": None,
                "bytes": None,
                "failures": None,
            }
        ],
        [],
        [],
    ]


# From a heartbeat to the command line


@contextmanager
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([PROGRESS.model_dump(mode="json")], (2, 1340)),
        ([{"wave": "VOLATILE", "pods": 2, "parts": 1}], (None, None)),
        ([{"wave": "VOLATILE", "waves": ["VOLATILE"], "artefacts": 5, "later": "a key of a newer worker"}], (1, 5)),
        (["nothing that this command knows"], None),
        ([{"parts": "many"}], None),
        ([], None),
    ],
)
async def test_the_heartbeat_of_the_path_is_read(
    firebreak: Firebreak, write: Write, client: Client, said: list[Any], expected: tuple[int | None, int | None] | None
) -> None:
    made = detail("collecting")
    incident = incident_id(ACCOUNT, REGION, made["id"])
    held = HeldCollection(*said)
    with executor() as pool:
        paths = Worker(
            client,
            task_queue=QUEUE,
            workflows=[FakePath],
            workflow_runner=workflow_runner(),
            activities=[held.collect_pods],
            activity_executor=pool,
        )
        async with working(client), paths:
            await firebreak("start", write(made))
            # Without the path's workflow there is nothing to be read, and nothing said of that.
            ran = await firebreak("show", incident, "--json")
            assert (ran.code, ran.json["collection"], ran.json["note"], ran.err) == (0, [], "", "")

            path = await client.start_workflow(FakePath.run, id=path_id(incident, "pod"), task_queue=QUEUE)
            await _beat(path, bool(said))
            ran = await firebreak("show", incident, "--json")
            assert (ran.code, ran.err) == (0, "")
            assert {s["step"]: s["state"] for s in ran.json["steps"]}["pod.collect"] == "running"
            if expected is None:
                assert ran.json["collection"] == []
            else:
                [found] = ran.json["collection"]
                number = found["waves"].index(found["wave"]) + 1 if found["waves"] else None
                assert (number, found["artefacts"]) == expected
                assert found["step"] == "pod.collect"
            held.over.set()
            await path.result()
            assert (await firebreak("show", incident, "--json")).json["collection"] == []


async def _beat(path: WorkflowHandle[Any, Any], said: bool) -> None:
    async with asyncio.timeout(20):
        while True:
            pending = (await path.describe()).raw_description.pending_activities
            if pending and (pending[0].heartbeat_details.payloads or not said):
                return
            await asyncio.sleep(0.05)
