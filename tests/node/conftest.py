import pytest

from devstack.kube import KubeApi
from tests.assess.conftest import admin_door, aws, door, doors, settings
from tests.assess.support import eventually
from tests.node.support import fleet

__all__ = ["admin_door", "aws", "door", "doors", "nodes", "settings"]

nodes = pytest.fixture(name="nodes")(fleet)


@pytest.fixture
def space(admin: KubeApi, namespace: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    eventually(lambda: admin.exists(path), "the default service account")
    return namespace
