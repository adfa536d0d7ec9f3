"""Fixtures of the assessment's tests: the doors of an installation on the embedded stack."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.assess import Assessing
from activities.doors import Doors
from clients.aws import Aws
from clients.kubernetes import Kubernetes
from clients.paths import RESOURCES, list_path, object_path
from contracts.activities import Assessment, AssessRequest
from contracts.common import IncidentKey
from contracts.names import CONTROL_CONFIGMAP
from devstack.aws.prepare import put_findings
from devstack.stack import StackInfo
from errors import Conflict, TargetGone
from evidence.store import open_store
from findings.model import Finding
from settings import Settings
from tests.assess.support import JsonObject, eventually, raw_finding, read


@pytest.fixture(scope="session")
def admin_door(stack: StackInfo) -> Kubernetes:
    """The API server as the cluster's administrator, through our own client."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(stack.kubeconfig_admin))
        return Kubernetes.from_environment()


@pytest.fixture(scope="session")
def door(stack: StackInfo) -> Kubernetes:
    """The API server as Firebreak itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(stack.kubeconfig))
        return Kubernetes.from_environment()


@pytest.fixture(scope="session")
def aws(stack: StackInfo) -> Iterator[Aws]:
    """AWS as the embedded stack plays it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        yield Aws()


@pytest.fixture
def settings(stack: StackInfo) -> Settings:
    """The settings of an installation of the stack's cluster."""
    return Settings(account=stack.account, region=stack.region, cluster=stack.cluster, detector_id=stack.detector_id)


@pytest.fixture
def doors(settings: Settings, door: Kubernetes, aws: Aws, tmp_path: Path) -> Doors:
    """Firebreak's doors, with a folder for evidence. No activity here talks to Temporal."""
    return Doors(
        settings=settings,
        kubernetes=door,
        bindings=door,
        aws=aws,
        store=open_store(str(tmp_path / "evidence")),
        temporal=cast(Client, None),
    )


@pytest.fixture
def unspent(admin_door: Kubernetes) -> None:
    """No containment in the last hour, and no pause."""
    path = object_path("ConfigMap", "firebreak", CONTROL_CONFIGMAP)
    try:
        uid = admin_door.get(path)["metadata"]["uid"]
    except TargetGone:
        return
    admin_door.delete(path, uid=uid)


@pytest.fixture
def publish(stack: StackInfo) -> Callable[[JsonObject], None]:
    """Let GuardDuty know a finding."""

    def put(finding: JsonObject) -> None:
        answer = put_findings(
            stack.aws_endpoint, region=stack.region, detector_id=stack.detector_id, findings=[finding]
        )
        assert answer["stored"] == [finding["Id"]]

    return put


@pytest.fixture
def assess(doors: Doors, unspent: None) -> Iterator[Callable[..., Assessment]]:
    """Run the activity on a finding, as a worker would."""
    assessing = Assessing(doors)

    def run(finding: Finding, incident: str = "") -> Assessment:
        key = IncidentKey(workflow_id=incident or f"gd/123456789012/us-east-1/{finding.id}", run_id="run-1")
        return ActivityEnvironment().run(assessing.assess, AssessRequest(incident=key, finding=finding))

    yield run
    assessing.close()


@pytest.fixture
def found(assess: Callable[..., Assessment], publish: Callable[[JsonObject], None]) -> Callable[..., Assessment]:
    """Publish a finding and assess it: the normal course of things."""

    def run(**fields: Any) -> Assessment:
        raw = raw_finding(uuid.uuid4().hex, **fields)
        publish(raw)
        return assess(read(raw))

    return run


@pytest.fixture
def space(namespace: str, admin_door: Kubernetes) -> str:
    """A fresh namespace in which pods can be created: its default account is there."""
    path = object_path("ServiceAccount", namespace, "default")

    def there() -> bool:
        try:
            admin_door.get(path)
        except TargetGone:
            return False
        return True

    eventually(there, "the default service account")
    return namespace


@pytest.fixture
def make(admin_door: Kubernetes, space: str) -> Callable[..., JsonObject]:
    """Create an object in the namespace."""

    def create(kind: str, name: str, spec: JsonObject | None = None, **metadata: Any) -> JsonObject:
        body: JsonObject = {
            "apiVersion": RESOURCES[kind].api_version,
            "kind": kind,
            "metadata": {"name": name, "namespace": space, **metadata},
        }
        if spec is not None:
            body["spec"] = spec
        return admin_door.create(list_path(kind, space), body)

    return create


@pytest.fixture
def running(admin_door: Kubernetes, space: str) -> Callable[[str, int], list[JsonObject]]:
    """Wait until so many pods with a label run, and return them by name."""

    def pods(app: str, count: int) -> list[JsonObject]:
        def ready() -> list[JsonObject]:
            found = list(admin_door.items(list_path("Pod", space), labelSelector=f"app={app}"))
            up = [p for p in found if p["status"].get("phase") in ("Running", "Succeeded")]
            return up if len(up) == count else []

        return sorted(eventually(ready, f"{count} pods of {app}"), key=lambda p: str(p["metadata"]["name"]))

    return pods


@pytest.fixture
def vpc_cni(admin_door: Kubernetes) -> Iterator[None]:
    """The VPC CNI with its policy agent switched on, as kwok's nodes see it; one that stands already is used."""
    path = object_path("DaemonSet", "kube-system", "aws-node")
    agent = {"name": "aws-eks-nodeagent", "image": "agent:1", "args": ["--enable-network-policy=true"]}
    labels = {"k8s-app": "aws-node"}
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "aws-node"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [agent]}},
        },
    }
    made = ""
    try:
        made = admin_door.create(list_path("DaemonSet", "kube-system"), body)["metadata"]["uid"]
    except Conflict:
        pass
    eventually(lambda: admin_door.get(path)["status"].get("numberReady"), "the network plugin")
    yield
    if made:
        admin_door.delete(path, uid=made)
