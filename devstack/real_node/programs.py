"""Running programs of this machine, also those in folders that only root's PATH has."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


def search_path() -> str:
    """PATH with the folders of the system's programs, which a user's PATH may lack."""
    own = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(part for part in (*own, *_SYSTEM_FOLDERS) if part))


def run_program(words: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program until it ends, with variables beside its own; what it printed and its code are the caller's."""
    variables = {**os.environ, "PATH": search_path(), **environment}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=variables)
