pytest_plugins = ["tests.stack.fixtures", "tests.stack.real_node"]
