"""Starts `firebreak` commands quickly: imports what they need once, and forks a process for each line that it reads.

Each line is a JSON object with the command's arguments, its environment and the files for its output; the answer is the
new pid, or, where the line says so, the exit code once the command has ended. When the input ends, so do the workers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import cli.deciding
import cli.incidents
import cli.releasing
import cli.starting
import cli.tasks
import cli.working  # noqa: F401 - what the commands import when they run
from cli.app import run
from cli.ending import end


def main() -> None:
    """Fork until the input ends."""
    children = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        if order["wait"]:
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            answer = pid
            children.append(pid)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    # Not waited for until now, a child that ended has kept its pid, and no other process can have it.
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _become(order: dict[str, Any]) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(order["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, file in ((1, order["output"]), (2, order["errors"])):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    end(run(order["arguments"]))


if __name__ == "__main__":
    main()
