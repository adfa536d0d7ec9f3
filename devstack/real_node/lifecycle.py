"""What the stack does with its real node: start it, give it its images, run something in it, take away what is left."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from devstack import processes
from devstack.processes import Command
from devstack.real_node import cgroups, containerd, disk, network
from devstack.real_node.images import write_images
from devstack.real_node.names import PROCESS
from devstack.real_node.plan import NAMESPACES
from devstack.real_node.programs import run_program, search_path
from devstack.state import StackError, StackPaths


def command(paths: StackPaths) -> Command:
    """The command line of the machine: this Python, whose path must lead to this package."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    environment = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PATH": search_path()}
    return Command(
        PROCESS, [sys.executable, "-m", "devstack.real_node.machine", str(disk.plan_file(paths))], environment
    )


def import_images(paths: StackPaths) -> None:
    """Give the node its images, which come from no registry.

    Raises:
        StackError: containerd refused them.
    """
    with tempfile.TemporaryDirectory(dir=paths.real_node / "var" / "tmp") as folder:
        archive = Path(folder) / "images.tar"
        write_images(archive)
        inside = f"/var/tmp/{archive.parent.name}/{archive.name}"  # noqa: S108 - The node's own.
        run_in_node(paths, ["ctr", "--namespace", containerd.IMAGES_NAMESPACE, "images", "import", inside])


def run_in_node(paths: StackPaths, words: Sequence[str]) -> str:
    """Run a program of the host inside of the node, as root there, and return what it prints.

    Raises:
        StackError: The node does not run, or the program failed.
    """
    boot = _boot(paths)
    if boot is None:
        raise StackError("the real node does not run")
    result = run_program(["nsenter", "--target", str(boot), *NAMESPACES, "--", *words])
    if result.returncode != 0:
        raise StackError(f"{words[0]} in the real node: {result.stderr.strip()[-400:]}")
    return result.stdout


def remove_leftovers(paths: StackPaths) -> None:
    """Take away what an ended node leaves on the host, whether it ended by `down`, by itself or in a crash.

    Raises:
        StackError: Something of it does not end.
    """
    if not paths.real_node.exists():
        return
    link, cgroup = network.link_name(paths.root), disk.cgroup_name(paths)

    def left() -> str:
        if found := processes.strays(paths):
            return f"processes {', '.join(str(stray.pid) for stray in found)}"
        if network.remove_link(link):
            return f"link {link}"
        return "" if cgroups.remove(cgroup) else f"cgroup {cgroup}"

    try:
        processes.poll("end of the real node", lambda: not left(), processes.DEATH_SECONDS)
    except TimeoutError as error:
        raise StackError(f"{error}; left is {left() or 'nothing any more'}") from error


def _boot(paths: StackPaths) -> int | None:
    """The pid of the first process in the node, as the host counts: the child of ``unshare``, the machine's child."""
    record = processes.record_of(paths, PROCESS)
    machine = record.process() if record is not None else None
    try:
        descendants = machine.children(recursive=True) if machine is not None else []
        return next((p.pid for p in descendants if "devstack.real_node.boot" in p.cmdline()[:3]), None)
    except psutil.NoSuchProcess:
        return None
