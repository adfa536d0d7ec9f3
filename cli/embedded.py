"""Finding the embedded stack: when `firebreak up` has started one and nothing else is configured, it is used.

The stack is taken whole or not at all: a Temporal server of the stack beside the cluster of a KUBECONFIG would let a
command look at one place and act on another. What is used is always said.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.output import Output
from errors import FirebreakError

if TYPE_CHECKING:
    from devstack.stack import StackInfo

_CONFIGURED_BY = (
    "TEMPORAL_ADDRESS",
    "TEMPORAL_PROFILE",
    "TEMPORAL_CONFIG_FILE",
    "TEMPORAL_API_KEY",
    "FIREBREAK_CLUSTER",
    "FIREBREAK_ACCOUNT",
)
DEFAULT_STACK = "default"


class NotInstalled(FirebreakError):
    """The parts that only the embedded stack needs are not installed."""

    code = "NotInstalled"


def use_embedded_stack(output: Output) -> None:
    """Take over the environment of the default stack if it runs and no installation is configured."""
    if any(os.environ.get(name) for name in _CONFIGURED_BY) or _profile_names_a_server():
        return
    try:
        info = running_stack(DEFAULT_STACK)
    except NotInstalled:
        return
    if info is None:
        return
    os.environ.update(environment_of(info))
    output.say(f"using the embedded stack {info.name!r}: Temporal at {info.temporal_address}, cluster {info.cluster}")


def environment_of(info: StackInfo) -> dict[str, str]:
    """The variables that lead to a stack, the address of its Temporal UI among them."""
    return {**info.environment(), "FIREBREAK_TEMPORAL_UI": info.temporal_ui}


def running_stack(name: str) -> StackInfo | None:
    """The stack of that name, or None when it does not run.

    Raises:
        InputError: The name cannot be a stack's.
        NotInstalled: The extra `devstack` is missing.
    """
    try:
        from devstack.state import StackPaths

        if StackPaths(name).load() is None:
            return None
        from devstack.stack import info
    except ImportError as error:
        raise _not_installed(error) from error
    return info(name)


def _not_installed(error: ImportError) -> NotInstalled:
    return NotInstalled(
        f"the embedded stack's parts are not installed ({error.name} is missing): install firebreak[devstack], or run "
        "`uv sync --extra devstack`"
    )


def start_stack(name: str, progress: Callable[[str], None], *, real_node: bool = False) -> StackInfo:
    """Start a stack, or find the one that runs.

    Raises:
        FirebreakError: A part is missing or did not become ready.
    """
    try:
        from devstack.stack import up
    except ImportError as error:
        raise _not_installed(error) from error
    return up(name, progress=progress, real_node=real_node)


def stop_stack(name: str) -> None:
    """Stop a stack and remove what it kept; nothing happens when there is none.

    Raises:
        FirebreakError: A process would not end.
    """
    try:
        from devstack.stack import down
    except ImportError as error:
        raise _not_installed(error) from error
    down(name)


def _profile_names_a_server() -> bool:
    """Whether the user's own temporal.toml names a server."""
    from temporalio.envconfig import ClientConfigProfile

    try:
        return bool(ClientConfigProfile.load().address)
    except (RuntimeError, ValueError):
        # An unreadable profile is the user's all the same; connecting reports what is wrong with it.
        return True
