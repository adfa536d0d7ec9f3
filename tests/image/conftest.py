"""Fixtures of the image room: doors to the embedded cluster and account, and steps run as a worker would."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from activities.changes.engine import Engine
from activities.doors import Doors
from activities.steps import PlanningActivities, StepRoom
from clients.aws import Aws
from clients.kubernetes import Kubernetes
from contracts.steps import StepOutcome, StepPlan, StepRequest
from evidence.store import open_store
from findings.model import Finding
from plans.model import Gate, Step, Target, TargetKind, Verdict
from plans.model import Path as PlanPath
from settings import Settings
from tests.assess.conftest import admin_door, aws, door, settings
from tests.isolation.support import incident, run

__all__ = ["admin_door", "aws", "door", "settings"]


@pytest.fixture
def doors(settings: Settings, door: Kubernetes, aws: Aws, tmp_path: Path) -> Doors:
    """Firebreak's doors, with a folder for evidence."""

    class Identified:
        identity = "tests"

    return Doors(
        settings=settings,
        kubernetes=door,
        bindings=door,
        aws=aws,
        store=open_store(str(tmp_path / "evidence")),
        temporal=cast(Any, Identified()),
    )


@pytest.fixture
def request_for(settings: Settings) -> Callable[..., StepRequest]:
    """A request for a step on images."""

    def make(name: str, *images: str, of: str = "image", gate: Gate | None = Gate.ERADICATE) -> StepRequest:
        step = Step(
            step=name,
            path=PlanPath.IMAGE,
            action=name.partition(".")[2],
            targets=tuple(Target(kind=TargetKind.IMAGE, name=i) for i in images),
            target_count=len(images),
            gate=gate,
            decision=Verdict.AUTO,
            reason="",
            undo="",
        )
        finding = Finding(id="f", type="T", severity=8, account=settings.account, region=settings.region)
        return StepRequest(incident=incident(of), step=step, finding=finding)

    return make


@pytest.fixture
def plan(doors: Doors) -> Callable[[StepRoom, StepRequest], StepPlan]:
    """What a step would change."""
    return lambda room, request: run(PlanningActivities(room._doors, (room,)).plan_step, request)


@pytest.fixture
def carry_out(plan: Callable[[StepRoom, StepRequest], StepPlan]) -> Callable[..., tuple[StepRequest, StepOutcome]]:
    """Plan a step and make it; returns the request with its changes, for what undoes them."""

    def make(room: StepRoom, verb: Any, request: StepRequest) -> tuple[StepRequest, StepOutcome]:
        planned = plan(room, request)
        assert not planned.blocked, planned
        full = request.model_copy(update={"changes": planned.changes})
        return full, run(verb, full)

    return make


@pytest.fixture
def undo(doors: Doors) -> Callable[[StepRequest], list[str]]:
    """Release: let go of every change, the newest first; returns why any was left."""

    def back(request: StepRequest) -> list[str]:
        engine = Engine(doors)
        kept = [engine.undo(c, request.incident.workflow_id) for c in reversed(request.changes)]
        return [k for k in kept if k]

    return back


def killed_before(doors: Doors, mutations: int) -> Doors:
    """The same doors, of a worker that dies when it is about to change something once more."""
    left = [mutations]

    def before() -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1

    return dataclasses.replace(doors, kubernetes=doors.kubernetes.guarded_by(before), aws=doors.aws.guarded_by(before))
