from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from clients.aws import Aws
from clients.kubernetes import Kubernetes
from contracts.common import IncidentKey, PodTarget
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from evidence.local import LocalStore
from settings import Settings
from tests.assess.conftest import aws
from tests.collect.support import Worker, make_workload, targets_of

__all__ = ["aws"]

SETTINGS = Settings(account="123456789012", region="us-east-1", cluster="firebreak-demo")
INCIDENT = IncidentKey(workflow_id="gd/123456789012/us-east-1/finding-1", run_id="run-1")


@pytest.fixture(scope="session")
def kubernetes(stack: StackInfo) -> Kubernetes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(stack.kubeconfig))
        return Kubernetes.from_environment()


@pytest.fixture
def kubeconfig(stack: StackInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(stack.kubeconfig))


@pytest.fixture
def doors(kubernetes: Kubernetes, aws: Aws, tmp_path: Path) -> Doors:
    # Custody asks Temporal's client for its identity only.
    worker = cast(Any, Worker("worker-1"))
    return Doors(
        settings=SETTINGS,
        kubernetes=kubernetes,
        bindings=kubernetes,
        aws=aws,
        store=LocalStore(tmp_path / "evidence"),
        temporal=worker,
    )


@pytest.fixture
def workload(admin: KubeApi, namespace: str) -> list[PodTarget]:
    """Two pods of a Deployment with a service account that may read Secrets, and a policy that selects them."""
    make_workload(admin, namespace)
    return targets_of(admin, namespace, 2)


@pytest.fixture
def attempt() -> Callable[[int], ActivityEnvironment]:
    def make(number: int = 1) -> ActivityEnvironment:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=number, activity_type="collect_pods")
        return environment

    return make
