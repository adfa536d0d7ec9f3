"""What is known of the containers of the pods: read back from the evidence, hash by hash (guide P7)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from errors import EvidenceError, TargetGone
from evidence.entry import Entry, EntrySubject, checked
from evidence.store import EvidenceStore

MOST_PODS: Final = 20
_LARGEST: Final = 4 << 20


@dataclass(frozen=True)
class KnownContainer:
    """One container as it was collected. `power` says in words what reaches beyond the container."""

    pod: EntrySubject
    name: str
    kind: str
    image: str
    image_id: str
    power: tuple[str, ...]
    mounts: tuple[str, ...]


def read_known(store: EvidenceStore, prefix: str, entries: Iterable[Entry]) -> tuple[KnownContainer, ...]:
    """The containers of the first pods; an artefact that is not what was recorded is left out, `verify` names it."""
    found: list[KnownContainer] = []
    pods = [e for e in entries if e.kind == "containers" and e.collected][:MOST_PODS]
    for entry in pods:
        if entry.size > _LARGEST:
            continue
        try:
            data = b"".join(checked(store.get(f"{prefix}/{entry.key}"), entry.key, entry.sha256))
            found += containers_of(entry.subject, json.loads(data))
        except (EvidenceError, TargetGone, ValueError):
            continue
    return tuple(found)


def containers_of(pod: EntrySubject, content: Any) -> Iterator[KnownContainer]:
    """The containers in one `containers.json`."""
    host = tuple(k for k in ("hostNetwork", "hostPID", "hostIPC") if content.get("pod", {}).get(k))
    for one in content.get("containers") or ():
        yield KnownContainer(
            pod=pod,
            name=str(one.get("name", "")),
            kind=str(one.get("kind", "")),
            image=str(one.get("image", "")),
            image_id=str(one.get("imageID", "")),
            power=(*_power(one.get("securityContext") or {}), *host),
            mounts=tuple(_host_mounts(one.get("mounts") or ())),
        )


def _power(context: dict[str, Any]) -> Iterator[str]:
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation"):
        yield "allowPrivilegeEscalation"
    if context.get("runAsUser") == 0:
        yield "runAsUser 0"
    added = (context.get("capabilities") or {}).get("add") or ()
    if added:
        yield "capabilities " + " ".join(str(a) for a in added)


def _host_mounts(mounts: Iterable[dict[str, Any]]) -> Iterator[str]:
    for mount in mounts:
        path = ((mount.get("source") or {}).get("hostPath") or {}).get("path")
        if path:
            yield f"{path} at {mount.get('mountPath', '')}{' read-only' if mount.get('readOnly') else ''}"
