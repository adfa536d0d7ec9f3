"""What a real node leaves on the host: nothing while it runs but a link and cgroups, and afterwards nothing at all."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
import pytest

from devstack.kube import KubeApi
from devstack.processes import poll
from devstack.real_node import disk, network
from devstack.real_node.pods import demo_pod, run_pod
from devstack.real_node.programs import search_path
from devstack.stack import StackInfo, down, info, up
from devstack.state import StackPaths
from tests.stack.programs import answer

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.real_node]

_NAME = "traces"
# What the kubelet of a usual node sets.
_KERNEL = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
# Where containerd, kubelet and the plugins of a usual node keep things.
_FOLDERS = (
    "/run/containerd",
    "/run/netns",
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/lib/cni",
    "/opt/containerd",
)


@dataclass(frozen=True)
class Host:
    """What of the host a node could change."""

    mounts: frozenset[str]
    links: frozenset[str]
    routes: frozenset[str]
    rules: frozenset[str]
    cgroups: frozenset[str]
    kernel: frozenset[str]
    folders: frozenset[str]

    def added_since(self, before: "Host") -> dict[str, frozenset[str]]:
        """What is here and was not before, by kind; nothing for kinds without any."""
        added = {f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)}
        return {kind: found for kind, found in added.items() if found}


def look() -> Host:
    environment = {**os.environ, "PATH": search_path()}
    rules = [answer(["iptables", "-t", table, "-S"], environment) for table in ("filter", "nat", "mangle")]
    return Host(
        mounts=frozenset(line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        links=frozenset(os.listdir("/sys/class/net")),
        routes=frozenset(answer(["ip", "route"], environment).splitlines()),
        rules=frozenset("\n".join(rules).splitlines()),
        cgroups=frozenset(str(p) for p in Path("/sys/fs/cgroup").glob("**/*firebreak*")),
        kernel=frozenset(f"{name}={(Path('/proc/sys') / name).read_text().strip()}" for name in _KERNEL),
        folders=frozenset(folder for folder in _FOLDERS if Path(folder).exists()),
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """State of its own, on a path too long for the name of a socket."""
    home = tmp_path / ("deep" * 20)
    monkeypatch.setenv("FIREBREAK_STATE_DIR", str(home))
    yield home
    down(_NAME)


def everything_of(stack: StackInfo) -> list[psutil.Process]:
    """The stack's processes with all that run in the node: containerd, shims, containers."""
    roots = [psutil.Process(pid) for pid in stack.processes.values()]
    return roots + [child for root in roots for child in root.children(recursive=True)]


def alive(some: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run; one that ended and that nobody has asked about does not."""
    found = []
    for process in some:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_down_leaves_nothing_behind(home: Path) -> None:
    before = look()
    command = [sys.executable, "-m", "starter"]
    document = json.loads(answer([*command, "up", "--name", _NAME, "--real-node", "--json"]))
    assert document["real_node"] == "real-node"
    stack = info(_NAME)
    assert stack is not None
    run_pod(KubeApi.from_kubeconfig(stack.kubeconfig_admin), "default", demo_pod("shop"))
    running = everything_of(stack)
    assert {"containerd", "kubelet", "containerd-shim"} <= {process.name()[:15] for process in alive(running)}

    # Beside the session's stack, whose node has the same name, plugins and ports.
    paths = StackPaths(_NAME)
    during = look().added_since(before)
    assert set(during) == {"links", "routes", "cgroups"}
    assert during["links"] == {network.link_name(paths.root)}
    assert {Path(folder).name for folder in during["cgroups"]} == {disk.cgroup_name(paths)}

    answer([*command, "down", "--name", _NAME])
    assert alive(running) == []
    assert look().added_since(before) == {}
    assert list((home / "stacks").iterdir()) == []


def test_what_a_crash_leaves_is_cleaned_by_the_next_up(home: Path) -> None:
    before = look()
    first = up(_NAME, nodes=1, real_node=True)
    run_pod(KubeApi.from_kubeconfig(first.kubeconfig_admin), "default", demo_pod("shop"))
    running = everything_of(first)
    for pid in first.processes.values():
        os.kill(pid, signal.SIGKILL)
    # With the machine's process everything in the machine ends, without anybody's help.
    poll("end of all", lambda: not alive(running), 20)
    poll("end of the link", lambda: set(look().added_since(before)) == {"cgroups"}, 20)

    second = up(_NAME, nodes=1, real_node=True)
    run_pod(KubeApi.from_kubeconfig(second.kubeconfig_admin), "default", demo_pod("shop"))
    assert set(look().added_since(before)) == {"links", "routes", "cgroups"}
    down(_NAME)
    assert look().added_since(before) == {}
