"""How the targets of an incident travel: in the result up to 200, else as a list in the evidence store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from contracts.common import INLINE_LIMIT, IncidentKey, PodTarget, PodTargets, StoredList
from errors import Conflict, EvidenceError, FirebreakError
from evidence.store import EvidenceStore, Stored

_MOST_INLINE = 4000
"""At about 300 bytes each this stays well below the 2 MB of a payload."""


def carry_targets(store: EvidenceStore, incident: IncidentKey, targets: Sequence[PodTarget]) -> tuple[PodTargets, str]:
    """Give the targets a form that fits into the history.

    Args:
        store: The evidence store.
        incident: Whose prefix the list gets.
        targets: All targets, in their order.

    Returns:
        The targets, and a warning when the store could not take a list that belonged there.

    Raises:
        EvidenceError: The store does not take the list, and it is too long to travel without.
    """
    if len(targets) <= INLINE_LIMIT:
        return PodTargets(count=len(targets), inline=tuple(targets)), ""
    data = "".join(f"{t.model_dump_json()}\n" for t in targets).encode()
    try:
        stored = _store(store, incident.evidence_prefix, data)
    except FirebreakError as error:
        if len(targets) > _MOST_INLINE:
            raise EvidenceError(f"{len(targets)} targets need a list in the evidence store: {error.message}") from error
        warning = f"The evidence store does not take the list of targets, so the history carries it: {error.message}"
        return PodTargets(count=len(targets), inline=tuple(targets)), warning
    reference = StoredList(key=stored.key, sha256=stored.sha256, count=len(targets), size=stored.size)
    return PodTargets(count=len(targets), reference=reference), ""


def _store(store: EvidenceStore, prefix: str, data: bytes) -> Stored:
    try:
        return store.create(f"{prefix}/targets.jsonl", data)
    except Conflict:
        # An earlier attempt, or the incident's first look, found other pods; what it wrote is kept.
        return store.create(f"{prefix}/targets-{hashlib.sha256(data).hexdigest()[:16]}.jsonl", data)
