"""The demo as a person starts it: the main job on a stack of its own, the other paths on one that runs already."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.demo.compare import differences
from cli.demo.run import SCENES
from tests.cli.conftest import Firebreak

ROOT = Path(__file__).parents[2]
CHANGED = {
    "configuration": {"ClusterRoleBinding"},
    "user": {"access entry", "aws-auth", "ClusterRoleBinding", "access key"},
    "image": {"namespace demo-web", "namespace demo-batch", "a new pod with it"},
    "node": {"node", "protected from termination", "protected from scale-in", "security groups"},
}
"""By path: what containment must have changed, and release put back. A name of the demo's own may follow."""
GONE = {
    "user": {"access key": "deleted"},
    "image": {"ECR": "deleted", "namespace demo-batch": "runs the fixed image, 0 of 1 cut off"},
    "node": {"node": "gone", "instance": "terminated", "the workload beside": "runs on another node"},
}
"""By path: what the approvals must have led to."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """Every scene, played once on a stack of its own: the documents, what was said, and the state folder."""
    folder = tmp_path_factory.mktemp("demo")
    ran = subprocess.run(
        [sys.executable, str(ROOT / "starter.py"), "demo", "--path", "all", "--approve", "auto", "--json"],
        env={**foreign_environment(), "FIREBREAK_STATE_DIR": str(folder), "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=580,
        check=False,
    )
    said = ran.stderr.decode()
    assert ran.returncode == 0, said[-3_000:] + ran.stdout.decode()[-2_000:]
    return json.loads(ran.stdout)["paths"], said, folder


def foreign_environment() -> dict[str, str]:
    """This process's environment without what would lead the demo to another installation."""
    ours = ("FIREBREAK_", "TEMPORAL_", "AWS_", "KUBECONFIG")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_ends_with_a_report_verified_evidence_and_the_cluster_as_it_was(
    played: tuple[dict[str, Any], str, Path],
) -> None:
    documents, said, folder = played
    assert sorted(documents) == sorted(SCENES)
    document = documents["pod"]
    assert document["state"] == "Remediated"
    assert document["evidence_verified"] is True
    assert document["differences_after_release"] == []
    assert Path(document["report"]).stat().st_size > 1_000
    # The command that the finding tells of stands in the audit log, and so in the evidence.
    (audited,) = Path(document["report"]).parent.glob("incidents/*/*/audit/pods-*.jsonl")
    assert json.loads(audited.read_text())["objectRef"]["subresource"] == "exec"
    for part in ("rewritten to mean", "severity    5 -> 8", "in the Temporal UI: http://", "contained and verified"):
        assert part in said
    assert list((folder / "stacks").glob("*/pids")) == []


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", sorted(CHANGED))
def test_a_scene_contains_repairs_and_a_release_puts_everything_back(
    path: str, played: tuple[dict[str, Any], str, Path]
) -> None:
    documents, said, _ = played
    document = documents[path]
    states = document["states"]
    changed = {
        n.partition(" demo-everybody")[0] for n in states["before"] if states["contained"][n] != states["before"][n]
    }
    assert changed == CHANGED[path], states
    assert {name: states["end"][name] for name in GONE.get(path, {})} == GONE.get(path, {})
    assert (document["ok"], document["state"], document["containment"]) == (True, "Remediated", "verified")
    assert document["differences_after_release"] == []
    assert Path(document["report"]).stat().st_size > 1_000
    assert said.count(f"Path {path}, ") == 4


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
