"""What the activities of custody share: who acts, and where the chain stands, in the words of the contracts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from temporalio import activity

from contracts.common import EvidenceState, IncidentKey, StoredList
from evidence.entry import Entry
from evidence.manifest import Head
from evidence.store import EvidenceStore


def activity_name() -> str:
    """The running activity, as entries name it: type, id and attempt."""
    info = activity.info()
    return f"{info.activity_type}/{info.activity_id}/{info.attempt}"


def store_entries(
    store: EvidenceStore, incident: IncidentKey, name: str, entries: Iterable[Entry]
) -> StoredList | None:
    """The entries as a list in the store, or None where there are none.

    Its name follows from its content, so a repetition that says something else cannot collide.
    """
    lines = [e.line() + b"\n" for e in entries]
    if not lines:
        return None
    data = b"".join(lines)
    digest = hashlib.sha256(data).hexdigest()[:16]
    stored = store.create(f"{incident.evidence_prefix}/entries/{name}-{digest}.jsonl", data)
    return StoredList(key=stored.key, sha256=stored.sha256, count=len(lines), size=stored.size)


def evidence_state(store: EvidenceStore, head: Head) -> EvidenceState:
    """Where the chain stands."""
    return EvidenceState(
        store=store.location,
        artefacts=head.artefacts,
        bytes=head.bytes,
        manifests=head.manifests,
        manifest_sha256=head.sha256,
    )
