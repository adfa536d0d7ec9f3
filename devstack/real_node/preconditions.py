"""What this machine must have and allow for a real node: looked for or tried, and all that is missing named at once."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from pathlib import Path

from devstack.real_node import cgroups
from devstack.real_node.containerd import PLUGIN_FOLDER
from devstack.real_node.plan import NAMESPACES
from devstack.real_node.programs import run_program, search_path
from devstack.state import StackError

_PACKAGES = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "mount": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
"""The programs of a node, and the Debian package of each."""
_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
_PLUGIN_PACKAGE = "containernetworking-plugins"
_BUSYBOX_PACKAGE = "busybox-static"
# A bridge of its own is made and goes again with the network that holds it.
_TRIAL = ("unshare", *NAMESPACES, "--fork", "--mount-proc", "ip", "link", "add", "fb0", "type", "bridge")
_TRIAL_CGROUP = f"firebreak-trial-{os.getpid()}"
_PT_INTERP = 3


def check_machine() -> None:
    """Check everything that a real node needs here, except for the kubelet, which is built.

    Raises:
        StackError: Something is missing; the message names all of it, and how to install what can be installed.
    """
    problem = obstacle()
    if problem:
        raise StackError(f"no real node on this machine: {problem}")


def obstacle() -> str:
    """Why there can be no real node on this machine, in one sentence, or "" if there can."""
    unchangeable = _obstacle_of_system()
    if unchangeable:
        return unchangeable
    found = missing_packages()
    if found:
        what = "; ".join(f"{', '.join(names)} ({package})" for package, names in found.items())
        return f"missing: {what}. On Debian: apt-get install {' '.join(found)}"
    return _obstacle_of_kernel()


def missing_packages() -> dict[str, list[str]]:
    """What is missing, by the Debian package that has it."""
    found: dict[str, list[str]] = {}
    for program, package in _PACKAGES.items():
        if shutil.which(program, path=search_path()) is None:
            found.setdefault(package, []).append(program)
    plugins = [name for name in _PLUGINS if not (Path(PLUGIN_FOLDER) / name).is_file()]
    if plugins:
        found[_PLUGIN_PACKAGE] = [f"the CNI plugins {', '.join(plugins)} in {PLUGIN_FOLDER}"]
    if static_busybox() is None:
        found[_BUSYBOX_PACKAGE] = ["a static busybox"]
    return found


def static_busybox() -> Path | None:
    """The busybox that needs no libraries, of which the images are made."""
    path = shutil.which("busybox", path=search_path())
    return Path(path) if path is not None and _is_static(Path(path)) else None


def _obstacle_of_system() -> str:
    if sys.platform != "linux":
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root"
    return ""


def _obstacle_of_kernel() -> str:
    controllers = cgroups.missing()
    if controllers:
        return f"below {cgroups.ROOT} there are no cgroup controllers {', '.join(controllers)}"
    try:
        cgroups.create(_TRIAL_CGROUP)
    except OSError as error:
        return f"cgroups cannot be made: {error}"
    finally:
        cgroups.remove(_TRIAL_CGROUP)
    trial = run_program(_TRIAL)
    if trial.returncode != 0:
        return f"Linux does not allow namespaces with a bridge in them: {trial.stderr.strip()[-200:]}"
    return ""


def _is_static(program: Path) -> bool:
    """Whether an ELF program asks for no loader: it has no program header of the kind PT_INTERP."""
    with program.open("rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            return False
        order = "<" if header[5] == 1 else ">"
        offset, size, count = struct.unpack(f"{order}Q14xHH", header[32:58])
        file.seek(offset)
        headers = file.read(size * count)
    kinds = (struct.unpack(f"{order}I", headers[at : at + 4])[0] for at in range(0, size * count, size))
    return _PT_INTERP not in kinds
