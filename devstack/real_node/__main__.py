"""Prepares this machine for a real node: Debian packages where they can be installed, and the kubelet.

Where there can be no real node it says why and ends well, because everything else works without one; its tests are then
skipped for the same reason.
"""

from __future__ import annotations

import os
import sys

from devstack.real_node.packages import install_packages
from devstack.real_node.preconditions import obstacle
from devstack.state import StackError
from devstack.tools import ensure_kubelet

SWITCH = "FIREBREAK_TEST_REAL_NODE"
"""For somebody who wants neither packages installed nor the tests run, though this machine would allow it."""


def main() -> None:
    """Install, then look whether it suffices, then build."""
    if os.environ.get(SWITCH) == "off":
        _say(f"no real node, and its tests will be skipped: {SWITCH}=off")
        return
    try:
        install_packages(_say)
    except StackError as error:
        _say(error.message)
    problem = obstacle()
    if problem:
        _say(f"no real node on this machine, and its tests will be skipped: {problem}")
        return
    try:
        ensure_kubelet()
    except StackError as error:
        sys.exit(f"error: {error.message}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
