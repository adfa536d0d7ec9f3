"""Which pods run an image now, as the cluster says at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from clients.kubernetes import Kubernetes
from clients.paths import list_path
from plans.images import digest_of

_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


class Running(NamedTuple):
    """One pod that runs one of the images."""

    namespace: str
    name: str
    node: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def running_pods(kubernetes: Kubernetes, images: Iterable[str], beat: Callable[[], None]) -> list[Running]:
    """The pods of all namespaces that run one of the images, by digest, whoever made them.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    digests = {digest_of(i) for i in images} - {""}
    found = []
    for page in kubernetes.pages(list_path("Pod")):
        for pod in page:
            status, metadata = pod.get("status") or {}, pod["metadata"]
            ids = (s.get("imageID") or "" for key in _STATUSES for s in status.get(key) or ())
            if any(digest_of(i) in digests for i in ids):
                node = (pod.get("spec") or {}).get("nodeName") or ""
                found.append(Running(metadata["namespace"], metadata["name"], node))
        beat()
    return found
