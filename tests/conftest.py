"""What all tests share: the embedded stack, and which of them run beside each other."""

import pytest

pytest_plugins = ["tests.stack.fixtures"]
_STACK = pytest.mark.xdist_group("stack")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests on the embedded stack in one process: two stacks on two cores make controllers late.

    The others need no cluster, so they run beside them (`make test` asks for two processes).
    """
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(_STACK)
