"""The order of the house, where import-linter does not reach, and the registration of everything that has a name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from temporalio import activity, workflow

from activities.registry import ROOMS
from activities.steps import StepRoom
from contracts.names import ActivityName, WorkflowName
from contracts.steps import VERBS
from contracts.timing import TIMINGS
from workflows.registry import WORKFLOWS

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "errors.py": set(),
    "logs.py": set(),
    "settings.py": {"errors"},
    "worker.py": {"activities", "contracts", "settings", "workflows"},
    "starter.py": {"cli"},
}
"""What the single modules at the top level may import of the project."""
OWN = {
    "activities", "bench", "cli", "clients", "contracts", "devstack", "errors", "evidence", "findings", "intake",
    "logs", "plans", "settings", "starter", "tests", "worker", "workflows",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & OWN


def test_top_level_modules_import_only_what_is_behind_them() -> None:
    for name, allowed in ALLOWED.items():
        assert imported(ROOT / name) <= allowed, name


def test_only_top_level_rooms_know_the_settings() -> None:
    for room in ("findings", "plans", "contracts", "workflows", "clients", "evidence"):
        for path in (ROOT / room).rglob("*.py"):
            assert "settings" not in imported(path), path


def test_the_worker_is_wiring() -> None:
    assert len((ROOT / "worker.py").read_text().splitlines()) <= 80, "what grows here belongs into a room"


def test_every_activity_has_exactly_one_implementation_and_one_row_of_timing() -> None:
    found = [
        definition.name
        for room in ROOMS
        for name in dir(room)
        if callable(member := getattr(room, name)) and (definition := activity._Definition.from_callable(member))
    ]
    assert sorted(str(n) for n in found) == sorted(a.value for a in ActivityName)
    assert set(TIMINGS) == set(ActivityName)


def test_every_activity_that_a_workflow_names_is_registered() -> None:
    named = {
        name
        for path in (ROOT / "workflows").glob("*.py")
        for name in re.findall(r"ActivityName\.([A-Z_]+)", path.read_text())
    } | {verb.name for verb in VERBS.values()}
    assert named == set(ActivityName.__members__), (
        "an activity that no workflow calls is dead, an unknown one would hang"
    )


def test_every_step_is_planned_by_exactly_one_room() -> None:
    rooms = [room for room in ROOMS if issubclass(room, StepRoom)]
    # Which steps a room plans needs no doors, and no worker runs here.
    planned = [step for room in rooms for step in room.planners(object.__new__(room))]
    assert sorted(planned) == sorted(VERBS)


def test_every_workflow_name_has_a_workflow() -> None:
    found = [workflow._Definition.must_from_class(w).name for w in WORKFLOWS]
    assert sorted(str(n) for n in found) == sorted(w.value for w in WorkflowName)
