"""How far the collections of an open incident are: read from the heartbeats of their activities, which Temporal keeps.

The incident itself does not know: what its workflow was told about every artefact would fill its history. So the paths
whose collection runs are asked for, one call each, and what cannot be read is not said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client
from temporalio.service import RPCError

from cli.text import clean, counted
from contracts.activities import CollectProgress
from contracts.incidents import IncidentView
from contracts.names import ActivityName, path_id
from contracts.states import StepState
from contracts.words import sized
from plans.model import Path

_PATIENCE = timedelta(seconds=3)
_COLLECT = ".collect"
_COLLECTING = (ActivityName.COLLECT_PODS, ActivityName.COLLECT_NODE)
_BAR = 30
_SHORTEST_BAR = 8


@dataclass(frozen=True)
class Collection:
    """A collection that runs."""

    step: str
    progress: CollectProgress

    @property
    def wave(self) -> int:
        """Which of the waves, from 1 on; 0 where an older worker does not say it."""
        waves = self.progress.waves
        return waves.index(self.progress.wave) + 1 if self.progress.wave in waves else 0

    @property
    def total(self) -> int:
        """How many parts there will be; 0 where that is not known."""
        return self.progress.nodes or (self.progress.pods or 0) * len(self.progress.waves)

    @property
    def targets(self) -> str:
        """How many pods of this wave, or nodes, are over."""
        p = self.progress
        if p.nodes is not None:
            return f"{p.parts or 0:,} of {counted(p.nodes, 'node')}"
        if p.pods is None:
            return ""
        if not self.wave or p.parts is None:
            return counted(p.pods, "pod")
        over = min(max(p.parts - p.pods * (self.wave - 1), 0), p.pods)
        return f"{over:,} of {p.pods:,} {'pod' if p.pods == 1 else 'pods'}"

    @property
    def where(self) -> str:
        """`wave 2 of 3 · 120 of 200 pods`."""
        wave = f"wave {self.wave} of {len(self.progress.waves)}" if self.wave else ""
        return " · ".join(words for words in (wave, self.targets) if words)

    @property
    def brought(self) -> str:
        """`1,340 artefacts, 12.3 MB, 3 failed`."""
        p = self.progress
        if p.artefacts is None or p.bytes is None:
            return ""
        words = f"{p.artefacts:,} artefact{'' if p.artefacts == 1 else 's'}, {sized(p.bytes)}"
        return f"{words}, {p.failures:,} failed" if p.failures else words

    @property
    def words(self) -> str:
        """Both in one line."""
        return " · ".join(words for words in (self.where, self.brought) if words)


async def read_collections(client: Client, view: IncidentView) -> tuple[Collection, ...]:
    """The collections that run and have said something, in the order of the steps."""
    running = [s.step for s in view.steps if s.state is StepState.RUNNING and s.step.endswith(_COLLECT)]
    steps = [s for s in running if s.removesuffix(_COLLECT) in set(Path)]
    found = await asyncio.gather(*(_read(client, view.incident, step) for step in steps))
    return tuple(Collection(step, said) for step, said in zip(steps, found, strict=True) if said is not None)


def bar_row(collection: Collection, width: int) -> Table | Text:
    """One line below a step: a bar where the whole is known, and what was brought in."""
    brought = Text(collection.brought, "cyan", no_wrap=True, overflow="ellipsis")
    # The numbers are what is read; the bar takes what they leave.
    room = min(_BAR, width - len(brought) - 6)
    if not collection.total or collection.progress.parts is None or room < _SHORTEST_BAR:
        return Text("    ").append_text(brought)
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(min_width=2)
    row.add_column(min_width=room)
    row.add_column(no_wrap=True)
    done = min(collection.progress.parts, collection.total)
    row.add_row("", ProgressBar(total=collection.total, completed=done, width=room), brought)
    return row


def of_step(collections: Sequence[Collection], step: str) -> Collection | None:
    """The collection of a step, if it runs."""
    return next((c for c in collections if c.step == step), None)


def running_words(collections: Sequence[Collection], step: str) -> str:
    """A running step by name, with how far its collection is."""
    found = of_step(collections, step)
    return clean(step, 60) + (f" ({found.words})" if found and found.words else "")


async def _read(client: Client, incident: str, step: str) -> CollectProgress | None:
    path = client.get_workflow_handle(path_id(incident, step.removesuffix(_COLLECT)))
    try:
        described = await path.describe(rpc_timeout=_PATIENCE)
        for activity in described.raw_description.pending_activities:
            if activity.activity_type.name in _COLLECTING:
                return await _said(client, activity)
    except (RPCError, ValueError, LookupError, RuntimeError, TypeError):
        # Beside an incident that could be read this is only good to know. A heartbeat may be in a form, or under a
        # key, that this command cannot read.
        return None
    return None


async def _said(client: Client, activity: PendingActivityInfo) -> CollectProgress | None:
    payloads = activity.heartbeat_details.payloads
    if not payloads:
        return None
    said: list[CollectProgress] = await client.data_converter.decode(payloads, [CollectProgress])
    return said[0]
