from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from activities.assess.cluster import ClusterReader
from activities.doors import Doors
from activities.isolation.isolate import IsolateActivities
from activities.isolation.verify import VerifyActivities
from activities.restore import RestoreActivities
from clients.kubernetes import Kubernetes
from devstack.kube import KubeApi
from devstack.stack import StackInfo
from evidence.local import LocalStore
from settings import Settings
from tests.isolation.support import eventually

SETTINGS = Settings(account="123456789012", region="us-east-1", cluster="firebreak-demo")
_AWS_NODE = "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node"


@pytest.fixture(scope="session")
def kubernetes(stack: StackInfo) -> Kubernetes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(stack.kubeconfig))
        return Kubernetes.from_environment()


@pytest.fixture
def doors(kubernetes: Kubernetes, tmp_path: Path) -> Doors:
    # Isolation talks to Kubernetes and the store only.
    nothing = cast(Any, None)
    return Doors(settings=SETTINGS, kubernetes=kubernetes, aws=nothing, store=LocalStore(tmp_path), temporal=nothing)


@pytest.fixture
def isolation(doors: Doors) -> IsolateActivities:
    return IsolateActivities(doors)


@pytest.fixture
def release(doors: Doors) -> RestoreActivities:
    return RestoreActivities(doors)


@pytest.fixture
def verification(doors: Doors, vpc_cni: None) -> VerifyActivities:
    return VerifyActivities(doors, ClusterReader(doors.kubernetes))


@pytest.fixture(scope="session")
def vpc_cni(admin: KubeApi) -> Iterator[None]:
    """The VPC CNI with its policy agent switched on, as kwok's nodes see it."""
    agent = {"name": "aws-eks-nodeagent", "image": "agent:1", "args": ["--enable-network-policy=true"]}
    labels = {"k8s-app": "aws-node"}
    admin.apply(
        _AWS_NODE,
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "aws-node", "namespace": "kube-system"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [agent]}},
            },
        },
    )
    eventually(lambda: admin.request("GET", _AWS_NODE)["status"].get("numberReady"))
    yield
    admin.request("DELETE", _AWS_NODE)
