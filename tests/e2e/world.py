"""One test's world: a namespace under attack, findings about it, and incidents in a Temporal namespace."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import NamedTemporaryFile
from typing import Any

import boto3
from temporalio.client import Client
from temporalio.service import RPCError

from clients.paths import list_path, object_path
from contracts.names import HOLD_LABEL, INCIDENTS_ANNOTATION, QUARANTINED_LABEL
from devstack.aws.prepare import put_findings
from devstack.kube import KubeApi, KubeError
from devstack.stack import StackInfo
from evidence.store import EvidenceStore, open_store
from intake.start import StartOutcome, start_incident
from tests.assess.support import raw_finding, read, workload_of
from tests.e2e.incident import Incident, eventually
from tests.e2e.processes import Zygote
from tests.e2e.workloads import Json

POLICY = Path(__file__).with_name("policy.yaml")
_COUNTED = ("resourceVersion", "managedFields", "generation", "creationTimestamp")
_KINDS = ("Pod", "Service", "ServiceAccount", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "NetworkPolicy")


@dataclass
class World:
    """A namespace of the cluster, and what tests do with it."""

    stack: StackInfo
    admin: KubeApi
    client: Client
    commands: Zygote
    namespace: str
    incidents: list[Incident] = field(default_factory=list)
    policy: Path = POLICY

    def environment(self, **changed: str) -> dict[str, str]:
        """What leads the product to this world."""
        return {
            **self.stack.environment(),
            "FIREBREAK_POLICY": str(self.policy),
            "FIREBREAK_LOG_FORMAT": "console",
            "TEMPORAL_NAMESPACE": self.client.namespace,
            **changed,
        }

    async def firebreak(self, *arguments: str, code: int = 0) -> Json:
        """One command of an operator, and the document that it prints."""
        ended = await self.run(*arguments)
        assert ended.returncode == code, f"{arguments}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return dict(json.loads(ended.stdout))

    async def run(self, *arguments: str) -> CompletedProcess[str]:
        """The same, however it ends."""
        return await asyncio.to_thread(self.commands.run, [*arguments, "--json"], self.environment())

    # The cluster

    def create(self, obj: Json) -> Json:
        """Create an object in the namespace, as the cluster's administrator."""
        return self.admin.request("POST", list_path(obj["kind"], self.namespace), obj)

    def get(self, kind: str, name: str) -> Json:
        """An object of the namespace."""
        return self.admin.request("GET", object_path(kind, self.namespace, name))

    def find(self, kind: str, name: str) -> Json | None:
        """The same, or None."""
        with suppress(KubeError):
            return self.get(kind, name)
        return None

    async def allow_no_more_pods(self) -> None:
        """From now on a quota keeps controllers from making another pod, so that no rollout gets on."""
        path = f"/api/v1/namespaces/{self.namespace}/resourcequotas"
        spec = {"hard": {"pods": str(len(self.pods()))}}
        self.admin.request("POST", path, {"metadata": {"name": "few"}, "spec": spec})
        await eventually(
            lambda: self.admin.request("GET", f"{path}/few").get("status", {}).get("used"), "the quota counts"
        )

    def patch(self, kind: str, name: str, body: Json, *, by: KubeApi | None = None, subresource: str = "") -> Json:
        """Merge something into an object."""
        path = object_path(kind, self.namespace, name) + subresource
        return (by or self.admin).request("PATCH", path, body, content_type="application/merge-patch+json")

    def delete(self, kind: str, name: str, *, by: KubeApi | None = None) -> None:
        """Delete an object."""
        (by or self.admin).request("DELETE", object_path(kind, self.namespace, name))

    def items(self, kind: str, **query: str) -> list[Json]:
        """All objects of a kind in the namespace."""
        found = self.admin.request("GET", list_path(kind, self.namespace), query=query or None)["items"]
        return sorted(({**o, "kind": kind} for o in found), key=lambda o: str(o["metadata"]["name"]))

    def pods(self, app: str = "") -> list[Json]:
        """The pods of an application that are not on their way out, by name."""
        query = {"labelSelector": f"app={app}"} if app else {}
        return [p for p in self.items("Pod", **query) if "deletionTimestamp" not in p["metadata"]]

    async def ready(self, app: str, count: int) -> list[Json]:
        """The pods of an application, once so many are ready and none besides."""

        def look() -> list[Json]:
            pods = self.items("Pod", labelSelector=f"app={app}")
            return pods if len(pods) == count and all(is_ready(p) for p in pods) else []

        return await eventually(look, f"{count} ready pods of {app}") if count else []

    def objects(self) -> dict[str, Json]:
        """Every object of the namespace, to the byte; only what kubelets report is left out."""
        found = {f"{kind} {o['metadata']['name']}": o for kind in _KINDS for o in self.items(kind)}
        return {name: {k: v for k, v in o.items() if k != "status"} for name, o in found.items()}

    def state(self) -> dict[str, Json]:
        """The same without what every write moves, even one that is undone."""
        return {
            name: {**o, "metadata": {k: v for k, v in o["metadata"].items() if k not in _COUNTED}}
            for name, o in self.objects().items()
        }

    def marks(self) -> dict[str, Json]:
        """What of Firebreak stands in the namespace: labels and annotations by object, and its policies.

        ReplicaSets are left out: their Deployment's controller copies its annotations to them and never takes one back.
        """
        found: dict[str, Json] = {}
        for name, o in self.objects().items():
            if o["kind"] == "ReplicaSet":
                continue
            metadata = o["metadata"]
            words = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
            ours = {k: v for k, v in words.items() if k.startswith("firebreak.dev/")}
            selector = json.dumps(o.get("spec", {}).get("podSelector", {})) if o["kind"] == "NetworkPolicy" else ""
            if ours or "firebreak.dev/" in selector:
                found[name] = ours
        return found

    # Findings and incidents

    def finding_about(self, obj: Json, *, publish: bool = True, **fields: Any) -> Json:
        """A finding that accuses a pod or workload, known to GuardDuty unless told otherwise."""
        kind = f"{obj['kind'].lower()}s"
        raw = raw_finding(uuid.uuid4().hex, **{"workload": workload_of(obj, kind), **fields})
        if publish:
            self.publish(raw)
        return raw

    def publish(self, *raw: Json) -> None:
        """Let GuardDuty know findings."""
        put_findings(
            self.stack.aws_endpoint, region=self.stack.region, detector_id=self.stack.detector_id, findings=raw
        )

    async def start(self, raw: Json) -> Incident:
        """Start the incident of a finding, as a person does."""
        with NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"Findings": [raw]}, file)
            file.flush()
            # A file with one finding in it is answered by one document, a file with many by a list.
            answer = await self.firebreak("start", file.name)
        return self.incident(answer["incident"])

    async def hand_in(self, raw: Json) -> StartOutcome:
        """Hand a finding in, as every way in does."""
        return await start_incident(self.client, read(raw), requested_by="tests")

    def incident(self, workflow_id: str) -> Incident:
        """A handle on an incident, which ends with the test."""
        incident = Incident(self.client, workflow_id, self.run)
        self.incidents.append(incident)
        return incident

    async def close(self) -> None:
        """End what still runs, so that it does not go on in the next test's time."""
        for incident in self.incidents:
            with suppress(RPCError):
                await incident.handle.terminate("the test is over", rpc_timeout=timedelta(seconds=10))

    # Evidence

    def evidence(self) -> EvidenceStore:
        """The evidence store, opened by somebody who reads it."""
        env = self.stack.environment()
        session = boto3.session.Session(
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            region_name=self.stack.region,
        )
        return open_store(self.stack.evidence, session.client("s3", endpoint_url=self.stack.aws_endpoint))


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod reports that it is ready."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_held(pod: Mapping[str, Any]) -> bool:
    """Whether a pod carries both labels."""
    labels = pod["metadata"].get("labels") or {}
    return labels.get(QUARANTINED_LABEL) == "true" and labels.get(HOLD_LABEL) == "true"


def holders(obj: Mapping[str, Any]) -> list[str]:
    """The incidents that hold an object."""
    text = (obj["metadata"].get("annotations") or {}).get(INCIDENTS_ANNOTATION)
    return list(json.loads(text)) if text else []
