"""Changes one object by compare-and-swap: read, decide, patch with tests, and again if somebody was faster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from activities.isolation.fields import patch_operations
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import object_path
from errors import Conflict, TargetGone
from plans.model import ResourceRef

ATTEMPTS = 10
"""Each failed one means that somebody else's change went through, so there is progress even in a storm."""

# Incidents of one worker wait for each other here instead of defeating each other at the API server. Striped, so that
# the table does not grow with the objects of a cluster; nobody ever holds two of them, so they cannot deadlock.
_LOCKS = tuple(threading.Lock() for _ in range(257))

Decide = Callable[[JsonObject], Mapping[str, Any]]
"""Says which fields of a live object get which value; nothing when it is as it should be. May raise."""


def edit(kubernetes: Kubernetes, ref: ResourceRef, decide: Decide, known: JsonObject | None = None) -> JsonObject:
    """Bring one object into a state, and return it as it then is.

    Args:
        kubernetes: The door.
        ref: The object; with a uid, only that very object.
        decide: Given the live object, the new values of its fields by JSON pointer (None removes).
        known: The object as it was read a moment ago, which saves a read; a stale one only costs a retry.

    Raises:
        TargetGone: It does not exist, or another uid stands under its name.
        Conflict: Others changed it ten times in a row.
    """
    path = object_path(ref.kind, ref.namespace, ref.name)
    with _LOCKS[hash((ref.kind, ref.namespace, ref.name)) % len(_LOCKS)]:
        for attempt in range(1, ATTEMPTS + 1):
            live = known if known is not None else kubernetes.get(path)
            known = None
            check_uid(live, ref)
            values = decide(live)
            if not values:
                return live
            try:
                return kubernetes.patch(path, patch_operations(live, values))
            except Conflict:
                if attempt == ATTEMPTS:
                    raise
    raise AssertionError("the loop above returns or raises")


def live_list(kubernetes: Kubernetes, path: str, *, cached: bool, selector: str = "") -> list[JsonObject]:
    """A short list, as a whole.

    Args:
        kubernetes: The door.
        path: Of the collection.
        cached: Take what the API server's watch cache has, which is what controllers and network plugins act on too.
            A list that must be current waits up to 100 ms after any write to the cluster, until the cache is told that
            it has missed nothing (measured: 96 ms against 1 ms).
        selector: A label selector.

    Raises:
        Forbidden: Our identity may not list this kind.
    """
    if cached:
        # Without a limit, because the cache answers as a whole, and a page's token does not go with a version.
        return list(kubernetes.items(path, limit=0, labelSelector=selector, resourceVersion="0"))
    return list(kubernetes.items(path, labelSelector=selector))


def check_uid(live: JsonObject, ref: ResourceRef) -> None:
    """Make sure that a live object is the one that is meant.

    Raises:
        TargetGone: Another uid stands under the name.
    """
    if ref.uid and live["metadata"]["uid"] != ref.uid:
        raise TargetGone(f"{ref}: another object stands under this name now ({live['metadata']['uid']})")
