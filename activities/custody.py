"""What the activities of custody share: who acts, and where the chain stands, in the words of the contracts."""

from __future__ import annotations

from temporalio import activity

from contracts.common import EvidenceState
from evidence.manifest import Head
from evidence.store import EvidenceStore


def activity_name() -> str:
    """The running activity, as entries name it: type, id and attempt."""
    info = activity.info()
    return f"{info.activity_type}/{info.activity_id}/{info.attempt}"


def evidence_state(store: EvidenceStore, head: Head) -> EvidenceState:
    """Where the chain stands."""
    return EvidenceState(
        store=store.location,
        artefacts=head.artefacts,
        bytes=head.bytes,
        manifests=head.manifests,
        manifest_sha256=head.sha256,
    )
