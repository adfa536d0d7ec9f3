"""The activity `export_image`: manifest, configuration and layers of an image become evidence before it goes (I1, P6).

Everything in a registry is named by its sha256, so each part is checked while it is streamed: what the evidence holds
is what ran, to the byte. An index of several images is kept with all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

from temporalio import activity

from activities.custody import store_entries
from activities.doors import Doors
from activities.image.evidence import EntryMaker, blob_key, complete_key, folder, present
from activities.image.manifest import Parsed, Part, parse
from activities.image.registry import owner_tasks, sort_images
from activities.isolation.walk import SYSTEMIC, failure_of
from activities.steps import Planner, StepRoom, beat
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import Conflict, EvidenceError, FirebreakError, InputError, TargetGone
from evidence.entry import Entry, canonical
from evidence.store import Stored, rehash
from plans.images import EcrImage, shown_all
from plans.model import ResourceRef

MOST_BYTES: Final = 30 << 30
"""A larger image is not copied: whoever pushed it decides how large it is, and evidence costs for years."""
_MOST_CHILDREN: Final = 100


class ExportActivities(StepRoom):
    """Copies images into the evidence.

    Args:
        doors: The clients.
        most_bytes: Of one image with everything that belongs to it.
    """

    def __init__(self, doors: Doors, *, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(doors)
        self._most_bytes = most_bytes

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"image.export": lambda request: StepPlan()}

    @activity.defn(name=ActivityName.EXPORT_IMAGE, no_thread_cancel_exception=True)
    def export_image(self, request: StepRequest) -> StepOutcome:
        """Copy every image of our registry; one that cannot be copied is recorded, and the others go on.

        Raises:
            Throttled, Unavailable: ECR does not answer; a retry goes on behind what is in the store.
            EvidenceError: The store failed.
        """
        ours, others = sort_images(request, self._doors.settings)
        entries: list[Entry] = []
        failures: list[Failure] = []
        exported: list[str] = []
        gone: list[str] = []
        for image in ours:
            try:
                if self._is_gone(image):
                    gone.append(image.name)
                    continue
                entries += _Copy(self._doors, request, image, self._most_bytes).run()
                exported.append(image.name)
            except (*SYSTEMIC, EvidenceError):
                raise
            except FirebreakError as error:
                failures.append(failure_of(request.step.step, ResourceRef(kind="EcrImage", name=image.name), error))
                maker = EntryMaker(self._doors.temporal.identity)
                entries.append(maker.failed("image", "ecr:BatchGetImage", image.name, f"{error.code}: {error.message}"))
        size = sum(e.size for e in entries)
        kept = (
            f"{shown_all(exported, 3)} kept as evidence, {len(entries)} artefacts of {size} bytes" if exported else ""
        )
        left = f"left to their owner: {shown_all(others, 3)}" if others else ""
        missing = f"gone from the registry already: {shown_all(gone, 3)}" if gone else ""
        return StepOutcome(
            complete=not failures,
            skipped=not exported and not failures,
            summary="; ".join(s for s in (kept, missing, left) if s) or "no image could be copied",
            failures=tuple(failures),
            tasks=owner_tasks(request, others, "Keep a copy of"),
            entries=store_entries(self._doors.store, request.incident, "image-export", entries),
            artefacts=sum(e.collected for e in entries),
        )

    def _is_gone(self, image: EcrImage) -> bool:
        try:
            status = self._doors.aws.ecr.image(image.repository, image.digest).status
        except TargetGone:
            return True
        if status != "ACTIVE":
            raise Conflict(f"{image.name} is {status.lower()} in ECR; it can be copied once it is restored")
        return False


class _Copy:
    """One image on its way into the evidence."""

    def __init__(self, doors: Doors, request: StepRequest, image: EcrImage, most_bytes: int) -> None:
        self._ecr = doors.aws.ecr
        self._store = doors.store
        self._image = image
        self._prefix = request.incident.evidence_prefix
        self._present = present(doors.store, self._prefix)
        self._maker = EntryMaker(doors.temporal.identity)
        self._left = most_bytes

    def run(self) -> list[Entry]:
        """Everything of the image; returns the entries, the last of which says that it is complete."""
        entries = list(self._image_of(self._image.digest, depth=0))
        parts = [{"key": e.key, "sha256": e.sha256, "size": e.size} for e in entries]
        data = canonical({"digest": self._image.digest, "repository": self._image.repository, "parts": parts})
        stored = self._store.create(f"{self._prefix}/{complete_key(self._image.digest)}", data)
        entries.append(self._entry(stored, "image-export", "the parts above"))
        return entries

    def _image_of(self, digest: str, depth: int) -> Iterator[Entry]:
        beat()
        manifest = self._ecr.manifest(self._image.repository, digest)
        if f"sha256:{hashlib.sha256(manifest.text).hexdigest()}" != digest:
            raise InputError("manifest", f"the content of {digest}", "something else, although ECR says that it is")
        key = f"{self._prefix}/{folder(digest)}/manifest.json"
        yield self._entry(self._store.create(key, manifest.text), "image-manifest", "ecr:BatchGetImage")
        parsed = parse(manifest.text)
        self._check_size(parsed)
        for part in parsed.blobs:
            yield self._blob(part)
        if depth and parsed.children:
            raise InputError("manifest", "an index of images", "an index of indexes")
        for child in parsed.children[:_MOST_CHILDREN]:
            yield from self._image_of(child, depth + 1)

    def _check_size(self, parsed: Parsed) -> None:
        if len(parsed.children) > _MOST_CHILDREN:
            raise InputError("image", f"an index of at most {_MOST_CHILDREN} images", str(len(parsed.children)))
        self._left -= sum(p.size for p in parsed.blobs)
        if self._left < 0:
            raise InputError("image", "an image that is small enough to be kept as evidence", self._image.name)

    def _blob(self, part: Part) -> Entry:
        key, source = f"{self._prefix}/{blob_key(part.digest)}", "ecr:GetDownloadUrlForLayer"
        if part.foreign:
            # Its addresses are the pusher's words, and nothing is fetched from there.
            reason = f"{part.digest} is a layer that the registry does not hold"
            return self._maker.failed("image-layer", source, self._image.name, reason)
        if key in self._present:
            return self._entry(rehash(self._store, key), "image-layer", source)
        chunks = self._ecr.layer(self._image.repository, part.digest)
        return self._entry(self._store.put(key, _exactly(part, chunks)), "image-layer", source)

    def _entry(self, stored: Stored, kind: str, source: str) -> Entry:
        return self._maker.collected(stored, self._prefix, kind, source, self._image.name)


def _exactly(part: Part, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks; the stream only ends if they are what the digest says, so that nothing else is ever stored."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if part.size and size > part.size:
            raise InputError("layer", f"{part.size} bytes, as the manifest says", "more")
        beat()
        yield chunk
    if f"sha256:{digest.hexdigest()}" != part.digest:
        raise InputError("layer", f"the content of {part.digest}", "something else, although ECR says that it is")
