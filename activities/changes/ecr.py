"""What steps change in ECR: the storage class of an image, an image as a whole, the policy of a repository.

An image is named `repository@sha256:…`; account and region are those of the installation.
"""

from __future__ import annotations

import json
from typing import Any, Final

from activities.changes.kinds import Values, register
from clients.aws.ecr import Ecr
from errors import Conflict, InputError, TargetGone
from plans.model import ResourceRef

STORAGE: Final = "/storageClass"
IMAGE, MANIFEST, POLICY = "EcrImage", "EcrManifest", "EcrRepositoryPolicy"


class StorageClassKind:
    """The storage class of an image: STANDARD, or ARCHIVE, from which nothing can be pulled.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive_restore_image.html
    """

    undoable = True

    def __init__(self, ecr: Ecr) -> None:
        self._ecr = ecr

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """An image that is being restored is on its way to STANDARD, and nobody has to ask for it again."""
        status = self._ecr.image(*_parts(ref)).status
        return dict.fromkeys(fields, "ARCHIVE" if status == "ARCHIVED" else "STANDARD")

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Archive it, or begin to restore it."""
        self._ecr.set_storage_class(*_parts(ref), "ARCHIVE" if new[STORAGE] == "ARCHIVE" else "STANDARD")


class ManifestKind:
    """An image as a whole, with its tags: it can be deleted, and nothing here brings it back."""

    undoable = False

    def __init__(self, ecr: Ecr) -> None:
        self._ecr = ecr

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The tags of the image, which say more to people than the digest; None when it is gone."""
        try:
            found: Any = {"tags": sorted(self._ecr.image(*_parts(ref)).tags)}
        except TargetGone:
            found = None
        return dict.fromkeys(fields, found)

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Delete it by digest, which takes all its tags with it."""
        if new[""] is not None:
            raise InputError("change", "the deletion of an image", f"{ref}")
        self._ecr.delete(*_parts(ref))


class RepositoryPolicyKind:
    """The policy of a repository, decoded; None is a repository without one."""

    undoable = True

    def __init__(self, ecr: Ecr) -> None:
        self._ecr = ecr

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The policy as it stands.

        Raises:
            Conflict: It is no JSON, so that nothing can be compared with it.
        """
        text = self._ecr.policy(ref.name)
        try:
            return dict.fromkeys(fields, None if text is None else json.loads(text))
        except ValueError:
            raise Conflict(f"{ref}: its policy is not JSON") from None

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Replace it, or take it away."""
        value = new[""]
        self._ecr.set_policy(ref.name, None if value is None else json.dumps(value))


def _parts(ref: ResourceRef) -> tuple[str, str]:
    repository, at, digest = ref.name.partition("@")
    if not at:
        raise InputError("image", "repository@sha256:…", ref.name[:200])
    return repository, digest


register(IMAGE, lambda doors: StorageClassKind(doors.aws.ecr))
register(MANIFEST, lambda doors: ManifestKind(doors.aws.ecr))
register(POLICY, lambda doors: RepositoryPolicyKind(doors.aws.ecr))
