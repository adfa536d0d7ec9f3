"""The entry of the command line: `firebreak`, or `uv run starter.py`. The commands live in cli/."""

from __future__ import annotations

import sys

from cli.app import run
from cli.ending import end


def main() -> None:
    """Run one command and end the process with its exit code."""
    end(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
