"""Images in ECR as a client pushes them: layers, configuration, manifest, and a digest that is the manifest's."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from devstack.stack import StackInfo

if TYPE_CHECKING:
    from mypy_boto3_ecr.client import ECRClient

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Pushed:
    """An image that lies in ECR."""

    repository: str
    uri: str
    digest: str
    manifest: bytes
    blobs: dict[str, bytes]

    @property
    def by_digest(self) -> str:
        """`registry/repository@sha256:…`, as a pod's status names it."""
        return f"{self.uri}@{self.digest}"


def ecr_client(stack: StackInfo) -> ECRClient:
    """ECR as whoever pushes images sees it."""
    variables = stack.environment()
    session = boto3.session.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )
    config = Config(retries={"total_max_attempts": 1})
    client: ECRClient = session.client("ecr", endpoint_url=variables["AWS_ENDPOINT_URL"], config=config)
    return client


def new_repository(ecr: ECRClient, name: str = "") -> tuple[str, str]:
    """A repository of its own; returns its name and address."""
    name = name or f"shop/web-{secrets.token_hex(4)}"
    return name, ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]


def push(ecr: ECRClient, repository: str, uri: str, *tags: str, lost: bool = False) -> Pushed:
    """Push an image of random layers under one or more tags; `lost` has one that the registry cannot give back."""
    parts = [f"layer {secrets.token_hex(8)}".encode() * 1000 for _ in range(2)]
    config = json.dumps({"architecture": "amd64", "os": "linux", "salt": secrets.token_hex(8)}).encode()
    blobs = {_upload(ecr, repository, data): data for data in [config, *parts]}
    digests = list(blobs)
    missing = [{"mediaType": _LAYER, "digest": f"sha256:{secrets.token_hex(32)}", "size": 1}] if lost else []
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": digests[0], "size": len(config)},
        "layers": [
            *({"mediaType": _LAYER, "digest": d, "size": len(p)} for d, p in zip(digests[1:], parts, strict=True)),
            *missing,
        ],
    }
    return _put(ecr, repository, uri, json.dumps(manifest), MANIFEST, tags, blobs)


def push_index(ecr: ECRClient, repository: str, uri: str, children: list[Pushed], *tags: str) -> Pushed:
    """Push an index over images that lie there already."""
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{"mediaType": MANIFEST, "digest": c.digest, "size": len(c.manifest)} for c in children],
    }
    blobs = {digest: data for child in children for digest, data in child.blobs.items()}
    return _put(ecr, repository, uri, json.dumps(index), INDEX, tags, blobs)


def _put(
    ecr: ECRClient, repository: str, uri: str, manifest: str, media: str, tags: tuple[str, ...], blobs: dict[str, bytes]
) -> Pushed:
    digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    for tag in tags or ("",):
        named = {"imageTag": tag} if tag else {}
        ecr.put_image(
            repositoryName=repository,
            imageManifest=manifest,
            imageManifestMediaType=media,
            imageDigest=digest,
            **named,
        )
    return Pushed(repository, uri, digest, manifest.encode(), blobs)


def _upload(ecr: ECRClient, repository: str, data: bytes) -> str:
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data
    )
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])["layerDigest"]
