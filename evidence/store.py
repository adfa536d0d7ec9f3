"""What an evidence store is: a place where each key is written once, as a whole, or not at all.

Keys are plain: segments of ``A-Z a-z 0-9 . _ -`` separated by ``/``. No name from a finding or a pod becomes part of a
key; callers build keys from uids and words of their own, and this check is the last line of defence.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from errors import EvidenceError, InputError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", re.ASCII)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_LONGEST_KEY: Final = 900
"""S3 allows 1,024 bytes; the rest is left for the prefix of the location."""


class Stored(NamedTuple):
    """One object in the store, as it was hashed while it was written.

    Attributes:
        key: Its key.
        sha256: 64 hex digits.
        size: In bytes.
    """

    key: str
    sha256: str
    size: int


class EvidenceStore(Protocol):
    """A store that writes each key once. Safe to share between threads."""

    @property
    def location(self) -> str:
        """Where it is, for people: ``s3://bucket/prefix`` or the folder's path."""
        ...

    def put(self, key: str, chunks: Iterable[bytes]) -> Stored:
        """Store a stream in bounded memory, hashing it on the way.

        The key appears only when the last chunk has been written. A key that holds the same content already is a
        success, so that a repeated call after a crash finds what the first one left.

        Args:
            key: The key.
            chunks: The content. An exception of its own passes through, and nothing is stored.

        Raises:
            Conflict: The key holds other content, which stays as it is.
            InputError: The key is not plain.
            EvidenceError: The store refused or failed; also Forbidden, Throttled and Unavailable.
        """
        ...

    def create(self, key: str, data: bytes) -> Stored:
        """As `put`, for content that is in memory."""
        ...

    def get(self, key: str) -> Iterator[bytes]:
        """Read an object in chunks.

        Raises:
            TargetGone: There is no such object. Raised by the call, not by the first chunk.
            EvidenceError: As in `put`.
        """
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys below a prefix (a whole number of segments, or "" for all), sorted by their bytes."""
        ...


def open_store(location: str, s3_client: S3Client | None = None) -> EvidenceStore:
    """The store at a location.

    Args:
        location: ``s3://bucket[/prefix]``, or a folder, which is created at the first write.
        s3_client: A boto3 S3 client; needed for ``s3://``.

    Raises:
        InputError: The location is malformed.
    """
    # Each store imports this module for its checks, so the stores are imported where one is opened.
    from evidence.local import LocalStore
    from evidence.s3 import S3Store

    if not location.startswith("s3://"):
        if not location or "://" in location or not location.isprintable():
            raise InputError("FIREBREAK_EVIDENCE", "s3://bucket[/prefix] or a folder", location[:100])
        return LocalStore(Path(location))
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not _BUCKET.fullmatch(bucket) or (prefix and not is_plain_key(prefix)):
        raise InputError("FIREBREAK_EVIDENCE", "s3://bucket[/prefix] of plain characters", location[:100])
    if s3_client is None:
        raise InputError("FIREBREAK_EVIDENCE", "an S3 client for an s3:// location")
    return S3Store(s3_client, bucket, prefix)


def is_plain_key(key: str) -> bool:
    """Whether every segment is plain: no empty one, no leading dot or dash, nothing that climbs."""
    return len(key) <= _LONGEST_KEY and all(_SEGMENT.fullmatch(segment) for segment in key.split("/"))


def check_key(key: str) -> str:
    """The key itself, when it is plain.

    Raises:
        InputError: It is not.
    """
    if not is_plain_key(key):
        raise InputError("key", "plain segments of A-Z a-z 0-9 . _ -", repr(key[:80]))
    return key


def read_bytes(store: EvidenceStore, key: str, limit: int = 256 << 20) -> bytes:
    """A whole object in memory, for lists and manifests.

    Raises:
        TargetGone: There is no such object.
        EvidenceError: It is longer than `limit` bytes.
    """
    parts: list[bytes] = []
    size = 0
    for chunk in store.get(key):
        size += len(chunk)
        if size > limit:
            raise EvidenceError(f"{key} is longer than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


def rehash(store: EvidenceStore, key: str) -> Stored:
    """Read an object and hash it again, in bounded memory.

    Raises:
        TargetGone: There is no such object.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in store.get(key):
        digest.update(chunk)
        size += len(chunk)
    return Stored(key, digest.hexdigest(), size)


def is_below(key: str, prefix: str) -> bool:
    """Whether a key lies below a prefix of whole segments."""
    return not prefix or key == prefix or key.startswith(f"{prefix.rstrip('/')}/")
