"""Starts workers quickly: imports what a worker needs once, and forks a process for each line that it reads.

Each line is a JSON object with the environment of one worker and the file for its output; the answer is the new pid.
What the child runs is the command `firebreak worker`. When the input ends, so do the workers.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import cli.working  # noqa: F401 - what the command imports when it runs
from cli.app import run
from cli.ending import end


def main() -> None:
    """Fork until the input ends."""
    children = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_worker(order["environment"], order["log"])
        children.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    # Not waited for until now, a child that ended has kept its pid, and no other process can have it.
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _become_worker(environment: dict[str, str], log: str) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    end(run(["worker"]))


if __name__ == "__main__":
    main()
