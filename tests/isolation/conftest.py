from pathlib import Path
from typing import Any, cast

import pytest

from activities.assess.cluster import ClusterReader
from activities.doors import Doors
from activities.isolation.isolate import IsolateActivities
from activities.isolation.verify import VerifyActivities
from activities.restore import RestoreActivities
from clients.kubernetes import Kubernetes
from devstack.stack import StackInfo
from evidence.local import LocalStore
from settings import Settings

SETTINGS = Settings(account="123456789012", region="us-east-1", cluster="firebreak-demo")


@pytest.fixture(scope="session")
def kubernetes(stack: StackInfo) -> Kubernetes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(stack.kubeconfig))
        return Kubernetes.from_environment()


@pytest.fixture
def doors(kubernetes: Kubernetes, tmp_path: Path) -> Doors:
    # Isolation talks to Kubernetes and the store only.
    nothing = cast(Any, None)
    return Doors(
        settings=SETTINGS,
        kubernetes=kubernetes,
        bindings=kubernetes,
        aws=nothing,
        store=LocalStore(tmp_path),
        temporal=nothing,
    )


@pytest.fixture
def isolation(doors: Doors) -> IsolateActivities:
    return IsolateActivities(doors)


@pytest.fixture
def release(doors: Doors) -> RestoreActivities:
    return RestoreActivities(doors)


@pytest.fixture
def verification(doors: Doors) -> VerifyActivities:
    return VerifyActivities(doors, ClusterReader(doors.kubernetes))
