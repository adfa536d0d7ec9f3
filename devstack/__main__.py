"""Builds the control plane's programs into the user's cache, so that a later `firebreak up` takes seconds."""

from __future__ import annotations

import sys

from devstack.state import StackError
from devstack.tools import ensure_tools

if __name__ == "__main__":
    try:
        ensure_tools()
    except StackError as error:
        sys.exit(f"error: {error.message}")
