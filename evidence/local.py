"""Evidence in a folder: for the demo, for tests, and for an export that is carried to a lab.

An object is written to a file beside the tree, flushed to the disk, and then linked to its key. A link never replaces
what stands there, so a key is written once, and a crash leaves no half object under any key.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from errors import Conflict, EvidenceError, FirebreakError, Forbidden, TargetGone
from evidence.store import Stored, check_key, rehash

_PARTIAL: Final = ".partial"
"""A key's segment never begins with a dot, so no key reaches in here."""
_STALE_SECONDS: Final = 86_400.0
_CHUNK: Final = 1 << 20


class LocalStore:
    """A folder that only its owner can enter (0700), with files that only its owner can read (0600)."""

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self._prepared = threading.Event()

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self._root)

    def put(self, key: str, chunks: Iterable[bytes]) -> Stored:
        """See `EvidenceStore.put`."""
        final = self._path(key)
        with _translating(key):
            partial = self._new_partial()
        try:
            with _translating(key):
                file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_NOFOLLOW), "wb")
            stored = _fill(key, file, chunks)
            with _translating(key):
                self._publish(partial, final, stored)
            return stored
        finally:
            partial.unlink(missing_ok=True)

    def create(self, key: str, data: bytes) -> Stored:
        """See `EvidenceStore.create`."""
        return self.put(key, (data,))

    def get(self, key: str) -> Iterator[bytes]:
        """See `EvidenceStore.get`. A symbolic link is refused: whoever placed it chose what would be read."""
        with _translating(key):
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW)
        return _read(key, descriptor)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `EvidenceStore.keys`."""
        start = self._path(prefix) if prefix else self._root
        if start.is_symlink() or start.is_file():
            return iter([prefix])
        found: list[str] = []
        for folder, folders, files in os.walk(start, onerror=_refuse_unreadable):
            if Path(folder) == self._root and _PARTIAL in folders:
                folders.remove(_PARTIAL)
            relative = Path(folder).relative_to(self._root)
            found += [(relative / name).as_posix() for name in files]
            # A linked folder is not walked; it is listed, so that verification finds it.
            found += [(relative / name).as_posix() for name in folders if Path(folder, name).is_symlink()]
        return iter(sorted(found))

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*check_key(key).split("/"))

    def _new_partial(self) -> Path:
        folder = self._root / _PARTIAL
        if not self._prepared.is_set():
            # The mode of mkdir is for the last folder only, so the root is made by itself.
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            _remove_stale(folder)
            self._prepared.set()
        path = folder / secrets.token_hex(16)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return path

    def _publish(self, partial: Path, final: Path, stored: Stored) -> None:
        missing = [p for p in (final.parent, *final.parent.parents) if not p.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        try:
            os.link(partial, final, follow_symlinks=False)
        except FileExistsError:
            # The same content from an earlier attempt is what was wanted; anything else stays untouched.
            if rehash(self, stored.key) == stored:
                return
            raise Conflict(f"{stored.key} holds other content already") from None
        for folder in {final.parent, *(p.parent for p in missing)}:
            _sync_folder(folder)


def _fill(key: str, file: BinaryIO, chunks: Iterable[bytes]) -> Stored:
    """Write and hash; only the writing is translated, because an error of `chunks` is the caller's own."""
    digest, size = hashlib.sha256(), 0
    with file:
        for chunk in chunks:
            with _translating(key):
                file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        with _translating(key):
            file.flush()
            os.fsync(file.fileno())
    return Stored(key, digest.hexdigest(), size)


def _read(key: str, descriptor: int) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as file:
        while True:
            with _translating(key):
                chunk = file.read(_CHUNK)
            if not chunk:
                return
            yield chunk


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut only when its folder has reached the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(folder: Path) -> None:
    """Take away what crashed writers left; a day is longer than any stream lasts."""
    oldest = time.time() - _STALE_SECONDS
    for path in folder.iterdir():
        if path.lstat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def _refuse_unreadable(error: OSError) -> None:
    """A folder that cannot be read must not look like an empty one; one that does not exist is empty."""
    if not isinstance(error, FileNotFoundError):
        raise _translate("keys", error)


@contextmanager
def _translating(key: str) -> Iterator[None]:
    """Turn what the file system says into our tree: the one place where this store translates."""
    try:
        yield
    except OSError as error:
        raise _translate(key, error) from error


def _translate(key: str, error: OSError) -> FirebreakError:
    if isinstance(error, FileNotFoundError):
        return TargetGone(f"{key} is not in the store")
    if isinstance(error, PermissionError):
        return Forbidden(f"{key}: the evidence folder refuses: {error.strerror}")
    return EvidenceError(f"{key}: {error.strerror}")
