"""The pods that an activity acts on: inline in the request, or a list in the evidence store whose hash is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from contracts.common import PodTarget, PodTargets
from errors import EvidenceError
from evidence.store import EvidenceStore, read_bytes


def read_targets(store: EvidenceStore, targets: PodTargets) -> Sequence[PodTarget]:
    """All pods of a request, in their order.

    The list is hashed before its first line is used: nobody is cut off because of a line that somebody added.

    Raises:
        EvidenceError: The list in the store is not the one that the request names, or cannot be read.
        TargetGone: It does not exist.
    """
    if targets.reference is None:
        return targets.inline
    data = read_bytes(store, targets.reference.key)
    found = hashlib.sha256(data).hexdigest()
    if found != targets.reference.sha256:
        raise EvidenceError(
            f"{targets.reference.key}: the list of targets has the sha256 {found}, not {targets.reference.sha256}"
        )
    pods = list(_parse(data, targets.reference.key))
    if len(pods) != targets.reference.count:
        raise EvidenceError(f"{targets.reference.key}: {len(pods)} targets, not {targets.reference.count}")
    return pods


def _parse(data: bytes, key: str) -> Iterator[PodTarget]:
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            yield PodTarget.model_validate_json(line)
        except ValidationError as error:
            raise EvidenceError(f"{key}: line {number} is not a target: {error.errors()[0]['msg']}") from None
