"""`python -m bench.empty_worker`: a worker of empty incidents, set up as Firebreak's own is."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

from activities.interceptor import FirebreakInterceptor
from bench.empty import QUEUE, EmptyIncident, EmptyPath, empty_assess, empty_isolate, empty_verify
from worker import CACHED_WORKFLOWS, GRACE, HOT_SLOTS, stop_on_signals
from workflows.sandbox import workflow_runner


async def _main() -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    config = ClientConfig.load_client_connect_config()
    client = await Client.connect(**config, data_converter=pydantic_data_converter)
    gc.collect()
    gc.freeze()
    with ThreadPoolExecutor(HOT_SLOTS) as executor:
        async with Worker(
            client,
            task_queue=QUEUE,
            workflows=[EmptyIncident, EmptyPath],
            workflow_runner=workflow_runner(),
            activities=[empty_assess, empty_isolate, empty_verify],
            activity_executor=executor,
            max_concurrent_activities=HOT_SLOTS,
            max_cached_workflows=CACHED_WORKFLOWS,
            interceptors=[FirebreakInterceptor()],
            graceful_shutdown_timeout=GRACE,
        ):
            await stop.wait()


if __name__ == "__main__":
    asyncio.run(_main())
