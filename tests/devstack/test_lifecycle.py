"""up, down and what happens between them, with real processes."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from devstack.aws.prepare import put_findings
from devstack.bring_up import PROCESSES
from devstack.kube import KubeApi
from devstack.processes import poll
from devstack.stack import StackInfo, down, info, start_process, stop_process, up
from errors import InputError

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State of its own, so that 'nothing is left' can be said of the whole folder."""
    monkeypatch.setenv("FIREBREAK_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def started(home: Path) -> Iterator[Callable[..., StackInfo]]:
    names: list[str] = []

    def start(name: str, nodes: int) -> StackInfo:
        names.append(name)
        return up(name, nodes=nodes)

    yield start
    for name in names:
        down(name)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every running process whose command line or log lies in this test's state folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            stdout = os.readlink(f"/proc/{process.pid}/fd/1") if sys.platform == "linux" else ""
            if process.status() != psutil.STATUS_ZOMBIE and any(str(home) in text for text in (*words, stdout)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def node_names(info: StackInfo) -> list[str]:
    items = KubeApi.from_kubeconfig(info.kubeconfig_admin).request("GET", "/api/v1/nodes")["items"]
    return sorted(item["metadata"]["name"] for item in items)


def test_up_is_idempotent_and_down_leaves_nothing(home: Path) -> None:
    lines: list[str] = []
    first = up("one", nodes=2, progress=lines.append)
    assert set(first.processes) == set(PROCESSES)
    assert len(processes_of(home)) == len(PROCESSES)
    assert up("one", nodes=2) == first == info("one")
    with pytest.raises(InputError, match="nodes"):
        up("one", nodes=3)
    assert node_names(first) == ["node-0", "node-1"]
    assert any("API server" in line for line in lines)

    assert down("one") is True
    assert processes_of(home) == []
    assert list((home / "stacks").iterdir()) == []
    assert info("one") is None
    assert down("one") is False


def test_two_stacks_live_side_by_side(started: Callable[..., StackInfo], home: Path) -> None:
    one, two = started("one", nodes=1), started("two", nodes=2)
    assert not set(one.processes.values()) & set(two.processes.values())
    assert (len(node_names(one)), len(node_names(two))) == (1, 2)
    down("one")
    assert len(node_names(two)) == 2

    # The stand-in forgets everything when it ends, but what `up` made comes back under the same identifiers.
    stop_process("two", "aws")
    start_process("two", "aws")
    assert put_findings(two.aws_endpoint, region=two.region, detector_id=two.detector_id, findings=[])["stored"] == []
    again = info("two")
    assert again is not None
    assert again.environment() == two.environment()
    assert len(processes_of(home)) == len(PROCESSES)


def test_a_partly_dead_stack_is_started_anew(started: Callable[..., StackInfo], home: Path) -> None:
    before = started("one", nodes=1)
    psutil.Process(before.processes["etcd"]).kill()
    poll("dead etcd", lambda: info("one") is None, 10)

    after = started("one", nodes=1)
    assert node_names(after) == ["node-0"]
    assert not set(before.processes.values()) & set(after.processes.values())
    assert len(processes_of(home)) == len(PROCESSES)


def test_a_start_that_was_killed_is_cleaned_up(started: Callable[..., StackInfo], home: Path) -> None:
    script = "from devstack.stack import up; up('one', nodes=1)"
    starter = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    poll("a first process", lambda: any((home / "stacks" / "one" / "pids").glob("[!.]*.json")), 30)
    starter.send_signal(signal.SIGKILL)
    starter.wait()

    assert info("one") is None
    assert node_names(started("one", nodes=1)) == ["node-0"]
    assert len(processes_of(home)) == len(PROCESSES)


def test_a_failed_start_says_why_and_leaves_no_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = home / "tools"
    tools.mkdir()
    from devstack.tools import ensure_tools

    for program, path in ensure_tools().items():
        (tools / program).symlink_to(path)
    (tools / "kube-apiserver").unlink()
    (tools / "kube-apiserver").write_text("#!/bin/sh\necho the reason stands here >&2\nexit 3\n")
    (tools / "kube-apiserver").chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tools))

    with pytest.raises(Exception, match=r"kube-apiserver ended before .*the reason stands here"):
        up("one", nodes=1)
    assert processes_of(home) == []
    assert down("one") is True


def test_a_recycled_pid_is_not_killed(started: Callable[..., StackInfo], home: Path) -> None:
    running = started("one", nodes=1)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        # As after a reboot: the record's pid belongs to somebody else now.
        record = running.state_dir / "pids" / "kwok.json"
        content = json.loads(record.read_text())
        psutil.Process(content["pid"]).kill()
        # The bystander began when this test did; a record of before the reboot is older than any process of after it.
        earlier = content["started"] - 60
        record.write_text(json.dumps({"pid": bystander.pid, "started": earlier}))
        assert info("one") is None
        down("one")
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n")


def test_one_process_is_stopped_and_comes_back(stack: StackInfo, admin: KubeApi, namespace: str) -> None:
    stop_process(stack.name, "kube-apiserver")
    assert not admin.exists("/readyz")
    assert info(stack.name) is None
    start_process(stack.name, "kube-apiserver")
    assert admin.exists(f"/api/v1/namespaces/{namespace}"), "the data is still there"
    again = info(stack.name)
    assert again is not None
    assert again.environment() == stack.environment()

    with pytest.raises(InputError, match="process"):
        stop_process(stack.name, "kubelet")
    with pytest.raises(InputError, match="name"):
        stop_process(f"no-{secrets.token_hex(4)}", "etcd")
