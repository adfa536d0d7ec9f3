"""Where the benchmarks take place: a stack of their own, workers as processes of their own, pods and findings."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bench.processes import clean_environment, cpu_seconds, python_process
from cli.demo.finding import finding_about
from cli.demo.stage import Worker, await_worker
from devstack.aws.prepare import put_findings
from devstack.demo_workload import CLEAN_IMAGE, IMAGE, NAME, DemoPod, DemoWorkload, deploy_demo_workload
from devstack.install import apply_all
from devstack.kube import KubeApi
from devstack.stack import StackInfo, down, up
from findings.model import Finding
from findings.reader import read_findings

Json = dict[str, Any]
POLICY = Path(__file__).with_name("policy.yaml")
NODES, PODS_PER_NODE = 4, 6000
OWN_CONFIGMAP = "firebreak-bench"
"""What the bare calls write instead of `firebreak-control`, so that they do not disturb the worker's budget."""
_PATIENCE = 600.0
_LOOK_SECONDS, _AT_REST = 2.0, 0.2
"""At rest all of them together use a fifth of a core, looked at over so many seconds."""


@dataclass(frozen=True)
class Target:
    """One pod and the workload that it belongs to."""

    pod: DemoPod
    workload: DemoWorkload


@dataclass
class Arena:
    """A running stack, and what benchmarks do with it."""

    info: StackInfo
    admin: KubeApi
    client: Client

    def environment(self) -> dict[str, str]:
        """What leads a process to this stack, as Firebreak itself."""
        return clean_environment({**self.info.environment(), "FIREBREAK_POLICY": str(POLICY)})

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[int]:
        """A worker of Firebreak, as `firebreak worker` starts it; yields its pid once it takes work."""
        log = self.info.state_dir / "logs" / "bench-worker.log"
        with python_process(["starter", "worker"], self.environment(), log) as pid:
            await await_worker(self.client, Worker(pid, log))
            yield pid

    @contextlib.contextmanager
    def empty_worker(self) -> Iterator[int]:
        """A worker of empty incidents; the first of them waits until it takes work."""
        log = self.info.state_dir / "logs" / "bench-empty-worker.log"
        with python_process(["bench.empty_worker"], self.environment(), log) as pid:
            yield pid

    def deploy(self, namespaces: Sequence[str], replicas: int) -> dict[str, list[Target]]:
        """The demo's workload in each namespace; returns its pods once all are ready."""
        deploy = partial(deploy_demo_workload, self.admin, replicas=replicas, wait=False)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: deploy(namespace=name), namespaces))
        ready = {name: self._ready(name, replicas) for name in namespaces}
        self.settle()
        return ready

    def _ready(self, namespace: str, replicas: int) -> list[Target]:
        path, query = f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": f"app={NAME}"}
        end = time.monotonic() + _PATIENCE
        while True:
            found = self.admin.request("GET", path, query=query)["items"]
            ready = [p for p in found if p["status"].get("podIP")]
            if len(ready) >= replicas:
                break
            if time.monotonic() > end:
                raise TimeoutError(f"{len(ready)} of {replicas} pods of {namespace} are ready")
            time.sleep(min(5.0, 0.2 + replicas / 500))
        pods = [
            DemoPod(p["metadata"]["name"], p["metadata"]["uid"], p["spec"]["nodeName"], p["status"]["podIP"])
            for p in sorted(ready, key=lambda p: str(p["metadata"]["name"]))
        ]
        workload = DemoWorkload(namespace, NAME, NAME, IMAGE, CLEAN_IMAGE, pods)
        return [Target(pod, workload) for pod in pods]

    def settle(self) -> None:
        """Until the control plane rests: controllers go on for a while after the last pod has become ready."""
        pids = {name: pid for name, pid in self.info.processes.items() if name.startswith("kube-") or name == "kwok"}
        end = time.monotonic() + _PATIENCE
        before = sum(cpu_seconds(pids).values())
        while time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
            now = sum(cpu_seconds(pids).values())
            if now - before < _AT_REST * _LOOK_SECONDS:
                return
            before = now

    def finding(self, target: Target) -> Json:
        """A finding about a pod, as the demo makes it from a published one."""
        return finding_about(target.pod, target.workload, self.info)

    def publish(self, raw: Sequence[Json]) -> list[Finding]:
        """Let GuardDuty know findings, and read them as every way in does."""
        info = self.info
        put_findings(info.aws_endpoint, region=info.region, detector_id=info.detector_id, findings=raw)
        return [read_findings(_as_text(f))[0] for f in raw]

    def allow_own_record(self) -> None:
        """Let Firebreak's identity write one more ConfigMap: that of the bare calls."""
        metadata = {"name": OWN_CONFIGMAP, "namespace": "firebreak"}
        group = "rbac.authorization.k8s.io"
        rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [OWN_CONFIGMAP]}
        account = {"kind": "ServiceAccount", "name": "firebreak", "namespace": "firebreak"}
        apply_all(
            self.admin,
            [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}},
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "Role",
                    "metadata": metadata,
                    "rules": [{**rule, "verbs": ["get", "update"]}],
                },
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "RoleBinding",
                    "metadata": metadata,
                    "roleRef": {"apiGroup": group, "kind": "Role", "name": OWN_CONFIGMAP},
                    "subjects": [account],
                },
            ],
        )


def _as_text(raw: Json) -> str:
    return json.dumps({"Findings": [raw]})


@contextlib.asynccontextmanager
async def arena() -> AsyncIterator[Arena]:
    """A stack of its own name, taken down at the end whatever happens."""
    name = f"bench-{os.getpid()}"
    try:
        # A managed control plane runs them on other processors, so what is measured must not wait for them.
        info = up(name, nodes=NODES, pods_per_node=PODS_PER_NODE, policy=POLICY, controllers_yield=True)
        # From here on this process is Firebreak's own identity too, for the bare calls.
        os.environ.update({**info.environment(), "FIREBREAK_POLICY": str(POLICY)})
        client = await Client.connect(info.temporal_address, data_converter=pydantic_data_converter)
        made = Arena(info, KubeApi.from_kubeconfig(info.kubeconfig_admin), client)
        made.allow_own_record()
        yield made
    finally:
        down(name)
