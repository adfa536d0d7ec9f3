"""The stand-in's ECR: the archive and the bytes of layers, over the JSON protocol."""

import pytest
import urllib3
from botocore.exceptions import ClientError

from devstack.stack import StackInfo
from tests.image.registry import ecr_client, new_repository, push

pytestmark = pytest.mark.stack


def test_an_archived_image_is_there_and_cannot_be_pulled_until_it_is_restored(stack: StackInfo) -> None:
    ecr = ecr_client(stack)
    name, uri = new_repository(ecr)
    pushed = push(ecr, name, uri, "1.0")
    ids = [{"imageDigest": pushed.digest}]

    def status() -> str:
        found = ecr.describe_images(repositoryName=name, imageIds=ids, filter={"imageStatus": "ANY"})  # type: ignore[arg-type]
        return found["imageDetails"][0]["imageStatus"]

    archived = ecr.update_image_storage_class(repositoryName=name, imageId=ids[0], targetStorageClass="ARCHIVE")  # type: ignore[arg-type]
    assert archived["imageStatus"] == status() == "ARCHIVED"
    assert ecr.batch_get_image(repositoryName=name, imageIds=ids)["failures"][0]["failureCode"] == "ImageNotFound"  # type: ignore[arg-type]
    # Without a filter only active images are described.
    assert ecr.describe_images(repositoryName=name)["imageDetails"] == []

    ecr.update_image_storage_class(repositoryName=name, imageId=ids[0], targetStorageClass="STANDARD")  # type: ignore[arg-type]
    assert [status(), status()] == ["ACTIVATING", "ACTIVE"]
    images = ecr.batch_get_image(repositoryName=name, imageIds=ids)["images"]  # type: ignore[arg-type]
    assert images[0]["imageManifest"].encode() == pushed.manifest


def test_a_layer_comes_back_as_it_was_pushed(stack: StackInfo) -> None:
    ecr = ecr_client(stack)
    name, uri = new_repository(ecr)
    pushed = push(ecr, name, uri, "1.0")
    for digest, data in pushed.blobs.items():
        url = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest)["downloadUrl"]
        assert urllib3.request("GET", url).data == data
    with pytest.raises(ClientError, match="LayersNotFoundException"):
        ecr.get_download_url_for_layer(repositoryName=name, layerDigest=f"sha256:{'0' * 64}")


def test_what_is_not_there_is_said_in_ecrs_own_words(stack: StackInfo) -> None:
    ecr = ecr_client(stack)
    name, uri = new_repository(ecr)
    pushed = push(ecr, name, uri, "1.0")
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        ecr.describe_images(repositoryName=f"{name}-not")
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        ecr.describe_images(repositoryName=name, imageIds=[{"imageDigest": f"sha256:{'0' * 64}"}])
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecr.update_image_storage_class(
            repositoryName=name,
            imageId={"imageDigest": pushed.digest},
            targetStorageClass="GLACIER",  # type: ignore[arg-type]
        )
