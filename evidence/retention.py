"""How long S3 keeps an object from being deleted: Object Lock, as the bucket's owner set it up.

The bucket's default rule governs where there is one: its owner decided, and S3 applies it to every object by itself.
A bucket with Object Lock but without a default rule gets a retention of its own on each object, in governance mode,
because unprotected evidence in such a bucket is surely not what was meant, and compliance mode could not be undone.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RETENTION_DAYS: Final = 365
"""Where the bucket has no default rule: as long as most incidents take to be settled, audits included."""


class Lock(StrEnum):
    """What is known of a bucket's Object Lock."""

    NONE = "none"
    """Whoever may delete in the bucket can delete evidence; the chain of hashes still shows it."""
    BUCKET_DEFAULT = "bucket-default"
    PER_OBJECT = "per-object"
    UNKNOWN = "unknown"
    """We may not read the configuration. A default rule of the bucket would apply all the same."""


class RetentionArguments(TypedDict, total=False):
    """Arguments of PutObject and CreateMultipartUpload."""

    ObjectLockMode: Literal["GOVERNANCE"]
    ObjectLockRetainUntilDate: datetime


class Retention:
    """The Object Lock of one bucket, asked once, at the first write."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._guard = threading.Lock()
        self._lock: Lock | None = None

    @property
    def lock(self) -> Lock:
        """What the bucket has. Botocore's errors pass through: the store that asks translates them."""
        with self._guard:
            if self._lock is None:
                self._lock = self._probe()
            return self._lock

    def arguments(self) -> RetentionArguments:
        """What to add to a write."""
        if self.lock is not Lock.PER_OBJECT:
            return {}
        until = datetime.now(UTC) + timedelta(days=RETENTION_DAYS)
        return {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}

    def _probe(self) -> Lock:
        try:
            answer = self._client.get_object_lock_configuration(Bucket=self._bucket)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "ObjectLockConfigurationNotFoundError":
                return Lock.NONE
            if code in ("AccessDenied", "NotImplemented", "MethodNotAllowed"):
                return Lock.UNKNOWN
            raise
        configuration = answer.get("ObjectLockConfiguration", {})
        if configuration.get("ObjectLockEnabled") != "Enabled":
            return Lock.NONE
        return Lock.BUCKET_DEFAULT if configuration.get("Rule") else Lock.PER_OBJECT
