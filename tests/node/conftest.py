import pytest

from tests.assess.conftest import admin_door, aws, door, doors, settings
from tests.node.support import fleet

__all__ = ["admin_door", "aws", "door", "doors", "nodes", "settings"]

nodes = pytest.fixture(name="nodes")(fleet)
