"""The node's cgroups, one below the root of each hierarchy: the one thing besides the link that is left on the host.

With version 1 each controller has a hierarchy of its own; version 2 has a single one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_NEEDED = ("cpu", "cpuset", "memory", "pids")
"""Controllers without which the kubelet does not start."""
_NEEDED_V1 = (*_NEEDED, "cpuacct", "devices", "freezer")


def missing(root: Path = ROOT) -> list[str]:
    """The controllers that a node needs and that are not there."""
    if _is_version_2(root):
        present = (root / "cgroup.controllers").read_text().split()
        return [name for name in _NEEDED if name not in present]
    return [name for name in _NEEDED_V1 if not (root / name / "tasks").is_file()]


def create(name: str, root: Path = ROOT) -> None:
    """Make the node's cgroup in every hierarchy; the kubelet makes all others below it.

    Raises:
        OSError: Linux does not allow it.
    """
    if _is_version_2(root):
        # A controller that the root does not hand on is not there below it. What is added here stays: by now others
        # may use it, and it does nothing by itself.
        handed_on = (root / "cgroup.subtree_control").read_text().split()
        wanted = [f"+{controller}" for controller in _NEEDED if controller not in handed_on]
        if wanted:
            (root / "cgroup.subtree_control").write_text(" ".join(wanted))
    for hierarchy in _hierarchies(root):
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        # A new cpuset of version 1 is empty, and nothing can run in an empty one.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not _is_version_2(root) and (hierarchy / file).is_file():
                (group / file).write_text((hierarchy / file).read_text())


def remove(name: str, root: Path = ROOT) -> bool:
    """Remove the node's cgroups with all below them; False while a process in them has not quite ended."""
    for hierarchy in _hierarchies(root):
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            # Its files go with it. EBUSY: the kernel still counts something that ended as there.
            with suppress(OSError):
                os.rmdir(folder)
    return not any((hierarchy / name).exists() for hierarchy in _hierarchies(root))


def _hierarchies(root: Path) -> Iterator[Path]:
    if _is_version_2(root):
        yield root
    else:
        yield from (folder for folder in sorted(root.iterdir()) if not folder.is_symlink() and folder.is_dir())


def _is_version_2(root: Path) -> bool:
    return (root / "cgroup.controllers").is_file()
