"""ECR: images by digest, their manifests and layers, their storage class, scans, and the policies of repositories.

Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import urllib3

from clients.aws.errors import translated
from clients.aws.sdk import Service
from errors import Conflict, Forbidden, TargetGone, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_MEDIA_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+json",
)
_CHUNK: Final = 1 << 16


class ImageState(NamedTuple):
    """An image as ECR keeps it. `status` is ACTIVE, ARCHIVED or ACTIVATING."""

    status: str
    tags: tuple[str, ...]
    size: int


class Manifest(NamedTuple):
    """A manifest as it was pushed, to the byte: its sha256 is the image's digest."""

    media_type: str
    text: bytes


class Ecr(Service):
    """The private registry of one account and region. Where repository or image does not exist: TargetGone."""

    _downloads: urllib3.PoolManager | None = None

    @property
    def _client(self) -> ECRClient:
        client: ECRClient = self._sdk.client("ecr")
        return client

    def image(self, repository: str, digest: str) -> ImageState:
        """One image, archived ones included: without a filter ECR tells of active ones only."""
        with translated("ecr:DescribeImages"):
            found = self._client.describe_images(
                repositoryName=repository, imageIds=[{"imageDigest": digest}], filter={"imageStatus": "ANY"}
            )["imageDetails"]
        if not found:
            raise TargetGone(f"ecr:DescribeImages: {repository} holds no image {digest}")
        one = found[0]
        status = one.get("imageStatus", "ACTIVE")
        return ImageState(status, tuple(one.get("imageTags") or ()), int(one.get("imageSizeInBytes") or 0))

    def manifest(self, repository: str, digest: str) -> Manifest:
        """The manifest of an image, or of an index of several. An archived image is not found."""
        with translated("ecr:BatchGetImage"):
            answer = self._client.batch_get_image(
                repositoryName=repository, imageIds=[{"imageDigest": digest}], acceptedMediaTypes=list(_MEDIA_TYPES)
            )
        if not answer["images"]:
            raise _failed("ecr:BatchGetImage", repository, digest, answer.get("failures") or ())
        image = answer["images"][0]
        return Manifest(image.get("imageManifestMediaType") or "", image["imageManifest"].encode())

    def layer(self, repository: str, digest: str) -> Iterator[bytes]:
        """The bytes of a layer or of an image's configuration, in chunks, from where ECR says that they are."""
        with translated("ecr:GetDownloadUrlForLayer"):
            url = self._client.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)["downloadUrl"]
        if self._downloads is None:
            self._downloads = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=15), retries=False)
        try:
            # The URL is signed and carries its own credentials: it appears in no message.
            response = self._downloads.request("GET", url, preload_content=False, redirect=False)
            try:
                if response.status != 200:
                    raise Unavailable(f"the download of {digest} answered {response.status}")
                yield from response.stream(_CHUNK)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the download of {digest} broke off: {type(error).__name__}") from error

    def set_storage_class(self, repository: str, digest: str, target: Literal["STANDARD", "ARCHIVE"]) -> str:
        """Archive an image, or begin to restore it; returns its status."""
        with self._changing("ecr:UpdateImageStorageClass"):
            return self._client.update_image_storage_class(
                repositoryName=repository, imageId={"imageDigest": digest}, targetStorageClass=target
            )["imageStatus"]

    def delete(self, repository: str, digest: str) -> None:
        """Delete an image with all its tags. One that is gone already is a success.

        Raises:
            Conflict: An index of several images refers to it.
        """
        with self._changing("ecr:BatchDeleteImage"):
            answer = self._client.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
        failures = [f for f in answer.get("failures") or () if f.get("failureCode") != "ImageNotFound"]
        if failures:
            raise _failed("ecr:BatchDeleteImage", repository, digest, failures)

    def policy(self, repository: str) -> str | None:
        """The text of a repository's policy; None where it has none."""
        try:
            with translated("ecr:GetRepositoryPolicy"):
                return self._client.get_repository_policy(repositoryName=repository)["policyText"]
        except TargetGone as gone:
            if "RepositoryPolicyNotFound" in gone.message:
                return None
            raise

    def set_policy(self, repository: str, text: str | None) -> None:
        """Replace a repository's policy; None takes it away."""
        if text is None:
            with self._changing("ecr:DeleteRepositoryPolicy"):
                self._client.delete_repository_policy(repositoryName=repository)
            return
        with self._changing("ecr:SetRepositoryPolicy"):
            self._client.set_repository_policy(repositoryName=repository, policyText=text)

    def images(self, repository: str) -> list[tuple[str, tuple[str, ...]]]:
        """Digest and tags of every image of a repository."""
        with translated("ecr:DescribeImages"):
            pages = self._client.get_paginator("describe_images").paginate(
                repositoryName=repository, filter={"imageStatus": "ANY"}
            )
            return [(i["imageDigest"], tuple(i.get("imageTags") or ())) for p in pages for i in p["imageDetails"]]

    def scan(self, repository: str, digest: str) -> dict[str, Any]:
        """What the last scan says: `imageScanStatus`, and the first page of `imageScanFindings` with its counts.

        Raises:
            TargetGone: It was never scanned, or is not there.
        """
        with translated("ecr:DescribeImageScanFindings"):
            answer = self._client.describe_image_scan_findings(
                repositoryName=repository, imageId={"imageDigest": digest}, maxResults=1000
            )
        kept = ("imageScanStatus", "imageScanFindings")
        return {k: v for k, v in answer.items() if k in kept}

    def start_scan(self, repository: str, digest: str) -> None:
        """Begin a scan; ECR allows one a day for each image."""
        with self._changing("ecr:StartImageScan"):
            self._client.start_image_scan(repositoryName=repository, imageId={"imageDigest": digest})


def _failed(
    operation: str, repository: str, digest: str, failures: Sequence[Any]
) -> TargetGone | Conflict | Forbidden | Unavailable:
    """The error for an answer that carries its refusals inside."""
    first = failures[0] if failures else {}
    code = str(first.get("failureCode", "no answer"))
    message = f"{operation}: {repository}@{digest}: {code} {first.get('failureReason', '')}"
    if code == "ImageNotFound" or not failures:
        return TargetGone(message)
    if code == "ImageReferencedByManifestList":
        return Conflict(message)
    if code in ("UpstreamAccessDenied", "ImageInaccessible", "KmsError"):
        return Forbidden(message)
    return Unavailable(message)
