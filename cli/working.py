"""What `worker` does: configure the log, connect, and work until told to stop."""

from __future__ import annotations

import asyncio

from cli.connect import connect
from cli.ending import Code
from cli.output import Output
from logs import configure_logs
from settings import load_settings
from worker import run_worker, stop_on_signals


async def work(output: Output) -> Code:
    """Run the worker until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    settings = load_settings()
    configure_logs(settings.log_format)
    client = await connect(output)
    await run_worker(client, settings, stop)
    return Code.DONE
