"""The process on the host that is the node's machine: it makes the machine, holds the link to it, and ends with it.

``python -m devstack.real_node.machine PLAN``. It starts ``boot`` in namespaces of its own for processes, mounts,
network, host name and IPC. When boot ends, for whatever reason, Linux kills every process of the machine, and with the
last of them go the mounts, the links and the firewall rules. Boot ends when this process does, also when it is killed:
it watches the socket between the two.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from devstack.real_node.gateway import serve_apiserver
from devstack.real_node.plan import NAMESPACES, Plan

_END_SECONDS = 4.0


def main() -> int:
    """Run until the machine ends or SIGTERM comes; 0 when it was asked to end."""
    return asyncio.run(_run(sys.argv[1]))


async def _run(plan_file: str) -> int:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    ours, theirs = socket.socketpair()
    machine = await asyncio.create_subprocess_exec(
        "unshare",
        *NAMESPACES,
        # What the host mounts later shows in the machine; what the machine mounts never shows on the host.
        *("--propagation", "slave", "--mount-proc", "--fork", "--kill-child"),
        *(sys.executable, "-m", "devstack.real_node.boot", plan_file, str(theirs.fileno())),
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    ended = asyncio.create_task(machine.wait())
    connected = asyncio.create_task(_connect(Plan.read(plan_file), ours))
    wanted = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait([ended, connected, wanted], return_when=asyncio.FIRST_COMPLETED)
        if connected.done():
            connected.result()
        await asyncio.wait([ended, wanted], return_when=asyncio.FIRST_COMPLETED)
    finally:
        # With this boot leaves, and nothing here waits for it; unshare ends when the last process of the machine has.
        ours.shutdown(socket.SHUT_RDWR)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), _END_SECONDS)
        if machine.returncode is None:
            machine.kill()
    return 0 if asked.is_set() else 1


async def _connect(plan: Plan, boot: socket.socket) -> asyncio.Server | None:
    """Connect the machine with the host once boot is so far; None when it ended before."""
    _, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, boot, 16, 2)
    if len(descriptors) != 2:
        return None
    listener, network = descriptors
    server = await serve_apiserver(socket.socket(fileno=listener), plan.apiserver)
    for words in (
        ["link", "add", plan.link, "type", "veth", "peer", "name", "eth0", "netns", f"/proc/self/fd/{network}"],
        ["address", "add", f"{plan.host}/{plan.link_length}", "dev", plan.link],
        ["link", "set", plan.link, "up"],
        ["route", "add", plan.pods, "via", plan.node],
    ):
        subprocess.run(["ip", *words], check=True, pass_fds=[network])  # noqa: S607 - Found on PATH: preconditions.
    boot.sendall(b"linked")
    return server


if __name__ == "__main__":
    sys.exit(main())
