"""What is known of the containers of the pods: read back from the evidence, hash by hash (guide P7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from errors import EvidenceError, TargetGone
from evidence.entry import Entry, EntrySubject, checked
from evidence.store import EvidenceStore

MOST_PODS: Final = 20
_LARGEST: Final = 4 << 20
_MODEL: Final = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _Capabilities(BaseModel):
    model_config = _MODEL

    add: tuple[str, ...] | None = None


class _SecurityContext(BaseModel):
    model_config = _MODEL

    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    run_as_user: int | None = None
    capabilities: _Capabilities | None = None


class _Mount(BaseModel):
    model_config = _MODEL

    mount_path: str = ""
    read_only: bool = False
    source: dict[str, Any] = {}


class _Container(BaseModel):
    model_config = _MODEL

    name: str = ""
    kind: str = ""
    image: str = ""
    imageID: str = ""  # As Kubernetes writes it.
    security_context: _SecurityContext = _SecurityContext()
    mounts: tuple[_Mount, ...] = ()


class _Pod(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    hostNetwork: bool = False  # As Kubernetes writes it.
    hostPID: bool = False  # As above.
    hostIPC: bool = False  # As above.


class _File(BaseModel):
    """A `containers.json`, as far as the report tells of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    containers: tuple[_Container, ...] = ()
    pod: _Pod = _Pod()


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
    pods = [e for e in entries if e.kind == "containers" and e.collected and e.size <= _LARGEST]
    for entry in pods[:MOST_PODS]:
        try:
            data = b"".join(checked(store.get(f"{prefix}/{entry.key}"), entry.key, entry.sha256))
            found += _containers_of(entry.subject, _File.model_validate_json(data))
        except (EvidenceError, TargetGone, ValidationError):
            continue
    return tuple(found)


def _containers_of(pod: EntrySubject, file: _File) -> Iterator[KnownContainer]:
    host = tuple(name for name, shared in file.pod.model_dump().items() if shared)
    for one in file.containers:
        yield KnownContainer(
            pod=pod,
            name=one.name,
            kind=one.kind,
            image=one.image,
            image_id=one.imageID,
            power=(*_power(one.security_context), *host),
            mounts=tuple(_host_mounts(one.mounts)),
        )


def _power(context: _SecurityContext) -> Iterator[str]:
    if context.privileged:
        yield "privileged"
    if context.allow_privilege_escalation:
        yield "allowPrivilegeEscalation"
    if context.run_as_user == 0:
        yield "runAsUser 0"
    if context.capabilities and context.capabilities.add:
        yield "capabilities " + " ".join(context.capabilities.add)


def _host_mounts(mounts: Iterable[_Mount]) -> Iterator[str]:
    for mount in mounts:
        source = mount.source.get("hostPath")
        if isinstance(source, dict):
            yield f"{source.get('path', '')} at {mount.mount_path}{' read-only' if mount.read_only else ''}"
