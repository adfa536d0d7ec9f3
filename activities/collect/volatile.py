"""What disappears by itself: events, the pod's own manifest, and what its containers are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from activities.collect.case import MANIFEST, PodCase
from activities.collect.containers import describe_containers
from activities.collect.model import Deadline, Found, Task, document
from activities.collect.redact import redact
from clients.kubernetes import JsonObject
from clients.paths import list_path

EVENT_LIMIT: Final = 2_000
"""Of one object. The API server forgets events after an hour by default; more than this is a flood."""


def events(case: PodCase) -> Iterator[Task]:
    """Events of the pod and of its owners, found by uid: they outlive the object for a while."""

    def run(deadline: Deadline) -> Found:
        uids = [case.target.uid, *(str(o.reference.get("uid") or "") for o in case.owners)]
        found: dict[str, list[JsonObject]] = {}
        cut = []
        for uid in dict.fromkeys(u for u in uids if u):
            deadline.check()
            found[uid] = _events_of(case, uid)
            if len(found[uid]) >= EVENT_LIMIT:
                cut.append(uid)
        note = f"the first {EVENT_LIMIT} events only of {', '.join(cut)}" if cut else ""
        source = f"GET {_events_path(case)}?fieldSelector=involvedObject.uid=…, of the pod and its owners"
        return Found(document({"events": found}), source, note=lambda: note)

    yield Task("events.json", "events", run)


def manifest(case: PodCase) -> Iterator[Task]:
    """The pod as the API server has it."""

    def run(deadline: Deadline) -> Found:
        deadline.check()
        copy, taken = redact(case.live)
        return Found(document(copy), f"GET {case.path}", redactions=taken)

    yield Task(MANIFEST, "pod-manifest", run)


def containers(case: PodCase) -> Iterator[Task]:
    """Images by digest, privileged settings and mounts of each container (guide P7)."""

    def run(deadline: Deadline) -> Found:
        deadline.check()
        return Found(document(describe_containers(case.live)), f"GET {case.path}, spec and status joined")

    yield Task("containers.json", "containers", run)


def _events_path(case: PodCase) -> str:
    return list_path("Event", case.target.namespace)


def _events_of(case: PodCase, uid: str) -> list[JsonObject]:
    def ask() -> list[JsonObject]:
        pages = case.shared.kubernetes.items(_events_path(case), fieldSelector=f"involvedObject.uid={uid}")
        return list(islice(pages, EVENT_LIMIT))

    # Those of the pod itself are nobody else's, so they need not stay in memory.
    return ask() if uid == case.target.uid else case.shared.once(("events", uid), ask)
