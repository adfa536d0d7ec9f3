"""The stand-in's AWS as the people of the demo's account see it: not through Firebreak's own door."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config


def service(name: str) -> Any:
    """A client of one service, led to the stand-in by the environment of the stage."""
    # Without `proxies` botocore would send even this loopback traffic to the proxy of the user's shell.
    return boto3.client(name, config=Config(retries={"total_max_attempts": 1}, proxies={}))  # type: ignore[call-overload]
