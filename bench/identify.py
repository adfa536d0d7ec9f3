"""Who is meant, among 10,000 pods of one namespace: by service account and by image."""

from __future__ import annotations

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor

from bench.arena import NODES, Arena, Json
from bench.look import ACCOUNT, IMAGE, NAMESPACE
from bench.processes import Ran, clean_environment, run_measured
from bench.results import MB, Result, Row, median, ms
from devstack.kube import KubeError
from devstack.processes import poll
from devstack.tools import ensure_tools

NAME = "identify"
FASTER, LEANER = 8, 4
_EVERY = 50
"""One pod in so many uses the account and the image that are looked for."""
_PATIENCE = 900.0
_THREADS = 8


async def measure(arena: Arena, *, quick: bool) -> Result:
    """Each way in turn, and all of them again: the medians are compared."""
    pods, turns = (1000, 2) if quick else (10_000, 3)
    await asyncio.to_thread(_crowd, arena, pods)
    environment = arena.environment()
    kubectl = [str(ensure_tools()["kubectl"]), "--kubeconfig", str(arena.info.kubeconfig), "get", "pods", "-o", "json"]
    python = [sys.executable, "-m", "bench.look"]
    ways = {
        "account": [*python, "account"],
        "image": [*python, "image"],
        "typed": [*python, "typed"],
        "kubectl": [*kubectl, "-A"],
        "kubectl-selector": [*kubectl, "-A", f"--field-selector=spec.serviceAccountName={ACCOUNT}"],
    }
    # kubectl keeps what it discovered of the cluster's kinds; so that it need not each time, it gets a home.
    home = arena.info.state_dir / "kubectl-home"
    home.mkdir(exist_ok=True)
    clean = clean_environment({"HOME": str(home)})
    runs: dict[str, list[Ran]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, command in ways.items():
            own = name.startswith("kubectl")
            ran = await asyncio.to_thread(run_measured, command, clean if own else environment, keep=not own)
            runs[name].append(ran)
    return _result(pods, runs)


def _result(pods: int, runs: dict[str, list[Ran]]) -> Result:
    said = {name: [json.loads(r.output) for r in ran] for name, ran in runs.items() if not name.startswith("kubectl")}
    seconds = {name: median([s["seconds"] for s in each]) for name, each in said.items()}
    whole = {name: median([r.seconds for r in ran]) for name, ran in runs.items()}
    peak = {name: median([r.peak for r in ran]) for name, ran in runs.items()}
    peak |= {name: median([s["peak_bytes"] for s in each]) for name, each in said.items()}
    for name, each in said.items():
        if any(s["found"] != pods // _EVERY for s in each):
            raise RuntimeError(f"{name} found {[s['found'] for s in each]} pods instead of {pods // _EVERY}")
    rows = []
    for name, what in (("account", "service account"), ("image", "image")):
        faster, leaner = whole["kubectl"] / seconds[name], peak["kubectl"] / peak[name]
        rows.append(Row(
            f"by {what}, among {pods:,} pods",
            f"{ms(seconds[name])} · {peak[name] / MB:.0f} MB",
            f"kubectl get pods -A -o json: {ms(whole['kubectl'])} · {peak['kubectl'] / MB:.0f} MB",
            f"≥ {FASTER} x faster, {LEANER} x leaner",
            faster >= FASTER and leaner >= LEANER,
        ))  # fmt: skip
        rows.append(Row(f"  {faster:.1f} x faster, {leaner:.1f} x leaner",
                        f"{ms(whole[name])} with the start of Python",
                        f"typed client: {ms(seconds['typed'])} · {peak['typed'] / MB:.0f} MB"))  # fmt: skip
    rows.append(Row(
        "  by service account, the server selects for both",
        f"{whole['kubectl-selector'] / seconds['account']:.1f} x faster, "
        f"{peak['kubectl-selector'] / peak['account']:.1f} x leaner",
        f"kubectl --field-selector: {ms(whole['kubectl-selector'])} · {peak['kubectl-selector'] / MB:.0f} MB",
    ))  # fmt: skip
    return Result(NAME, rows, figures={"pods": pods, "seconds": seconds, "whole_seconds": whole, "peak_bytes": peak})


def _crowd(arena: Arena, count: int) -> None:
    """Pods that are on their nodes from the beginning, which spares the scheduler; kwok plays them like others."""
    base = f"/api/v1/namespaces/{NAMESPACE}"
    arena.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    arena.admin.request("POST", f"{base}/serviceaccounts", {"metadata": {"name": ACCOUNT}})
    poll("default service account", lambda: arena.admin.exists(f"{base}/serviceaccounts/default"), _PATIENCE)

    def create(number: int) -> None:
        try:
            arena.admin.request("POST", f"{base}/pods", _pod(number))
        except KubeError as error:
            if error.status != 409:
                raise

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(create, range(count)))
    # What is not reported running yet carries no image id, and is smaller than a real pod.
    pending = {"fieldSelector": "status.phase=Pending", "limit": "1"}
    poll("running pods", lambda: not arena.admin.request("GET", f"{base}/pods", query=pending)["items"], _PATIENCE)
    arena.settle()


def _pod(number: int) -> Json:
    meant = number % _EVERY == 0
    image = IMAGE if meant else f"registry.example/team-{number % 40}/service@sha256:{number % 40:064x}"
    container = {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "UPSTREAM_URL", "value": "https://upstream.example.com"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"crowd-{number:05}", "labels": {"app": f"team-{number % 40}", "tier": "backend"}},
        "spec": {
            "nodeName": f"node-{number % NODES}",
            "serviceAccountName": ACCOUNT if meant else "default",
            "containers": [container],
        },
    }
