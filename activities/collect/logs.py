"""Logs of every container, current and previous, streamed from the node through the API server into the store."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from itertools import chain
from typing import Final

from activities.collect.case import PodCase
from activities.collect.containers import KINDS
from activities.collect.model import Deadline, Found, Task
from clients.kubernetes import JsonObject
from clients.paths import object_path
from errors import Unavailable

LOG_LIMIT: Final = 64 << 20
"""Bytes of one log. The kubelet keeps 10 MiB a file by default and answers with the newest file."""
_SECONDS: Final = 300.0
_PREFIXES: Final = {"init": "i", "container": "c", "ephemeral": "e"}


def logs(case: PodCase) -> Iterator[Task]:
    """One artefact a container, and one more for the instance before, where there was one.

    The names of containers do not enter the keys: `c0` is the first of `spec.containers`, `i` are init containers and
    `e` ephemeral ones. The entry's source names the container.
    """
    pod = case.live
    for field, statuses, kind in KINDS:
        known = {s.get("name"): s for s in (pod.get("status") or {}).get(statuses) or ()}
        for number, container in enumerate(pod["spec"].get(field) or ()):
            name = str(container.get("name") or "")
            stem = f"logs/{_PREFIXES[kind]}{number}"
            if _had_instance_before(known.get(name) or {}):
                run = partial(_stream, case, name, "true")
                yield Task(f"{stem}-previous.log", "container-log-previous", run, _SECONDS, patient=False)
            run = partial(_stream, case, name, "false")
            yield Task(f"{stem}.log", "container-log", run, _SECONDS, patient=False)


def _had_instance_before(status: JsonObject) -> bool:
    return bool(status.get("restartCount")) or bool((status.get("lastState") or {}).get("terminated"))


def _stream(case: PodCase, container: str, previous: str, deadline: Deadline) -> Found:
    path = object_path("Pod", case.target.namespace, case.target.name, "log")
    case.shared.ask_node(case.node)
    query = {
        "container": container,
        "previous": previous,
        "timestamps": "true",
        # One byte more than is kept shows that there was more.
        "limitBytes": str(LOG_LIMIT + 1),
    }
    chunks = case.shared.kubernetes.stream(path, **query)
    try:
        # The first read sends the request, so whether the node answers shows here.
        first = next(chunks, b"")
    except Unavailable:
        case.shared.node_was_silent(case.node)
        raise
    case.shared.node_answered(case.node)
    cut = _Cut(first, chunks)
    source = f"GET {path}?container={container}&previous={previous}&timestamps=true"
    return Found(deadline.watch(cut), source, note=cut.note, close=partial(_close, chunks))


def _close(chunks: Iterator[bytes]) -> None:
    """End a stream that may not have been read to its end."""
    if isinstance(chunks, Generator):
        chunks.close()


class _Cut:
    """A log up to the limit, whatever the node sends."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._first = first
        self._rest = rest
        self._cut = False

    def __iter__(self) -> Iterator[bytes]:
        left = LOG_LIMIT
        for chunk in chain((self._first,), self._rest):
            if len(chunk) > left:
                self._cut = True
                yield chunk[:left]
                return
            left -= len(chunk)
            yield chunk

    def note(self) -> str:
        """What the entry says of it."""
        return f"cut after {LOG_LIMIT} bytes, the limit of one log" if self._cut else ""
