"""The demo as a person starts it: the main job on a stack of its own, the other paths on one that runs already."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.demo.compare import differences
from cli.demo.run import SCENES
from tests.cli.conftest import Firebreak

ROOT = Path(__file__).parents[2]
SHOWN = {
    "configuration": "ClusterRoleBinding",
}
"""By path: the kind of thing that its containment must have changed, and its release put back."""


def starter(folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """One command as a process of its own; returns its document and what it said."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "starter.py"), *arguments, "--json"],
        env={**os.environ, "FIREBREAK_STATE_DIR": str(folder), "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=280,
        check=False,
    )
    said = ran.stderr.decode()
    assert ran.returncode == 0, said[-3_000:] + ran.stdout.decode()[-2_000:]
    return json.loads(ran.stdout), said


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a stack that runs, which demos find and leave."""
    folder = tmp_path_factory.mktemp("demo")
    try:
        starter(folder, "up")
        yield folder
    finally:
        starter(folder, "down")


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.usefixtures("clean_environment")
def test_the_demo_ends_with_a_report_verified_evidence_and_the_cluster_as_it_was(tmp_path: Path) -> None:
    document, said = starter(tmp_path, "demo", "--approve", "auto")
    assert document["state"] == "Remediated"
    assert document["evidence_verified"] is True
    assert document["differences_after_release"] == []
    assert Path(document["report"]).stat().st_size > 1_000
    for part in ("rewritten to mean", "severity    5 -> 8", "in the Temporal UI: http://", "contained and verified"):
        assert part in said
    assert list((tmp_path / "stacks").glob("*/pids")) == []


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize("path", sorted(set(SCENES) - {"pod"}))
def test_a_scene_contains_repairs_and_a_release_puts_everything_back(path: str, running: Path) -> None:
    document, said = starter(running, "demo", "--path", path, "--approve", "auto")
    states = document["states"]
    changed = {name for name in states["before"] if states["contained"][name] != states["before"][name]}
    assert any(name.startswith(SHOWN[path]) for name in changed), states
    assert document["ok"] is True
    assert document["state"] == "Remediated"
    assert document["containment"] == "verified"
    assert document["differences_after_release"] == []
    assert Path(document["report"]).stat().st_size > 1_000
    assert "made up in the shape of GetFindings" in said
    assert "after the release everything is as it was" in said


@pytest.mark.usefixtures("clean_environment")
async def test_asking_needs_a_terminal(firebreak: Firebreak) -> None:
    for arguments, field in (
        (["--approve", "maybe"], "--approve"),
        ([], "--approve"),
        (["--path", "moon", "--approve", "auto"], "--path"),
    ):
        ran = await firebreak("demo", *arguments, "--json")
        assert (ran.code, ran.error["field"]) == (2, field)


async def test_the_help_names_every_scene(firebreak: Firebreak) -> None:
    shown = (await firebreak("demo", "--help")).out
    assert all(path in shown for path in (*SCENES, "all"))


def test_differences_name_object_and_field() -> None:
    before = {"Pod a": {"metadata": {"labels": {"x": "1"}}}, "Pod b": {}}
    after = {"Pod a": {"metadata": {"labels": {"x": "2"}}}, "Pod c": {}}
    assert differences(before, after) == ["Pod b is gone", "Pod c is new", "Pod a: metadata.labels.x differs"]
    assert differences(before, before) == []
