"""The Temporal client, made when a command first needs it, from Temporal's own environment configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError

from cli.embedded import use_embedded_stack
from cli.output import Output
from errors import InputError, Unavailable

_DEFAULT_ADDRESS = "127.0.0.1:7233"
_PATIENCE = 10.0
"""Seconds in which a server must answer; a blackholed address would otherwise hold the command for minutes."""

T = TypeVar("T")


async def connect(output: Output) -> Client:
    """A client of the configured server, or of the embedded stack when nothing is configured and it runs.

    Raises:
        InputError: The configuration cannot be read.
        Unavailable: Nothing answers at the address.
    """
    use_embedded_stack(output)
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            "TEMPORAL_CONFIG_FILE", "a readable temporal.toml and valid TEMPORAL_ variables", str(error)
        ) from None
    address = config.setdefault("target_host", _DEFAULT_ADDRESS)
    try:
        return await asyncio.wait_for(Client.connect(**config, data_converter=pydantic_data_converter), _PATIENCE)
    except (TimeoutError, RuntimeError, RPCError) as error:
        # The SDK raises RuntimeError when the connection itself fails.
        raise unreachable(address) from error


def unreachable(address: str) -> Unavailable:
    """The error for a server that does not answer, with what to do."""
    return Unavailable(
        f"Temporal does not answer at {address}: start the embedded stack with `firebreak up` or set TEMPORAL_ADDRESS"
    )


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part to its end."""
    return asyncio.run(work)
