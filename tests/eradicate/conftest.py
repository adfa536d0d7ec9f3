from tests.isolation.conftest import doors, kubernetes, release

__all__ = ["doors", "kubernetes", "release"]
