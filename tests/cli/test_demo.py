"""The main job end to end, as a person starts it, on a stack of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.demo_compare import differences
from tests.cli.conftest import Firebreak

ROOT = Path(__file__).parents[2]


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.usefixtures("clean_environment")
def test_the_demo_ends_with_a_report_verified_evidence_and_the_cluster_as_it_was(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "starter.py"), "demo", "--approve", "auto", "--json"],
        env={**os.environ, "FIREBREAK_STATE_DIR": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=280,
        check=False,
    )
    said = ran.stderr.decode()
    assert ran.returncode == 0, said[-3_000:]
    document = json.loads(ran.stdout)
    assert document["state"] == "Remediated"
    assert document["evidence_verified"] is True
    assert document["differences_after_release"] == []
    assert Path(document["report"]).stat().st_size > 1_000
    for part in ("rewritten to mean", "severity    5 -> 8", "in the Temporal UI: http://", "contained and verified"):
        assert part in said
    assert list((tmp_path / "stacks").glob("*/pids")) == []


@pytest.mark.usefixtures("clean_environment")
async def test_asking_needs_a_terminal(firebreak: Firebreak) -> None:
    for arguments, field in ((["--approve", "maybe"], "--approve"), ([], "--approve")):
        ran = await firebreak("demo", *arguments, "--json")
        assert (ran.code, ran.error["field"]) == (2, field)


def test_differences_name_object_and_field() -> None:
    before = {"Pod a": {"metadata": {"labels": {"x": "1"}}}, "Pod b": {}}
    after = {"Pod a": {"metadata": {"labels": {"x": "2"}}}, "Pod c": {}}
    assert differences(before, after) == ["Pod b is gone", "Pod c is new", "Pod a: metadata.labels.x differs"]
    assert differences(before, before) == []
