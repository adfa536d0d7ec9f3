"""The first process of the node's machine: gives it mounts and a network, starts containerd and kubelet, and stays.

Being the first process of its own process namespace it adopts what loses its parent, such as containerd's shims, and
when it ends Linux kills all others. It ends when containerd or kubelet does: a node without one of them is broken, and
shows it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

from devstack.real_node import cgroups
from devstack.real_node.plan import CONTAINERD_SOCKET, KUBELET_PROGRAM, Plan

_START_SECONDS = 30.0
_POLL_SECONDS = 0.05
_TAIL = 600
# What the kubelet wants the kernel's parameters to be, and would set them to: it finds them so, and sets nothing.
_KERNEL = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}


def main() -> int:
    """Never returns while the node is whole."""
    plan = Plan.read(sys.argv[1])
    machine = socket.socket(fileno=int(sys.argv[2]))
    os.environ["PATH"] = plan.path
    # Opened while their folder can still be seen: it may lie in what is covered next.
    logs = {name: Path(plan.logs, f"{name}.log").open("ab") for name in plan.commands}
    socket.sethostname(plan.hostname)
    cgroups.create(plan.cgroup)
    _mount(plan)
    _connect(plan, machine)
    threading.Thread(target=_leave_with, args=(machine,), daemon=True).start()
    started: dict[int, str] = {}
    for name, command in plan.commands.items():
        process = _start(command, logs[name])
        started[process.pid] = name
        if name == "containerd":
            _await_socket(process.pid)
    name, status = _reap(started)
    sys.stderr.write(f"{name} ended with {status}: {_tail(logs[name])}\n")
    return 1


def _mount(plan: Plan) -> None:
    run = Path(plan.folder, "run")
    kubelet, var = run / Path(KUBELET_PROGRAM).name, run / "var"
    # Shared among the mounts of the node only, which volumes with propagation need.
    _call("mount", "--make-rshared", "/")
    _call("mount", "-t", "tmpfs", "-o", "mode=755,nosuid,nodev", "tmpfs", str(run))
    kubelet.touch()
    var.mkdir()
    # Held below the new /run, because either folder of the host may lie in what is covered next.
    _call("mount", "--bind", plan.kubelet, str(kubelet))
    _call("mount", "--bind", str(Path(plan.folder, "var")), str(var))
    _call("mount", "--rbind", str(run), "/run")
    _call("mount", "--bind", "/run/var", "/var")
    for name, value in _KERNEL.items():
        own = Path("/run/kernel", name)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(f"{value}\n")
        _call("mount", "--bind", str(own), f"/proc/sys/{name}")
    # All other parameters of the kernel are the host's too and stay as they are; the network's are the node's own.
    _call("mount", "--bind", "/proc/sys/net", "/proc/sys/net")
    _call("mount", "--rbind", "/proc/sys", "/proc/sys")
    _call("mount", "-o", "remount,bind,ro", "/proc/sys")


def _connect(plan: Plan, machine: socket.socket) -> None:
    _call("ip", "link", "set", "lo", "up")
    listener = socket.socket()
    listener.bind(("127.0.0.1", plan.apiserver))
    listener.listen(64)
    listener.setblocking(False)
    network = os.open("/proc/self/ns/net", os.O_RDONLY)
    socket.send_fds(machine, [b"listening"], [listener.fileno(), network])
    listener.close()
    os.close(network)
    if not machine.recv(16):
        sys.exit("the machine's process ended")
    _call("ip", "address", "add", f"{plan.node}/{plan.link_length}", "dev", "eth0")
    _call("ip", "link", "set", "eth0", "up")


def _leave_with(machine: socket.socket) -> None:
    machine.recv(1)
    os._exit(0)


def _start(command: list[str], log: BinaryIO) -> subprocess.Popen[bytes]:
    # Only this process and the one on the host count as the stack's; the others end with them.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FIREBREAK_")}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
    )


def _await_socket(containerd: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    # Looked at without taking its status, which is left to where all children are waited for.
    while os.waitid(os.P_PID, containerd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(CONTAINERD_SOCKET) == 0:
                return
        if time.monotonic() > deadline:
            sys.exit(f"containerd does not listen after {_START_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)


def _reap(started: dict[int, str]) -> tuple[str, int]:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid in started:
            return started[pid], os.waitstatus_to_exitcode(status)


def _tail(log: BinaryIO) -> str:
    # Through the open file, since its folder may be covered.
    with open(f"/proc/self/fd/{log.fileno()}", "rb") as file:
        return file.read()[-_TAIL:].decode(errors="replace").strip()


def _call(*words: str) -> None:
    subprocess.run(words, check=True)


if __name__ == "__main__":
    # Python would turn SIGINT of a terminal into an exception; nobody but the machine's process ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main())
