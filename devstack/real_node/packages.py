"""Installs the Debian packages of a real node, for `make real-node-tools`; `firebreak up` never installs anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from devstack.real_node.preconditions import missing_packages
from devstack.real_node.programs import run_program, search_path
from devstack.state import StackError

_UNATTENDED = {"DEBIAN_FRONTEND": "noninteractive"}


def install_packages(progress: Callable[[str], None]) -> None:
    """Install what is missing; nothing happens where all is there, or where apt-get or root is not.

    Only the packages of missing programs are asked for: a machine with Docker has containerd from Docker's own package,
    which Debian's would replace.

    Raises:
        StackError: apt-get could not install them; the message holds the end of what it said.
    """
    packages = list(missing_packages())
    apt = shutil.which("apt-get", path=search_path())
    if not packages or apt is None or os.geteuid() != 0:
        return
    progress(f"installing for the real node: {' '.join(packages)}")
    install = (apt, "install", "--yes", "--no-install-recommends", *packages)
    if run_program(install, **_UNATTENDED).returncode == 0:
        return
    # The lists of packages may be old or, as in images of build machines, not there at all.
    update = run_program((apt, "update"), **_UNATTENDED)
    done = run_program(install, **_UNATTENDED) if update.returncode == 0 else update
    if done.returncode != 0:
        raise StackError(f"apt-get could not install {' '.join(packages)}: {done.stderr.strip()[-400:]}")
