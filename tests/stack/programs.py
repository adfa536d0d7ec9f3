"""Running a program that must succeed."""

import subprocess
from collections.abc import Mapping, Sequence


def answer(words: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a program prints; its errors are the test's."""
    result = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, f"{' '.join(words)}: {result.stderr}"
    return result.stdout
