"""The policy that is in force: read again when its file changes; a broken file never loosens or stops anything."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from errors import InputError
from plans.policy import Policy, load_policy

_log = structlog.get_logger(__name__)


class PolicyFile:
    """The policy file of an installation. Safe to share between threads.

    Args:
        path: The file; None means the built-in defaults.

    Raises:
        InputError: The file cannot be read or does not fit. Only the first load raises it, at the worker's start.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._policy = Policy() if path is None else _load(path)
        self._warning = ""

    def current(self) -> tuple[Policy, str]:
        """The policy in force, and why it is not what the file says now, or ""."""
        if self._path is None:
            return self._policy, ""
        with self._lock:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._policy, self._warning = _load(self._path), ""
                    _log.info("policy_loaded", digest=self._policy.digest)
                except InputError as error:
                    self._warning = (
                        f"The policy file is not valid, so the last valid policy stays in force: {error.message}"
                    )
                    _log.warning("policy_invalid", reason=error.message)
            return self._policy, self._warning


def _load(path: Path) -> Policy:
    try:
        return load_policy(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise InputError("FIREBREAK_POLICY", "a readable file in UTF-8", str(error)) from error


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    """What changes with the file. A ConfigMap volume swaps a symbolic link, so the inode counts too."""
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
