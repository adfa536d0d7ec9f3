"""What all tests share: the embedded stack, and which of them run beside each other."""

import pytest

pytest_plugins = ["tests.stack.fixtures", "tests.stack.real_node"]
_GROUPS = {"stack": pytest.mark.xdist_group("stack"), "real_stack": pytest.mark.xdist_group("real-node")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests on one stack in one process: two at full work on two cores make controllers late.

    The others need no cluster, so they run beside them (`make test` asks for two processes).
    """
    for item in items:
        for name in _GROUPS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(_GROUPS[name])
