"""The view of one pod's containers as documents: processes, sockets, mounts, changed files. Pure."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from typing import Final, NamedTuple

from activities.collect.node_view.lines import ContainerView
from activities.collect.node_view.sockets import Socket, owners_of, sockets
from clients.kubernetes import JsonObject

_LONGEST: Final = 4_096
_STATUS: Final = {
    "Name": "name",
    "State": "state",
    "PPid": "parent",
    "Threads": "threads",
    "Uid": "uids",
    "Gid": "gids",
    "CapEff": "capabilities",
    "Seccomp": "seccomp",
    "NoNewPrivs": "no_new_privileges",
}
"""Of /proc/<pid>/status what is kept, and what it is called in the document."""
_MOUNT: Final = re.compile(r"\d+ \d+ \S+ (\S+) (\S+) (\S+) .*?- (\S+) (\S+) (\S+)")


class Seen(NamedTuple):
    """A container by its name in the pod, and what its node says of it; None when it has no process there."""

    name: str
    id: str
    view: ContainerView | None


def processes(containers: list[Seen]) -> JsonObject:
    """Every process: who it is, what was called, with which rights, and how many files it has open."""
    return {"containers": [_container(c, [_process(p, v) for p, v in _processes(c)]) for c in containers]}


def mounts(containers: list[Seen]) -> JsonObject:
    """What is mounted in each container, as its own processes see it."""
    found = []
    for one in containers:
        text = _text(one.view.parts.get("mounts", b"")) if one.view else ""
        rows = [m.groups() for line in text.splitlines() if (m := _MOUNT.match(line))]
        keys = ("root", "point", "options", "type", "source", "super_options")
        found.append(_container(one, [dict(zip(keys, row, strict=True)) for row in rows], "mounts"))
    return {"containers": found}


def open_sockets(containers: list[Seen]) -> list[Socket]:
    """The sockets of the pod's network namespace, each once."""
    owners: dict[int, int] = {}
    tables: Mapping[str, bytes] = {}
    for one in containers:
        if one.view is not None:
            tables = tables or one.view.parts
            owners.update(owners_of({p: v.get("descriptors", b"") for p, v in one.view.processes.items()}))
    return list(sockets(tables, owners))


def files(containers: list[Seen]) -> JsonObject:
    """What each container has written into its own layer: added or changed, or deleted from the image."""
    return {"containers": [_container(c, _files(c.view), "files") for c in containers]}


def _container(one: Seen, found: list[JsonObject], what: str = "processes") -> JsonObject:
    return {"name": one.name, "id": one.id, "running": one.view is not None and bool(one.view.processes), what: found}


def _processes(one: Seen) -> list[tuple[int, dict[str, bytes]]]:
    return sorted(one.view.processes.items()) if one.view is not None else []


def _process(number: int, parts: Mapping[str, bytes]) -> JsonObject:
    status = dict(
        line.split(":\t", 1) for line in _text(parts.get("status", b"")).splitlines() if line.count(":\t") >= 1
    )
    arguments = parts.get("command", b"")[:_LONGEST].split(b"\0")
    return {
        "pid": number,
        **{ours: " ".join(status.get(theirs, "").split()) for theirs, ours in _STATUS.items()},
        "command": [_text(a) for a in arguments if a],
        "executable": _text(parts.get("executable", b"")).rstrip("\n")[:_LONGEST],
        "directory": _text(parts.get("directory", b"")).rstrip("\n")[:_LONGEST],
        "open_files": len(_text(parts.get("descriptors", b"")).splitlines()),
    }


def _files(view: ContainerView | None) -> list[JsonObject]:
    if view is None:
        return []
    names = _text(view.parts.get("names", b"")).splitlines()
    stats = _text(view.parts.get("stats", b"")).splitlines()
    # Between two looks a file may come or go; then nobody can say which line is whose, and the names stand alone.
    known = _pairs(names, stats)
    hashes = _pairs(*(_text(view.parts.get(kind, b"")).splitlines() for kind in ("hashed", "hashes")))
    return [_file(n, known.get(n, ""), hashes.get(n, "")) for n in names if n != "."]


def _pairs(names: list[str], lines: list[str]) -> dict[str, str]:
    return dict(zip(names, lines, strict=True)) if len(names) == len(lines) else {}


def _file(name: str, line: str, sha256: str) -> JsonObject:
    shown: JsonObject = {"path": name.removeprefix(".")[:_LONGEST]}
    words = line.split()
    if len(words) == 6:
        mode, device = int(words[0], 16), int(words[5], 16)
        # Overlay marks what was deleted from the image with a character device 0/0.
        deleted = stat.S_ISCHR(mode) and device == 0
        shown |= {"change": "deleted" if deleted else "written", "mode": stat.filemode(mode)}
        shown |= dict(zip(("uid", "gid", "size", "modified"), map(int, words[1:5]), strict=True))
    return shown | ({"sha256": sha256} if re.fullmatch(r"[0-9a-f]{64}", sha256) else {})


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")
