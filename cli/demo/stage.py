"""The stage of the demo: the embedded stack, a worker for the time of the demo, and the workload that is attacked."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio.client import Client

from cli.check_temporal import pollers
from cli.embedded import DEFAULT_STACK, environment_of, running_stack, start_stack, stop_stack
from cli.output import Output
from contracts.names import HOLD_LABEL
from errors import FirebreakError, Unavailable

if TYPE_CHECKING:
    from devstack.demo_workload import DemoWorkload
    from devstack.kube import KubeApi
    from devstack.stack import StackInfo

_WORKER_SECONDS = 60.0
_STOP_SECONDS = 40.0


class DemoError(FirebreakError):
    """The demo did not go as it should."""

    code = "DemoError"


@dataclass(frozen=True)
class Worker:
    """The demo's worker process."""

    pid: int
    log: Path


@contextmanager
def stage(output: Output, *, leave: bool) -> Iterator[StackInfo]:
    """The stack that runs, or one started for the demo; `leave` says whether one that was started stays."""
    info = running_stack(DEFAULT_STACK)
    started = info is None
    if info is None:
        output.say("starting the embedded stack; the very first time this builds Kubernetes, about ten minutes")
        info = start_stack(DEFAULT_STACK, output.say)
    os.environ.update(environment_of(info))
    try:
        yield info
    finally:
        if started and not leave:
            output.say("taking the stack down")
            stop_stack(DEFAULT_STACK)


@contextmanager
def worker_process(info: StackInfo) -> Iterator[Worker]:
    """A worker as a process of its own, with the demo's policy."""
    log = info.state_dir / "logs" / "demo-worker.log"
    # A checkout that is not installed has its modules only here.
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    with as_file(files("cli.captures").joinpath("policy.yaml")) as policy, log.open("ab") as stream:
        environment = {**os.environ, "FIREBREAK_POLICY": str(policy), "PYTHONPATH": os.pathsep.join(paths)}
        process = subprocess.Popen(
            [sys.executable, "-m", "starter", "worker"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            # Ctrl-C in the terminal is the demo's to handle, which then ends the worker in order.
            start_new_session=True,
        )
        try:
            yield Worker(process.pid, log)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def await_worker(client: Client, worker: Worker) -> None:
    """Wait until this worker polls every queue. Temporal remembers the polls of others for minutes after they ended.

    Raises:
        Unavailable: It does not within a minute; the error names the worker's log.
    """
    try:
        async with asyncio.timeout(_WORKER_SECONDS):
            # Temporal tells nobody that a poller came, so it is asked.
            while not all(any(p.startswith(f"{worker.pid}@") for p in polls) for polls in await pollers(client)):
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise Unavailable(f"the worker did not start within {_WORKER_SECONDS:g} s; its log is {worker.log}") from None


def settle(admin: KubeApi) -> None:
    """Wait until the workload's rollout is over and only its own pods are left."""
    from devstack.cluster import DEMO_NAMESPACE as namespace
    from devstack.demo_workload import NAME
    from devstack.processes import poll

    def settled() -> bool:
        deployment = admin.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{NAME}")
        wanted, status = deployment["spec"]["replicas"], deployment["status"]
        if status.get("observedGeneration") != deployment["metadata"]["generation"]:
            return False
        if any(status.get(key) != wanted for key in ("replicas", "updatedReplicas", "availableReplicas")):
            return False
        pods = admin.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return len(pods) == wanted and all("deletionTimestamp" not in pod["metadata"] for pod in pods)

    poll("the rollout to end", settled, 60.0)


def free_pods(admin: KubeApi, workload: DemoWorkload) -> DemoWorkload:
    """The workload with those of its pods that no incident of an earlier, interrupted demo holds."""
    path = f"/api/v1/namespaces/{workload.namespace}/pods"
    held = {
        pod["metadata"]["uid"]
        for pod in admin.request("GET", path)["items"]
        if HOLD_LABEL in pod["metadata"].get("labels", {})
    }
    pods = [pod for pod in workload.pods if pod.uid not in held]
    if not pods:
        raise DemoError("incidents of earlier demos hold all pods: release them, or run `firebreak down`")
    return dataclasses.replace(workload, pods=pods)
