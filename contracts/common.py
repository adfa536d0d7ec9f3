"""Messages that several activities share."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

from pydantic import BaseModel

from plans.model import WIRE, ResourceRef

INLINE_LIMIT = 200
"""Above so many targets the history carries a count, a reference and a hash instead of the list (design: Incidents)."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class IncidentKey(BaseModel):
    """Identity of an incident: idempotency keys and the evidence prefix rest on it."""

    model_config = WIRE

    workflow_id: str
    run_id: str
    """The first run id of the chain, which a reset or retry does not change."""

    @property
    def evidence_prefix(self) -> str:
        """The incident's own place in the evidence store: plain characters only, without any name from outside."""
        safe = _UNSAFE.sub("-", self.workflow_id)[:200].strip("-.")
        digest = hashlib.sha256(self.workflow_id.encode()).hexdigest()[:8]
        return f"incidents/{safe}-{digest}/{_UNSAFE.sub('-', self.run_id)}"


class StoredList(BaseModel):
    """A JSON-lines object in the evidence store that is too long for the history."""

    model_config = WIRE

    key: str
    sha256: str
    count: int
    size: int = 0
    """In bytes."""


class PodTarget(BaseModel):
    """One pod that an incident acts on. The uid decides; the name is for people."""

    model_config = WIRE

    namespace: str
    name: str
    uid: str
    node: str = ""
    workload: ResourceRef | None = None
    static: bool = False
    unreachable: str = ""
    """Why a NetworkPolicy does not reach this pod (hostNetwork, Fargate, Windows), or empty."""

    @property
    def ref(self) -> ResourceRef:
        """The pod as a resource."""
        return ResourceRef(kind="Pod", namespace=self.namespace, name=self.name, uid=self.uid)


class PodTargets(BaseModel):
    """The pods of an incident: inline up to 200, else a reference to the list in the evidence store."""

    model_config = WIRE

    count: int = 0
    inline: tuple[PodTarget, ...] = ()
    reference: StoredList | None = None


class Failure(BaseModel):
    """Something that could not be done. `target` and `message` may hold text from outside: shown escaped."""

    model_config = WIRE

    step: str
    target: str
    code: str
    message: str


class EvidenceState(BaseModel):
    """Where the chain of custody stands."""

    model_config = WIRE

    store: str = ""
    artefacts: int = 0
    bytes: int = 0
    manifests: int = 0
    manifest_sha256: str = ""
    """Hash of the newest manifest, which seals all before it."""


class Timings(BaseModel):
    """Moments of an incident, UTC."""

    model_config = WIRE

    received: datetime | None = None
    contained: datetime | None = None
    finished: datetime | None = None
