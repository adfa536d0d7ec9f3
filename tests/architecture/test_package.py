"""What people install: the wheel holds every room, every single module and all data that the code reads."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
NEEDED = {
    "errors.py", "logs.py", "settings.py", "starter.py", "worker.py", "deploy/rbac.yaml", "deploy/admission.yaml",
    "deploy/node-view.yaml",
    "devstack/modules/kubernetes/go.sum", "activities/report/report.md.j2", "activities/report/html/page.html.j2",
    "activities/report/html/page.css", "activities/report/html/blast.svg.j2", "findings/catalogue.json",
}  # fmt: skip
NEVER = ("tests/", "bench/", "docs/", ".ci/")


def test_the_wheel_holds_all_that_runs_and_nothing_else(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= NEEDED
    rooms = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert {n.split("/")[0] for n in names if n.endswith("/__init__.py")} >= rooms
    tracked = {p.relative_to(ROOT).as_posix() for room in rooms for p in (ROOT / room).rglob("*.py")}
    assert tracked <= names
    assert [n for n in names if n.startswith(NEVER)] == []
