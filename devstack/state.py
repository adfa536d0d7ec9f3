"""Where a stack keeps its state, and the lock that lets one ``up`` or ``down`` at a time touch it.

One folder per stack name under the user's state directory (or ``FIREBREAK_STATE_DIR``)::

    stack.json        what was asked for, and the ports: everything that a restart of one process needs
    pids/<name>.json  one record for each running process
    logs/<name>.log   what each process printed
    pki/ kubeconfigs/ tokens.csv kwok.yaml   the identities and settings of the cluster
    etcd/ temporal.db                        the data
    real-node/                               the disk of the real node, where there is one
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict

from errors import FirebreakError, InputError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class StackError(FirebreakError):
    """A part of the embedded stack could not be built, started or reached; the message holds the end of its log."""

    code = "StackError"


class Ports(BaseModel):
    """The TCP ports of one stack, all on 127.0.0.1."""

    model_config = ConfigDict(frozen=True)

    etcd: int
    etcd_peer: int
    apiserver: int
    kubelet: int
    temporal: int
    temporal_ui: int
    aws: int


class RealNode(BaseModel):
    """The real node of a stack.

    Attributes:
        network: The IPv4 network, a /24 that was free on this machine, out of which node and pods have their addresses.
    """

    model_config = ConfigDict(frozen=True)

    network: str


class Settings(BaseModel):
    """What ``up`` was asked for, kept so that a single process can be started again in the same way.

    ``ready`` is set last: a stack without it was interrupted while it started.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    account: str
    region: str
    cluster: str
    nodes: int
    pods_per_node: int
    ports: Ports
    policy: Path | None = None
    controllers_yield: bool = False
    real_node: RealNode | None = None
    detector_id: str = ""
    ready: bool = False


class StackPaths:
    """The paths inside one stack's state folder."""

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise InputError("name", "1 to 40 lower-case letters, digits and hyphens", name)
        self.name = name
        self.root = stacks_root() / name
        self.settings = self.root / "stack.json"
        self.pids = self.root / "pids"
        self.logs = self.root / "logs"
        self.pki = self.root / "pki"
        self.kubeconfigs = self.root / "kubeconfigs"
        self.tokens = self.root / "tokens.csv"
        self.kwok = self.root / "kwok.yaml"
        self.etcd = self.root / "etcd"
        self.temporal_db = self.root / "temporal.db"
        self.real_node = self.root / "real-node"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig file of ``user``."""
        return self.kubeconfigs / f"{user}.yaml"

    def create(self) -> None:
        """Make the folders, readable by their owner only: they hold tokens and keys."""
        for folder in (self.root, self.pids, self.logs, self.pki, self.kubeconfigs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def load(self) -> Settings | None:
        """The settings of the stack, or None when it was never started or is down."""
        try:
            return Settings.model_validate_json(self.settings.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StackError(f"{self.settings} is not readable: {error}; remove {self.root}") from error

    def save(self, settings: Settings) -> None:
        """Write the settings in one step, so that a reader never sees half of them."""
        write_private(self.settings, settings.model_dump_json(indent=2))


def stacks_root() -> Path:
    """The folder of all stacks: ``FIREBREAK_STATE_DIR``/stacks, else the user's state directory."""
    configured = os.environ.get("FIREBREAK_STATE_DIR")
    base = Path(configured) if configured else Path(platformdirs.user_state_dir("firebreak"))
    return base.absolute() / "stacks"


def write_private(path: Path, text: str) -> None:
    """Write a file for its owner only, atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder, created when missing; waits for whoever holds it.

    The lock sits on the folder itself and no lock file is left behind when ``down`` removes it. A waiter that wakes up
    with a lock on a removed folder notices it and takes the lock on the new one.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except FileExistsError:
            # It was there when this tried to make it, and gone when it looked whether that is a folder.
            if folder.exists() and not folder.is_dir():
                raise
            continue
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_same_folder(descriptor, folder):
                yield
                return
        finally:
            os.close(descriptor)


def _is_same_folder(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(folder))
    except FileNotFoundError:
        return False
