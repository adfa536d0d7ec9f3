"""Runs a worker: workflows and containment on one queue, everything slow on another (design: Task queues)."""

from __future__ import annotations

import asyncio
import gc
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from activities.interceptor import FirebreakInterceptor
from activities.registry import open_doors, registered
from activities.sweep_schedule import ensure_sweep
from contracts.names import HOT_QUEUE, SLOW_QUEUE
from settings import Settings, require_installation
from workflows.registry import WORKFLOWS
from workflows.sandbox import workflow_runner

HOT_SLOTS, SLOW_SLOTS = 32, 8
CACHED_WORKFLOWS = 200
"""The SDK's 1,000 would hold 300 MB of waiting incidents. What is not kept is replayed when something happens to it."""
TELLING = timedelta(seconds=3)
"""How often a slow activity's heartbeat reaches Temporal, where people read how far it is. The SDK would wait 48 s."""
GRACE = timedelta(seconds=30)
"""How long running activities may finish on shutdown; a pod's terminationGracePeriodSeconds must be longer."""

log = structlog.get_logger("firebreak.worker")


async def run_worker(client: Client, settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then let what runs finish.

    Raises:
        InputError: The policy file or a setting is invalid or missing.
        Unavailable: The cluster, AWS or the evidence store cannot be reached.
    """
    activities = registered(open_doors(client, require_installation(settings)))
    # What was imported and read so far stays: to look through it at each collection makes decoding JSON twice as slow.
    gc.collect()
    gc.freeze()
    interceptor = FirebreakInterceptor()
    with ThreadPoolExecutor(HOT_SLOTS) as hot, ThreadPoolExecutor(SLOW_SLOTS) as slow:
        fast_worker = Worker(
            client,
            task_queue=HOT_QUEUE,
            workflows=WORKFLOWS,
            workflow_runner=workflow_runner(),
            activities=activities[HOT_QUEUE],
            activity_executor=hot,
            max_concurrent_activities=HOT_SLOTS,
            max_cached_workflows=CACHED_WORKFLOWS,
            interceptors=[interceptor],
            graceful_shutdown_timeout=GRACE,
        )
        slow_worker = Worker(
            client,
            task_queue=SLOW_QUEUE,
            activities=activities[SLOW_QUEUE],
            activity_executor=slow,
            max_concurrent_activities=SLOW_SLOTS,
            max_heartbeat_throttle_interval=TELLING,
            interceptors=[interceptor],
            graceful_shutdown_timeout=GRACE,
        )
        async with fast_worker, slow_worker:
            await ensure_sweep(client, settings.cluster)
            log.info("worker started", cluster=settings.cluster, queues=[HOT_QUEUE, SLOW_QUEUE])
            await stop.wait()
            log.info("worker stopping", grace_seconds=GRACE.total_seconds())


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT end the worker in order; without a handler Python as PID 1 would ignore the former."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
