"""Reads what the view pod has printed. Everything in it was written by the compromised container, or can have been."""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from activities.collect.node_view.script import END

MOST_OUTPUT: Final = 32 << 20
"""Bytes that are read of one view."""
_KINDS: Final = frozenset(
    "status command executable directory descriptors namespace tcp tcp6 udp udp6 unix mounts layer names stats hashed"
    " hashes".split()
)


@dataclass
class ContainerView:
    """What was read of one container: by kind, or by process and kind."""

    parts: dict[str, bytes] = field(default_factory=dict)
    processes: dict[int, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    raw: list[bytes] = field(default_factory=list)


@dataclass
class View:
    """What was read on one node, by the id of the container.

    Attributes:
        containers: Those that were asked for and have at least one line.
        complete: Whether the view came to its end.
    """

    containers: dict[str, ContainerView]
    complete: bool


def read_view(output: Iterable[bytes], asked: Iterable[str]) -> View:
    """The lines of a view pod; what is no such line, or is about another container, is passed over.

    Args:
        output: In chunks or lines of any size.
        asked: The ids of the containers that were asked for.
    """
    known = frozenset(asked)
    view = View({}, complete=False)
    for line in b"".join(output)[:MOST_OUTPUT].split(b"\n"):
        if line.strip() == END.encode():
            view.complete = True
            break
        words = line.split(b" ")
        if len(words) == 4:
            _take(view, known, line, *(w.decode("ascii", "replace") for w in words))
    return view


def _take(view: View, known: frozenset[str], line: bytes, kind: str, container: str, process: str, text: str) -> None:
    if kind not in _KINDS or container not in known or not process.isascii() or not process.isdigit():
        return
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        return
    found = view.containers.setdefault(container, ContainerView())
    found.raw.append(line)
    if kind in ("status", "command", "executable", "directory", "descriptors"):
        found.processes[int(process)][kind] = content
    else:
        found.parts[kind] = content
