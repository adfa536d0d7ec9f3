"""What ECR does and moto does not: the archive, and layers that can be downloaded again.

Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive_restore_image.html
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ecr.models import Image, Repository, ecr_backends

from devstack.aws.registry import AwsError, Call, Service

LAYER_ROUTE = "ecr/layers/"


class EcrImages:
    """Storage classes of images and the bytes of their layers; everything else of a repository is moto's."""

    def __init__(self) -> None:
        self._layers: dict[str, bytes] = {}
        self._status: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def service(self) -> Service:
        """The operations that are answered here."""
        service = Service("ecr", "InvalidParameterException")
        service.register("UpdateImageStorageClass", self.update_image_storage_class)
        service.register("DescribeImages", self.describe_images)
        service.register("BatchGetImage", self.batch_get_image)
        service.register("CompleteLayerUpload", self.complete_layer_upload)
        service.register("GetDownloadUrlForLayer", self.get_download_url_for_layer)
        return service

    def layer(self, digest: str) -> bytes:
        """The bytes behind a download URL.

        Raises:
            AwsError: There are none.
        """
        try:
            return self._layers[digest]
        except KeyError:
            raise AwsError("NoSuchKey", "The specified key does not exist.", status=404) from None

    def update_image_storage_class(self, call: Call) -> dict[str, Any]:
        """Archive an image, or begin to restore it, which takes AWS up to 20 minutes."""
        target = call.parameters["targetStorageClass"]
        if target not in ("STANDARD", "ARCHIVE"):
            raise AwsError("InvalidParameterException", f"targetStorageClass: {target}")
        image = _image(call, call.parameters["imageId"])
        key = self._key(call, image)
        with self._lock:
            now = self._status.get(key, "ACTIVE")
            if target == "ARCHIVE":
                self._status[key] = "ARCHIVED"
            elif now != "ACTIVE":
                self._status[key] = "ACTIVATING"
            status = self._status.get(key, "ACTIVE")
        return {
            "registryId": image.registry_id,
            "repositoryName": image.repository_name,
            "imageId": {"imageDigest": image.get_image_digest()},
            "imageStatus": status,
        }

    def describe_images(self, call: Call) -> dict[str, Any]:
        """Images as moto keeps them, with their storage status; without a filter only the active ones."""
        wanted = (call.parameters.get("filter") or {}).get("imageStatus", "ACTIVE")
        named = call.parameters.get("imageIds")
        images = [_image(call, i) for i in named] if named else list(_repository(call).images)
        found = []
        for image in images:
            status = self._looked_at(self._key(call, image))
            if wanted in ("ANY", status):
                found.append(_detail(image, status))
            elif named:
                raise _not_found(image.get_image_digest())
        return {"imageDetails": found}

    def batch_get_image(self, call: Call) -> dict[str, Any]:
        """Manifests; one that is in the archive is not found."""
        images, failures = [], []
        _repository(call)
        for identifier in call.parameters["imageIds"]:
            try:
                image = _image(call, identifier)
            except AwsError:
                image = None
            if image is None or self._status.get(self._key(call, image), "ACTIVE") != "ACTIVE":
                reason = {"failureCode": "ImageNotFound", "failureReason": "Requested image not found"}
                failures.append({"imageId": identifier, **reason})
                continue
            images.append(
                {
                    "registryId": image.registry_id,
                    "repositoryName": image.repository_name,
                    "imageId": {"imageDigest": image.get_image_digest()},
                    "imageManifest": image.image_manifest,
                    "imageManifestMediaType": image.image_manifest_media_type or "",
                }
            )
        return {"images": images, "failures": failures}

    def complete_layer_upload(self, call: Call) -> dict[str, Any]:
        """Keep the bytes, of which moto only keeps the length."""
        repository = _repository(call)
        upload = repository.uploads.get(call.parameters["uploadId"])
        if upload is not None:
            data = bytes(upload.layer_parts)
            self._layers[f"sha256:{hashlib.sha256(data).hexdigest()}"] = data
        with _moto_errors():
            answer: dict[str, Any] = ecr_backends[call.account][call.region].complete_layer_upload(
                repository.name, call.parameters["uploadId"], call.parameters["layerDigests"]
            )
        return answer

    def get_download_url_for_layer(self, call: Call) -> dict[str, Any]:
        """Where a layer that some image of the repository refers to can be fetched without credentials."""
        digest = call.parameters["layerDigest"]
        repository = _repository(call)
        if digest not in repository.layers or digest not in self._layers:
            raise AwsError("LayersNotFoundException", f"The layer {digest} was not found")
        holders = [i for i in repository.images if digest in i.image_manifest]
        if not any(self._status.get(self._key(call, i), "ACTIVE") == "ACTIVE" for i in holders):
            raise AwsError("LayerInaccessibleException", f"The layer {digest} is not associated with an image")
        return {"downloadUrl": f"{call.endpoint}/_firebreak/{LAYER_ROUTE}{digest}", "layerDigest": digest}

    def _looked_at(self, key: tuple[str, str]) -> str:
        """The status; an image that is being restored is active when it is looked at the next time."""
        with self._lock:
            status = self._status.get(key, "ACTIVE")
            if status == "ACTIVATING":
                self._status[key] = "ACTIVE"
        return status

    @staticmethod
    def _key(call: Call, image: Image) -> tuple[str, str]:
        return f"{call.account}/{call.region}/{image.repository_name}", image.get_image_digest()


@contextmanager
def _moto_errors() -> Iterator[None]:
    try:
        yield
    except ServiceException as error:
        raise AwsError(error.code, str(error.message)) from error


def _repository(call: Call) -> Repository:
    with _moto_errors():
        return ecr_backends[call.account][call.region]._get_repository(
            call.parameters["repositoryName"], call.parameters.get("registryId")
        )


def _image(call: Call, identifier: dict[str, str]) -> Image:
    with _moto_errors():
        return _repository(call)._get_image(identifier.get("imageTag"), identifier.get("imageDigest"))


def _not_found(digest: str) -> AwsError:
    return AwsError("ImageNotFoundException", f"The image with imageId {digest} does not exist within the repository")


def _detail(image: Image, status: str) -> dict[str, Any]:
    manifest = json.loads(image.image_manifest)
    size = sum(int(part.get("size", 0)) for part in manifest.get("layers", ()))
    return {
        "registryId": image.registry_id,
        "repositoryName": image.repository_name,
        "imageDigest": image.get_image_digest(),
        "imageTags": list(image.image_tags),
        "imageSizeInBytes": size,
        "imagePushedAt": datetime.fromtimestamp(image.image_pushed_at, UTC),
        "imageManifestMediaType": image.image_manifest_media_type or "",
        "imageStatus": status,
    }
