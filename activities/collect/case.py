"""One pod of an incident while it is being collected: the target, the live pod, and its owners."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

from activities.collect.shared import Shared, failed
from clients.kubernetes import JsonObject
from clients.paths import object_path
from contracts.common import PodTarget
from errors import FirebreakError, TargetGone
from evidence.entry import EntrySubject
from evidence.store import EvidenceStore, read_bytes

MANIFEST: Final = "manifest.json"
_LEVELS: Final = 6
"""CronJob, Job, Pod are three; operators add one or two. More is a circle or a prank."""


class Owner(NamedTuple):
    """One owner of the chain: of whom, the reference, and the object or why it could not be read."""

    child: str
    reference: JsonObject
    object: JsonObject | None
    error: str


class PodCase:
    """One pod. Whatever is asked is read once, and the error of reading it comes back each time.

    Args:
        target: The pod as the plan names it.
        shared: Reads that pods share.
        store: Where an earlier wave left the pod's manifest.
        folder: The pod's place in the store.
    """

    def __init__(self, target: PodTarget, shared: Shared, store: EvidenceStore, folder: str) -> None:
        self.target = target
        self.shared = shared
        self._store = store
        self._folder = folder
        self._gone: FirebreakError | None = None

    @property
    def subject(self) -> EntrySubject:
        """The pod, as entries name it."""
        t = self.target
        return EntrySubject(kind="Pod", namespace=t.namespace, name=t.name, uid=t.uid)

    @property
    def place(self) -> str:
        """The pod's folder below the incident's prefix."""
        return f"pods/{self.target.uid}"

    @property
    def path(self) -> str:
        """The pod's path in the API."""
        return object_path("Pod", self.target.namespace, self.target.name)

    @cached_property
    def live(self) -> JsonObject:
        """The pod as it is now.

        Raises:
            TargetGone: It is gone, or another pod stands under its name.
        """
        if self._gone is not None:
            raise self._gone
        try:
            pod = self.shared.kubernetes.get(self.path)
            if pod.get("metadata", {}).get("uid") != self.target.uid:
                raise TargetGone(f"another pod stands under the name {self.target.name}")
        except TargetGone as error:
            self._gone = error
            raise
        return pod

    @cached_property
    def pod(self) -> JsonObject:
        """The pod as it was collected, else as it is now: what it belonged to stays known when it is gone."""
        try:
            stored = json.loads(read_bytes(self._store, f"{self._folder}/{MANIFEST}"))
        except TargetGone:
            return self.live
        return stored if isinstance(stored, dict) else self.live

    @property
    def labels(self) -> Mapping[str, str]:
        """Of the pod."""
        return self.pod["metadata"].get("labels") or {}

    @property
    def spec(self) -> JsonObject:
        """Of the pod."""
        spec: JsonObject = self.pod["spec"]
        return spec

    @property
    def node(self) -> str:
        """Where the pod runs; known from the target when the pod is gone."""
        return self.target.node or str(self.spec.get("nodeName") or "")

    @cached_property
    def owners(self) -> tuple[Owner, ...]:
        """The owners up to the top, nearest first; from the target alone when the pod is gone."""
        found: list[Owner] = []
        waiting = [(self.target.uid, reference) for reference in self._references()]
        seen: set[str] = set()
        while waiting and len(found) < 4 * _LEVELS:
            child, reference = waiting.pop(0)
            if reference.get("uid") in seen:
                continue
            seen.add(str(reference.get("uid")))
            owner = self._owner(child, reference)
            found.append(owner)
            above = (owner.object or {}).get("metadata", {}).get("ownerReferences") or ()
            waiting += [(str(reference.get("uid")), r) for r in above]
        return tuple(found)

    def _references(self) -> list[JsonObject]:
        try:
            return list(self.pod["metadata"].get("ownerReferences") or ())
        except TargetGone:
            top = self.target.workload
            return [{"kind": top.kind, "name": top.name, "uid": top.uid}] if top is not None else []

    def _owner(self, child: str, reference: JsonObject) -> Owner:
        kind, name, uid = (str(reference.get(k) or "") for k in ("kind", "name", "uid"))
        try:
            version = str(reference.get("apiVersion") or "")
            found: Any = self.shared.object(kind, self.target.namespace, name, uid, version)
        except FirebreakError as error:
            return Owner(child, reference, None, failed(error))
        return Owner(child, reference, found, "")
