"""Starts, watches and ends the processes of a stack; each has its own session and outlives who began it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from devstack.state import StackError, StackPaths, write_private

_GRACE_SECONDS = 5.0
# A killed process has ended when its mounts are gone, and unmounting a container's file system first writes out all
# that anybody has changed on the disk below. On a busy disk that takes a while.
DEATH_SECONDS = 60.0
_POLL_SECONDS = 0.05
_YIELDING = "10"
# Names the stack in the environment of each of its processes; see ``strays``.
_MARK = "FIREBREAK_STACK_STATE"
_PROXY_VARIABLES = {"http_proxy", "https_proxy", "all_proxy"}
# Below the range from which Linux and macOS take the local ports of outgoing connections: a port stays ours to take
# again while its process is stopped.
_PORT_RANGE = (20_000, 32_000)
# psutil derives the start time from the boot time, which moves a little when the clock is corrected. No kernel hands a
# pid out again within a second.
_SAME_START_SECONDS = 1.0


@dataclass(frozen=True)
class ProcessRecord:
    """A process that we started: its pid, and its start time (epoch seconds) that tells it from a later one."""

    name: str
    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """The running process, or None when it ended, even if another one has its pid by now."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > _SAME_START_SECONDS:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class Command:
    """How to start one process."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str]
    yields: bool = False
    """Whether it gives way to the others when the processors are busy: what a real cluster runs on other machines."""


def spawn(paths: StackPaths, command: Command) -> ProcessRecord:
    """Start a process in its own session with its output appended to its log, and record it.

    Raises:
        StackError: The program cannot be executed.
    """
    log = paths.logs / f"{command.name}.log"
    arguments = list(command.arguments)
    # Before the program begins, because a Go program's threads keep the priority that the first of them began with.
    nice = shutil.which("nice") if command.yields else None
    if nice is not None:
        arguments = [nice, "-n", _YIELDING, *arguments]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # posix_spawn instead of Popen: nobody in this process is to wait for the child, which a Popen insists on.
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            {**_own_environment(), **command.environment, _MARK: str(paths.root)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, descriptor, 1),
                (os.POSIX_SPAWN_DUP2, descriptor, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        raise StackError(f"{command.name} cannot be started: {error}") from error
    finally:
        os.close(descriptor)
    if command.yields:
        # Where Linux shares the processors out among sessions first, a nice value counts only within its session.
        with suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(_YIELDING)
    record = ProcessRecord(command.name, pid, psutil.Process(pid).create_time())
    write_private(_record_file(paths, command.name), json.dumps({"pid": record.pid, "started": record.started}))
    return record


def records(paths: StackPaths) -> list[ProcessRecord]:
    """What was started and not yet stopped, whether it still runs or not."""
    found = []
    for file in sorted(paths.pids.glob("[!.]*.json")):
        content = json.loads(file.read_text())
        found.append(ProcessRecord(file.stem, content["pid"], content["started"]))
    return found


def record_of(paths: StackPaths, name: str) -> ProcessRecord | None:
    """The record of one process by name, or None."""
    return next((record for record in records(paths) if record.name == name), None)


def strays(paths: StackPaths) -> list[ProcessRecord]:
    """Processes of this stack without a record: whoever started them was killed before it could write one."""
    known = {record.pid for record in records(paths)}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in known and process.environ().get(_MARK) == str(paths.root):
                found.append(ProcessRecord(f"stray-{process.pid}", process.pid, process.create_time()))
        except psutil.Error:
            continue  # It ended, or is another user's.
    return found


def kill(paths: StackPaths, record: ProcessRecord) -> None:
    """End one process at once, as a crash would, and drop its record."""
    process = record.process()
    if process is not None:
        _signal(process, signal.SIGKILL)
        psutil.wait_procs([process], timeout=DEATH_SECONDS)
    _reap(record.pid)
    _record_file(paths, record.name).unlink(missing_ok=True)


def stop(paths: StackPaths, ended: Iterable[ProcessRecord]) -> None:
    """End processes: SIGTERM to all, wait, SIGKILL to what is left after five seconds; then drop their records.

    Raises:
        StackError: A process survives even SIGKILL; its record stays.
    """
    ended = list(ended)
    running = {record.name: process for record in ended if (process := record.process()) is not None}
    for process in running.values():
        _signal(process, signal.SIGTERM)
    _, left = psutil.wait_procs(list(running.values()), timeout=_GRACE_SECONDS)
    for process in left:
        _signal(process, signal.SIGKILL)
    _, immortal = psutil.wait_procs(left, timeout=DEATH_SECONDS)
    for record in ended:
        _reap(record.pid)
        if running.get(record.name) not in immortal:
            _record_file(paths, record.name).unlink(missing_ok=True)
    if immortal:
        raise StackError(f"still running after SIGKILL: {', '.join(str(process.pid) for process in immortal)}")


def await_condition(
    what: str, probe: Callable[[], bool], *, paths: StackPaths, record: ProcessRecord, timeout: float
) -> None:
    """Poll ``probe`` until it is true.

    Args:
        what: What is awaited, for the error.
        probe: Answers whether it has come true; must itself take "no answer yet" as False.
        paths: The stack, for the log.
        record: The process it depends on: when that ends, waiting on is pointless.
        timeout: In seconds.

    Raises:
        StackError: The process ended or time is up; the message holds the end of its log.
    """

    def watched() -> bool:
        if probe():
            return True
        if record.process() is None:
            raise StackError(f"{record.name} ended before {what}; {log_tail(paths, record.name)}")
        return False

    try:
        poll(what, watched, timeout)
    except TimeoutError as error:
        raise StackError(f"{error}; {log_tail(paths, record.name)}") from error


def poll(what: str, probe: Callable[[], bool], timeout: float) -> None:
    """Ask ``probe`` twenty times a second until it says yes.

    Raises:
        TimeoutError: It did not within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {timeout:.0f} s")
        time.sleep(_POLL_SECONDS)


def log_tail(paths: StackPaths, name: str, characters: int = 400) -> str:
    """The end of a process's log, with the log's path in front, for error messages."""
    log = paths.logs / f"{name}.log"
    try:
        text = log.read_text(errors="replace").strip()
    except FileNotFoundError:
        text = ""
    return f"log {log}: {text[-characters:] or 'empty'}"


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports on 127.0.0.1 that nothing listens on.

    Raises:
        StackError: No free port was found in a few hundred tries.
    """
    with ExitStack() as held:
        found: list[int] = []
        # Chosen at random, so that two stacks starting at once do not both try the lowest one.
        for port in random.SystemRandom().sample(range(*_PORT_RANGE), 400):
            candidate = held.enter_context(socket.socket())
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise StackError(f"no {count} free ports between {_PORT_RANGE[0]} and {_PORT_RANGE[1]}")


def _own_environment() -> dict[str, str]:
    # The API server would send a request for a pod's address to the proxy of the user's shell.
    return {key: value for key, value in os.environ.items() if key.lower() not in _PROXY_VARIABLES}


def _record_file(paths: StackPaths, name: str) -> Path:
    return paths.pids / f"{name}.json"


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return  # It ended by itself, which is what was wanted.


def _reap(pid: int) -> None:
    # A child of this very process stays a zombie until somebody asks for its exit code.
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
