"""Reading the cluster in parallel: a small pool that every assessment of a worker shares, and reads that may fail."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import RESOURCES, list_path, object_path
from errors import Forbidden, InputError, TargetGone
from plans.model import ResourceRef

T = TypeVar("T")

_FEW = 8
"""Up to so many objects of one kind and namespace are read one by one; more of them are read as a list."""


class Reader:
    """Reads for one assessment. What our identity may not read is a note in the plan, never a failure.

    Tasks of the pool never wait for each other, so that a storm of assessments cannot block it.
    """

    def __init__(self, kubernetes: Kubernetes, pool: ThreadPoolExecutor) -> None:
        self.kubernetes = kubernetes
        self._pool = pool
        self.notes: list[str] = []

    def start(self, task: Callable[[], T]) -> Future[T]:
        """Begin a read that waits for no other one."""
        return self._pool.submit(task)

    def optional(self, future: Future[T], default: T, what: str) -> T:
        """The result of a read, or the default with a note when it is forbidden or its kind does not exist."""
        try:
            return future.result()
        except TargetGone:
            return default
        except (Forbidden, InputError) as error:
            self.notes.append(f"{what} could not be read: {error.message}")
            return default

    def object(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """One object, or None when there is none of that name."""
        try:
            return self.kubernetes.get(object_path(kind, namespace, name))
        except TargetGone:
            return None

    def objects(self, refs: Iterable[ResourceRef]) -> dict[str, JsonObject]:
        """The live objects behind references, by uid. Another uid under the same name is not the object meant."""
        by_place: dict[tuple[str, str], dict[str, ResourceRef]] = {}
        for ref in refs:
            if ref.kind in RESOURCES:
                by_place.setdefault((ref.kind, ref.namespace), {})[ref.uid] = ref
        reads: list[Callable[[], Sequence[JsonObject | None]]] = []
        for (kind, namespace), wanted in by_place.items():
            if len(wanted) > _FEW:
                reads.append(partial(self._listed, kind, namespace, frozenset(wanted)))
            else:
                reads += [partial(self._single, ref) for ref in wanted.values()]
        futures = [self.start(read) for read in reads]
        uids = {uid for wanted in by_place.values() for uid in wanted}
        found: dict[str, JsonObject] = {}
        for future in futures:
            for obj in self.optional(future, (), "An owner of the pods"):
                if obj is not None and obj["metadata"]["uid"] in uids:
                    found[obj["metadata"]["uid"]] = obj
        return found

    def _single(self, ref: ResourceRef) -> list[JsonObject | None]:
        return [self.object(ref.kind, ref.namespace, ref.name)]

    def _listed(self, kind: str, namespace: str, uids: Collection[str]) -> list[JsonObject | None]:
        items = self.kubernetes.items(list_path(kind, namespace))
        return [item | {"kind": kind} for item in items if item["metadata"]["uid"] in uids]


def controller_of(obj: JsonObject) -> ResourceRef | None:
    """The owner that controls an object. A kind outside of Kubernetes' own groups keeps its name and ends the chain."""
    metadata = obj["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            known = RESOURCES.get(owner["kind"])
            # Anybody may define a kind called Deployment in a group of their own.
            kind = owner["kind"] if known is None or known.api_version == owner["apiVersion"] else _qualified(owner)
            namespace = "" if known is not None and not known.namespaced else str(metadata.get("namespace", ""))
            return ResourceRef(kind=kind, name=owner["name"], namespace=namespace, uid=owner["uid"])
    return None


def _qualified(owner: JsonObject) -> str:
    return f"{owner['kind']}.{str(owner['apiVersion']).partition('/')[0]}"
