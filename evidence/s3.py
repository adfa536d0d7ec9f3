"""Evidence in an S3 bucket: streamed in parts, written if-none-match, retained by Object Lock when the bucket has it.

The first parts are kept back until it is known whether the object is short: a short one is a single PutObject, a long
one a multipart upload that becomes visible only when it is completed. Both carry `If-None-Match: *`, so S3 itself
refuses to replace a key, and a SHA-256 checksum of each request, which Object Lock demands.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from errors import Conflict, EvidenceError, FirebreakError, Forbidden, TargetGone, Throttled, Unavailable
from evidence.retention import Lock, Retention
from evidence.store import Stored, check_key, is_below, rehash

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_SIZE: Final = 8 << 20
"""S3 wants at least 5 MiB; 10,000 parts of 8 MiB are 78 GiB. One part and the chunk at hand are in memory."""
_CHUNK: Final = 1 << 20


class S3Store:
    """A prefix of a bucket.

    Args:
        client: A boto3 S3 client; boto3 clients may be shared between threads.
        bucket: Name of the bucket.
        prefix: Plain segments without a slash at either end, or "".
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._retention = Retention(client, bucket)

    @property
    def location(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self._bucket}/{self._prefix}" if self._prefix else f"s3://{self._bucket}"

    @property
    def lock(self) -> Lock:
        """Whether the bucket keeps objects from being deleted, for `doctor`."""
        with _translating("object lock"):
            return self._retention.lock

    def put(self, key: str, chunks: Iterable[bytes]) -> Stored:
        """See `EvidenceStore.put`."""
        name = self._name(key)
        digest, size = hashlib.sha256(), 0

        def hashed() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        parts = _in_parts(hashed())
        first = next(parts, b"")
        second = next(parts, None)
        try:
            if second is None:
                self._put_short(key, name, first)
            else:
                self._put_long(key, name, first, second, parts)
        except _KeyTakenError:
            # A long stream may have been cut short by the refusal only at its end, so it has been hashed in full.
            stored = Stored(key, digest.hexdigest(), size)
            if rehash(self, key) != stored:
                raise Conflict(f"{key} holds other content already") from None
        return Stored(key, digest.hexdigest(), size)

    def create(self, key: str, data: bytes) -> Stored:
        """See `EvidenceStore.create`."""
        return self.put(key, (data,))

    def get(self, key: str) -> Iterator[bytes]:
        """See `EvidenceStore.get`."""
        name = self._name(key)
        with _translating(key):
            body = self._client.get_object(Bucket=self._bucket, Key=name)["Body"]

        def read() -> Iterator[bytes]:
            with body:
                while True:
                    with _translating(key):
                        chunk = body.read(_CHUNK)
                    if not chunk:
                        return
                    yield chunk

        return read()

    def keys(self, prefix: str) -> Iterator[str]:
        """See `EvidenceStore.keys`."""
        start = self._name(prefix) if prefix else self._prefix
        strip = len(self._prefix) + 1 if self._prefix else 0
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start))
        while True:
            with _translating(prefix or "keys"):
                page = next(pages, None)
            if page is None:
                return
            names = (item["Key"] for item in page.get("Contents", ()))
            yield from (name[strip:] for name in names if is_below(name, start))

    def _name(self, key: str) -> str:
        check_key(key)
        return f"{self._prefix}/{key}" if self._prefix else key

    def _put_short(self, key: str, name: str, data: bytes) -> None:
        with _translating(key):
            self._client.put_object(
                Bucket=self._bucket,
                Key=name,
                Body=data,
                IfNoneMatch="*",
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
                **self._retention.arguments(),
            )

    def _put_long(self, key: str, name: str, first: bytes, second: bytes, rest: Iterator[bytes]) -> None:
        with _translating(key):
            upload = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=name, ChecksumAlgorithm="SHA256", **self._retention.arguments()
            )["UploadId"]
        done = False
        try:
            parts: list[CompletedPartTypeDef] = [self._put_part(key, name, upload, 1, first)]
            del first
            parts.append(self._put_part(key, name, upload, 2, second))
            del second
            parts += (self._put_part(key, name, upload, n, part) for n, part in enumerate(rest, start=3))
            with _translating(key):
                self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=name, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
                )
            done = True
        finally:
            if not done:
                self._abort(name, upload)

    def _put_part(self, key: str, name: str, upload: str, number: int, data: bytes) -> CompletedPartTypeDef:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        with _translating(key):
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=name,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=checksum,
            )
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def _abort(self, name: str, upload: str) -> None:
        """Give the parts back. An upload that stays is invisible, and a lifecycle rule of the bucket removes it."""
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload)
        except (ClientError, BotoCoreError):
            return


class _KeyTakenError(Exception):
    """S3 answered that the key exists."""


def _in_parts(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of `PART_SIZE`, the last one shorter."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= PART_SIZE:
            yield bytes(memoryview(buffer)[:PART_SIZE])
            del buffer[:PART_SIZE]
    if buffer:
        yield bytes(buffer)


@contextmanager
def _translating(key: str) -> Iterator[None]:
    """Turn what S3 says into our tree: the one place where this store translates."""
    try:
        yield
    except ClientError as error:
        raise _translate(key, error) from error
    except BotoCoreError as error:
        raise Unavailable(f"{key}: S3 does not answer: {type(error).__name__}") from error


def _translate(key: str, error: ClientError) -> FirebreakError | _KeyTakenError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{key}: S3 answers {code or status}"
    if code == "PreconditionFailed" or status == 412:
        return _KeyTakenError(text)
    if code in ("NoSuchKey", "404"):
        return TargetGone(text)
    if code in ("SlowDown", "RequestLimitExceeded", "Throttling", "ThrottlingException"):
        return Throttled(text)
    if status in (401, 403):
        return Forbidden(text)
    # 409 stands for two writers at the same moment: a repetition finds out who was first.
    if status >= 500 or code == "ConditionalRequestConflict":
        return Unavailable(text)
    return EvidenceError(text)
