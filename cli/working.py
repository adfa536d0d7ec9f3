"""What `worker` does: configure the log, connect, and work until told to stop."""

from __future__ import annotations

import asyncio

from cli.connect import connect
from cli.ending import Code
from cli.output import Output
from settings import load_settings
from worker import run_worker, stop_on_signals


async def work(output: Output) -> Code:
    """Run the worker until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    client = await connect(output)
    await run_worker(client, load_settings(), stop)
    return Code.DONE
