"""Files that a command writes for people: whole or not at all, and never over what somebody else wrote."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cli.text import clean
from errors import InputError

_BEGINNING = 4_096
"""So many bytes of a file say what it is."""

Ours = Callable[[bytes], bool]
"""Whether a file that begins so may be replaced."""


def check_target(option: str, file: str, ours: Ours) -> Path:
    """Make sure that a file can be written, before anything is asked of anybody.

    Raises:
        InputError: It cannot: its folder is missing or takes no files, or something stands there that is not ours.
    """
    path = Path(file)
    try:
        if not path.name or "\0" in file or not path.parent.is_dir():
            raise InputError(option, "a file in a folder that exists", clean(file, 200))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise InputError(option, "a file in a folder that can be written to", clean(file, 200))
        if os.path.lexists(path) and not _replaceable(path, ours):
            raise InputError(option, "a new file, or an earlier report to replace", clean(file, 200))
    except OSError as error:
        raise _refused(option, file, error) from None
    return path


def write_file(option: str, file: str, data: bytes, ours: Ours) -> Path:
    """Write a file that only its owner can read. It appears whole: a crash leaves what stood there before.

    Returns:
        Its absolute path.

    Raises:
        InputError: As in `check_target`, or the disk refuses.
    """
    path = check_target(option, file, ours)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        raise _refused(option, file, error) from None
    finally:
        partial.unlink(missing_ok=True)
    return path.absolute()


def _replaceable(path: Path, ours: Ours) -> bool:
    """A link is not followed: whoever made it chose what would be replaced."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return ours(stream.read(_BEGINNING))


def _refused(option: str, file: str, error: OSError) -> InputError:
    return InputError(option, "a file that can be written", f"{clean(file, 200)} ({error.strerror})")
