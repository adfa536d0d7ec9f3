"""The activity `seal_evidence`: the entries of one phase, and the changes so far, into the next numbered manifest."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

from temporalio import activity

from activities.custody import activity_name, evidence_state
from activities.doors import Doors
from contracts.activities import SealRequest
from contracts.common import EvidenceState, StoredList
from contracts.names import ActivityName
from errors import EvidenceError
from evidence.document import SealedList
from evidence.entry import Entry, canonical
from evidence.manifest import seal

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Sealing:
    """Chains evidence into manifests. Only this activity and the report's do.

    Args:
        doors: The evidence store, and the worker's identity.
    """

    def __init__(self, doors: Doors) -> None:
        self._store = doors.store
        self._worker = doors.temporal.identity

    @activity.defn(name=ActivityName.SEAL_EVIDENCE, no_thread_cancel_exception=True)
    def seal_evidence(self, request: SealRequest) -> EvidenceState:
        """Seal one phase. The same request again, also after a crash half-way, gives the same one manifest.

        Raises:
            EvidenceError: A list of entries is not what its collector returned, or the store failed.
        """
        prefix = request.incident.evidence_prefix
        lists = [_below(prefix, one) for one in request.entries]
        entries = [self._store_changes(request, prefix)] if request.changes else []
        head = seal(self._store, prefix, request.phase, lists, entries, sealed_by=self._worker)
        return evidence_state(self._store, head)

    def _store_changes(self, request: SealRequest, prefix: str) -> Entry:
        """Write the changes as they stand. The key follows from the content, so a repetition finds its own file."""
        undone = set(request.undone)
        lines = [
            canonical({"change": c.model_dump(mode="json"), "key": c.key, "undone": c.key in undone}) + b"\n"
            for c in request.changes
        ]
        data = b"".join(lines)
        word = _UNSAFE.sub("-", request.phase)[:40].strip("-.") or "phase"
        key = f"changes/{word}-{hashlib.sha256(data).hexdigest()[:16]}.jsonl"
        stored = self._store.create(f"{prefix}/{key}", data)
        return Entry(
            key=key,
            sha256=stored.sha256,
            size=stored.size,
            kind="changes",
            source=f"the workflow's history, {len(request.changes)} changes",
            collected_at=datetime.now(UTC),
            activity=activity_name(),
            worker=self._worker,
        )


def _below(prefix: str, stored: StoredList) -> SealedList:
    if not stored.key.startswith(f"{prefix}/"):
        raise EvidenceError(f"{stored.key} does not belong to this incident")
    return SealedList(
        key=stored.key.removeprefix(f"{prefix}/"), sha256=stored.sha256, count=stored.count, size=stored.size
    )
