"""Records the histories that the replay tests replay: `make histories`, or `python -m tests.replay.record`.

Incidents of every ending run on real parts; their histories, those of their paths and of their release are written
beside this module. What is recorded already is left alone: a history that no longer replays means that running
incidents would break, and is not to be recorded anew to make a test pass.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import Client

from contracts.states import IncidentState
from devstack import cluster
from devstack.demo_workload import NAME, deploy_demo_workload
from devstack.kube import KubeApi
from devstack.stack import StackInfo, down, up
from tests.assess.support import raw_finding
from tests.e2e.conftest import new_temporal_namespace
from tests.e2e.incident import Incident, step_state
from tests.e2e.processes import Zygote
from tests.e2e.workloads import workload
from tests.e2e.world import World

HISTORIES = Path(__file__).with_name("histories")
Scenario = Callable[[World], Awaitable[Incident]]


async def remediated(world: World) -> Incident:
    """The main job."""
    incident = await _start(world)
    await incident.approve()
    return await _ended(incident, IncidentState.REMEDIATED)


async def released(world: World) -> Incident:
    """A false alarm."""
    incident = await _start(world)
    await incident.collected()
    await incident.release()
    return await _ended(incident, IncidentState.RELEASED)


async def denied(world: World) -> Incident:
    """A finding that GuardDuty does not confirm, and that a person does not believe either."""
    incident = await _start(world, publish=False)
    await incident.collected()
    for gate in ("contain", "eradicate"):
        asked = await incident.waiting(gate)
        await incident.decide(incident.decision(asked, decision="deny", image=""))
    return await _ended(incident, IncidentState.DENIED)


async def failed_rollout(world: World) -> Incident:
    """A repair that is rolled back, approved again, and succeeds."""
    world.create(workload("Deployment", "slow", spec={"progressDeadlineSeconds": 3}))
    await world.ready("slow", 2)
    await world.allow_no_more_pods()
    incident = await world.start(world.finding_about({**world.get("Deployment", "slow"), "kind": "Deployment"}))
    await incident.approve()
    await incident.until(lambda v: step_state(v, "pod.redeploy") == "failed", "the rollout failed")
    await incident.waiting()
    world.admin.request("DELETE", f"/api/v1/namespaces/{world.namespace}/resourcequotas/few")
    await incident.approve()
    return await _ended(incident, IncidentState.REMEDIATED)


async def several_paths(world: World) -> Incident:
    """A pod and the service account that it runs as: two paths, a step that is repeated, tasks of people."""
    workload = deploy_demo_workload(world.admin, namespace=world.namespace, replicas=2)
    user = {"Username": f"system:serviceaccount:{world.namespace}:{NAME}"}
    raw = world.finding_about(world.get("Pod", workload.pods[0].name), user=user)
    incident = await world.start(raw)
    await incident.approve_everything()
    return await _ended(incident, IncidentState.REMEDIATED)


async def configuration(world: World) -> Incident:
    """A binding of anonymous users, which nothing waits for."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    group = "rbac.authorization.k8s.io"
    body = {
        "metadata": {"name": world.namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": "system:anonymous"}],
    }
    world.admin.request("POST", path, body)
    user = {"Username": "system:anonymous", "Groups": ["system:unauthenticated"]}
    raw = raw_finding(secrets.token_hex(16), finding_type="Policy:Kubernetes/AnonymousAccessGranted", user=user)
    world.publish(raw)
    return await _ended(await world.start(raw), IncidentState.REMEDIATED)


async def plan_only(world: World) -> Incident:
    """A sample finding."""
    incident = await _start(world, sample=True)
    return await _ended(incident, IncidentState.PLAN_ONLY)


SCENARIOS: dict[str, Scenario] = {
    "remediated": remediated,
    "released": released,
    "denied": denied,
    "failed-rollout": failed_rollout,
    "plan-only": plan_only,
    "several-paths": several_paths,
    "configuration": configuration,
}


async def _start(world: World, *, publish: bool = True, sample: bool = False) -> Incident:
    pod = deploy_demo_workload(world.admin, namespace=world.namespace, replicas=2).pods[0]
    raw = world.finding_about(world.get("Pod", pod.name), publish=False)
    if sample:
        raw["Service"]["AdditionalInfo"] = {"Value": '{"sample":true}', "Type": "default"}
    if publish:
        world.publish(raw)
    return await world.start(raw)


async def _ended(incident: Incident, state: IncidentState) -> Incident:
    view = await incident.result()
    assert view.state is state, view.model_dump_json(indent=1)
    return incident


async def record(stack: StackInfo, folder: Path) -> None:
    """Run every scenario that is not recorded yet, and write its histories."""
    zygote, commands = Zygote(folder / "workers"), Zygote(folder / "commands")
    try:
        client = await new_temporal_namespace(stack)
        admin = KubeApi.from_kubeconfig(stack.kubeconfig_admin)
        zygote.start(World(stack, admin, client, commands, "").environment())
        for name, scenario in SCENARIOS.items():
            if (HISTORIES / f"{name}.incident.json").exists():
                continue
            namespace = f"{NAME}-{name}"
            admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            cluster.grant_namespace_admin(admin, namespace)
            await _write(name, await scenario(World(stack, admin, client, commands, namespace)))
    finally:
        zygote.close()
        commands.close()


async def _write(name: str, incident: Incident) -> None:
    """The histories of the incident and of its children, one file each."""
    histories = [await _history(incident.client, incident.id)]
    for event in histories[0]["events"]:
        if child := event.get("childWorkflowExecutionStartedEventAttributes"):
            execution = child["workflowExecution"]
            histories.append(await _history(incident.client, execution["workflowId"], execution["runId"]))
    for history in histories:
        workflow_id = history.pop("workflowId")
        child = workflow_id.removeprefix(incident.id).strip("/") or "incident"
        document = {"workflow_id": workflow_id, "history": _anonymous(history)}
        (HISTORIES / f"{name}.{child}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


async def _history(client: Client, workflow_id: str, run_id: str | None = None) -> dict[str, Any]:
    history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
    return {"workflowId": workflow_id, **history.to_json_dict()}


def _anonymous(value: Any) -> Any:
    """Without the names of machines and the paths of files on them."""
    if isinstance(value, dict):
        return {k: "" if k in ("stackTrace", "binaryChecksum") else _anonymous(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_anonymous(v) for v in value]
    if isinstance(value, str):
        return re.sub(r"\b\d+@[A-Za-z0-9._-]+", "1@recorder", value)
    return value


def main() -> None:
    """Start a stack, record, and take it down."""
    HISTORIES.mkdir(exist_ok=True)
    name = f"histories-{secrets.token_hex(4)}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(record(up(name, progress=None), Path(folder)))
    finally:
        down(name)


if __name__ == "__main__":
    main()
