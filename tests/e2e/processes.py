"""Processes of the product: workers, killed as a crash would and started again, and commands run to their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_ROOT = Path(__file__).parents[2]


@dataclass
class WorkerProcess:
    """One `firebreak worker`."""

    pid: int
    log: Path

    @property
    def running(self) -> bool:
        """Whether it is alive."""
        try:
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill(self) -> None:
        """End it at once, without a chance to finish anything."""
        os.kill(self.pid, signal.SIGKILL)
        end = time.monotonic() + 10
        while self.running and time.monotonic() < end:
            time.sleep(0.01)
        assert not self.running, f"{self.pid} survived SIGKILL"


class Zygote:
    """Forks commands; see `tests.e2e.zygote`, and `tests.e2e.impatient` for workers whose death is noticed soon."""

    def __init__(self, folder: Path, module: str = "tests.e2e.zygote") -> None:
        self._folder = folder
        self._count = 0
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, environment: Mapping[str, str]) -> WorkerProcess:
        """A new worker with exactly this environment and the shell's PATH and HOME."""
        with self._turn:
            self._count += 1
            log = self._folder / f"worker-{self._count}.log"
            return WorkerProcess(self._fork(["worker"], environment, log, log, wait=False), log)

    def run(self, arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run one command to its end. One that starts workers must not run commands: both would wait for each other."""
        with self._turn:
            self._count += 1
            output, errors = (self._folder / f"command-{self._count}.{name}" for name in ("out", "err"))
            code = self._fork(arguments, environment, output, errors, wait=True)
        return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())

    def _fork(
        self, arguments: list[str], environment: Mapping[str, str], output: Path, errors: Path, *, wait: bool
    ) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {
            "arguments": arguments,
            "environment": {**base_environment(), **environment},
            "output": str(output),
            "errors": str(errors),
            "wait": wait,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it and every worker."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


def base_environment() -> dict[str, str]:
    """What every process needs, and nothing that could lead it to another installation."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}


def command_line(arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one `firebreak` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "starter", *arguments],
        cwd=_ROOT,
        env={**base_environment(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
