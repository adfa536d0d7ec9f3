"""Where the evidence keeps a copy of an image: manifests by their digest, and each blob that they refer to once."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime

from activities.custody import activity_name
from activities.image.manifest import parse
from errors import InputError, TargetGone
from evidence.entry import Entry, EntrySubject, Outcome
from evidence.store import EvidenceStore, Stored, read_bytes


def folder(digest: str) -> str:
    """The place of one image below the incident's prefix; a digest has plain characters only."""
    return f"images/{digest.removeprefix('sha256:')}"


def blob_key(digest: str) -> str:
    """The place of a layer or configuration, which several images may share."""
    return f"images/blobs/{digest.removeprefix('sha256:')}"


def complete_key(digest: str) -> str:
    """What is written last, once everything else of an image is in the store."""
    return f"{folder(digest)}/complete.json"


def is_exported(store: EvidenceStore, prefix: str, digest: str) -> bool:
    """Whether the incident's evidence holds a whole copy of an image."""
    key = f"{prefix}/{complete_key(digest)}"
    return bool(digest) and key in set(store.keys(f"{prefix}/{folder(digest)}"))


def images_of_index(store: EvidenceStore, prefix: str, digest: str) -> tuple[str, ...]:
    """The images that an index refers to, as the evidence holds it; none for a plain image, or one without a copy."""
    try:
        return parse(read_bytes(store, f"{prefix}/{folder(digest)}/manifest.json")).children
    except (TargetGone, InputError):
        return ()


class EntryMaker:
    """Makes the entries of one activity."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def collected(self, stored: Stored, prefix: str, kind: str, source: str, name: str, reason: str = "") -> Entry:
        """For an artefact that is in the store."""
        return Entry(
            key=stored.key.removeprefix(f"{prefix}/"),
            sha256=stored.sha256,
            size=stored.size,
            kind=kind,
            source=source,
            subject=EntrySubject(kind="Image", name=name),
            collected_at=datetime.now(UTC),
            activity=activity_name(),
            worker=self._worker,
            reason=reason,
        )

    def failed(self, kind: str, source: str, name: str, reason: str) -> Entry:
        """For one that could not be had."""
        return Entry(
            kind=kind,
            source=source,
            subject=EntrySubject(kind="Image", name=name),
            collected_at=datetime.now(UTC),
            activity=activity_name(),
            worker=self._worker,
            outcome=Outcome.FAILED,
            reason=reason,
        )


def present(store: EvidenceStore, prefix: str) -> Container[str]:
    """The keys that an earlier attempt left."""
    return frozenset(store.keys(f"{prefix}/images"))
