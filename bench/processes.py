"""Processes that are measured: a worker of Firebreak, a worker of empty workflows, and programs run to their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
_LOOK_SECONDS = 0.02
_STOP_SECONDS = 40.0


def peak_memory(pid: int) -> int:
    """The largest resident memory of a process so far, in bytes; 0 when it is gone.

    Not `ru_maxrss`, which a child inherits from the process that forked it.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return int(psutil.Process(pid).memory_info().rss)
    except (OSError, psutil.Error):
        return 0


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """The processor time that each process has used so far."""
    return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}


@dataclass(frozen=True)
class Ran:
    """A program that ran to its end."""

    seconds: float
    peak: int
    output: str


def run_measured(command: Sequence[str], environment: Mapping[str, str], *, keep: bool) -> Ran:
    """Run a program and watch its memory; `keep` says whether its output is returned or thrown away."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        list(command),
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if keep else subprocess.DEVNULL,
        text=True,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_memory(process.pid))
        time.sleep(_LOOK_SECONDS)
    seconds = time.perf_counter() - begun
    output = process.stdout.read() if process.stdout else ""
    if process.stdout:
        process.stdout.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Ran(seconds, peak, output)


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """What every process needs, what leads it to the stack, and nothing that could lead it elsewhere."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


@contextmanager
def python_process(module: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[int]:
    """A Python module as a process of its own; yields the pid, and ends the process in order."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            # Ctrl-C in the terminal is the benchmark's to handle.
            start_new_session=True,
        )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
