"""The AWS SDK's clients, made once and when they are first needed, and what every service of ours begins with.

Credentials, region and endpoint come from the AWS SDK's own environment (`AWS_ENDPOINT_URL` points the embedded stack's
stand-in). A boto3 client may be shared between threads, a session may not:
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from clients.aws.errors import translated
from errors import InputError


class Sdk:
    """The SDK's clients of one account and region, each made when it is first asked for. Safe between threads."""

    def __init__(self, region: str, timeout: tuple[float, float]) -> None:
        # Temporal owns retrying: a second try of the SDK's only bridges a connection that died while it was idle.
        self._config = Config(
            connect_timeout=timeout[0],
            read_timeout=timeout[1],
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=32,
            user_agent_extra="firebreak",
        )
        # Containment waits for GuardDuty's word, and if there is none a person is asked: better soon than late.
        self._soon = self._config.merge(Config(connect_timeout=min(2, timeout[0]), read_timeout=min(5, timeout[1])))
        with translated("AWS configuration"):
            self._session = boto3.Session(region_name=region or None)
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, str], float] = {}
        if not self._session.region_name:
            raise InputError("AWS_DEFAULT_REGION", "a region")

    @property
    def region(self) -> str:
        """The region in which the services are asked."""
        return str(self._session.region_name)

    def client(self, service: str, region: str = "") -> Any:
        """The client of a service, in our region unless another is named.

        A service's model costs up to 20 MB, so none is made that nobody asks for.
        """
        where = (service, region or self.region)
        with self._lock:
            if where not in self._clients:
                config = self._soon if service == "guardduty" else self._config
                with translated("AWS configuration"):
                    self._clients[where] = self._session.client(service, where[1], config=config)  # type: ignore[call-overload]
            return self._clients[where]

    def take_turn(self, service: str, region: str, seconds: float) -> None:
        """Wait until the last turn at a service that answers few calls in a second is so long ago.

        Whoever asks in this process shares the turns, since AWS counts the calls of the whole account.
        """
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._turns.get((service, region), now))
            self._turns[service, region] = mine + seconds
        time.sleep(mine - now)


class Service:
    """One service of AWS, as far as Firebreak uses it. Methods may raise Forbidden, Throttled and Unavailable."""

    def __init__(self, sdk: Sdk, before_change: Callable[[], None] | None) -> None:
        self._sdk = sdk
        self._before_change = before_change

    @contextmanager
    def _changing(self, operation: str) -> Iterator[None]:
        """Around every call that changes something: the pause switch first, then the translation of errors."""
        if self._before_change is not None:
            self._before_change()
        with translated(operation):
            yield
