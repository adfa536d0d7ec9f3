"""Reads that many pods share: asked once an activity, however many pods and threads want the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import RESOURCES, group_path, list_path, object_path
from errors import FirebreakError, TargetGone, Unavailable

T = TypeVar("T")
_STRIKES: Final = 2


class Shared:
    """What one activity has read of the cluster beside the pods themselves. Safe to share between threads."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self.kubernetes = kubernetes
        self._guard = threading.Lock()
        self._asked: dict[Hashable, Future[Any]] = {}
        self._strikes: dict[str, int] = {}

    def once(self, key: Hashable, ask: Callable[[], T]) -> T:
        """The answer to a question that is asked once. An error is an answer too, and is raised to all who ask."""
        with self._guard:
            future = self._asked.get(key)
            mine = future is None
            if future is None:
                future = self._asked[key] = Future()
        if mine:
            try:
                future.set_result(ask())
            except BaseException as error:  # noqa: BLE001  # It is raised again, two lines below.
                # Whoever waits must learn of it, whatever it is; `result` raises it again here, too.
                future.set_exception(error)
        answer: T = future.result()
        return answer

    def object(self, kind: str, namespace: str, name: str, uid: str = "", api_version: str = "") -> JsonObject:
        """One object, by the reference that another object holds.

        Raises:
            TargetGone: It does not exist, or another uid stands under its name.
            FirebreakError: It could not be read.
        """

        def ask() -> JsonObject:
            # Objects of lists and single ones look alike in the evidence: the kind always stands in them.
            return self.kubernetes.get(self._path(kind, namespace, name, api_version))

        found = self.once((kind, api_version, namespace, name), ask)
        if uid and found.get("metadata", {}).get("uid") != uid:
            raise TargetGone(f"another {kind} stands under the name {name}")
        return found

    def items(self, kind: str, namespace: str = "") -> list[JsonObject]:
        """All objects of a kind, of one namespace or of all."""
        return self.once(("list", kind, namespace), lambda: list(self.kubernetes.items(list_path(kind, namespace))))

    def ask_node(self, node: str) -> None:
        """Raise when a node has been silent before, so that a hundred pods do not each wait for it.

        Raises:
            Unavailable: It has.
        """
        if self._strikes.get(node, 0) >= _STRIKES:
            raise Unavailable(f"node {node} did not answer {_STRIKES} times, and is not asked again")

    def node_was_silent(self, node: str) -> None:
        """Note that a node did not answer."""
        with self._guard:
            self._strikes[node] = self._strikes.get(node, 0) + 1

    def node_answered(self, node: str) -> None:
        """Note that a node did answer."""
        with self._guard:
            self._strikes.pop(node, None)

    def _path(self, kind: str, namespace: str, name: str, api_version: str) -> str:
        known = RESOURCES.get(kind)
        if known is not None and api_version in ("", known.api_version):
            return object_path(kind, namespace if known.namespaced else "", name)
        group, _, version = api_version.rpartition("/")
        served = self.once(("api", api_version), lambda: self.kubernetes.get(f"/apis/{api_version}"))
        for one in served.get("resources") or ():
            if one.get("kind") == kind and "/" not in one.get("name", "/"):
                where = namespace if one.get("namespaced") else ""
                return group_path(group, version, one["name"], where, name)
        raise TargetGone(f"the API server does not serve {kind} of {api_version}")


def failed(error: FirebreakError) -> str:
    """An error as a value in a document."""
    return f"{error.code}: {error.message}"
