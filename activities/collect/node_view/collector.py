"""The collector `node-view`: a pod's processes, sockets, mounts and changed files, as its node sees them.

It comes first, because a process or a connection is gone sooner than anything else. Containment stands by then, so what
is still connected is what the policy did not end (docs/explanation/isolation.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from activities.collect.case import PodCase
from activities.collect.model import Deadline, Found, Task, document
from activities.collect.node_view import documents
from activities.collect.node_view.documents import Seen
from activities.collect.node_view.instrument import SECONDS, Instrument, container_ids
from activities.collect.node_view.lines import View
from activities.collect.node_view.sockets import STILL_OPEN, Socket
from clients.kubernetes import JsonObject
from clients.paths import list_path
from contracts.common import PodTarget
from errors import TargetGone, Unavailable

_SHOWN: Final = 5


class NodeView:
    """Collects for every pod from one look at its node.

    Args:
        instrument: Looks.
        pods: All that are collected, so that one look serves every pod of a node.
    """

    def __init__(self, instrument: Instrument, pods: Sequence[PodTarget]) -> None:
        self._instrument = instrument
        self._uids = frozenset(p.uid for p in pods)

    def tasks(self, case: PodCase) -> Iterator[Task]:
        """The artefacts of one pod."""
        for file, kind, make in (
            ("processes.json", "processes", documents.processes),
            ("sockets.json", "sockets", None),
            ("mounts.json", "mounts", documents.mounts),
            ("files.json", "changed-files", documents.files),
            ("view.txt", "node-view", _raw),
        ):
            run = partial(self._connections, case) if make is None else partial(self._document, case, make)
            # A node that does not answer is a fact to record; the pod may be gone before it does.
            yield Task(f"node/{file}", kind, run, SECONDS + 15.0, patient=False)

    def _document(self, case: PodCase, make: Callable[[list[Seen]], JsonObject | bytes], deadline: Deadline) -> Found:
        seen, note = self._seen(case, deadline)
        made = make(seen)
        return Found(made if isinstance(made, bytes) else document(made), self._source(case), note=lambda: note)

    def _connections(self, case: PodCase, deadline: Deadline) -> Found:
        seen, note = self._seen(case, deadline)
        found = documents.open_sockets(seen)
        still = [s for s in found if s.is_open]
        said = still_open(case.target, still) if still else note
        content = document({"sockets": [s._asdict() for s in found]})
        return Found(content, self._source(case), note=lambda: said)

    def _seen(self, case: PodCase, deadline: Deadline) -> tuple[list[Seen], str]:
        ids = container_ids(case.live)
        if not case.node or not ids:
            raise TargetGone("no container of the pod has been started")
        view: View = case.shared.once(("node-view", case.node), lambda: self._look(case, deadline))
        if not any(i in view.containers for i in ids.values()):
            raise Unavailable("the view of the node holds nothing of the pod's containers")
        seen = [Seen(name, identity, view.containers.get(identity)) for name, identity in ids.items()]
        return seen, "" if view.complete else "the view of the node broke off before its end"

    def _look(self, case: PodCase, deadline: Deadline) -> View:
        """Look at the containers of every pod that is collected on this node."""
        on_node = case.shared.kubernetes.items(list_path("Pod", ""), fieldSelector=f"spec.nodeName={case.node}")
        found = [i for pod in on_node if pod["metadata"]["uid"] in self._uids for i in container_ids(pod).values()]
        return self._instrument.look(case.node, found, deadline)

    def _source(self, case: PodCase) -> str:
        return f"pod {self._instrument.name(case.node)} on node {case.node}, image {self._instrument.image}"


def still_open(pod: PodTarget, sockets: Sequence[Socket]) -> str:
    """What is said of connections that outlive the policy, with what would end them."""
    shown = ", ".join(f"{s.protocol} {s.local} → {s.remote} ({s.state})" for s in sockets[:_SHOWN])
    more = f" and {len(sockets) - _SHOWN} more" if len(sockets) > _SHOWN else ""
    return (
        f"{len(sockets)} connections of {pod.namespace}/{pod.name} {STILL_OPEN}: "
        f"{shown}{more}. Deleting the pod ends them, and so does isolating its node."
    )


def _raw(seen: list[Seen]) -> bytes:
    """The lines as the view pod printed them, so that everything made of them can be made again."""
    return b"".join(line + b"\n" for one in seen if one.view is not None for line in one.view.raw)
