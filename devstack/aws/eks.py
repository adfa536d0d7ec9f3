"""What moto lacks of EKS: access entries, identity provider configurations and Pod Identity associations."""

from __future__ import annotations

import threading

from devstack.aws.eks_access import AccessEntries
from devstack.aws.eks_identity import IdentityProviders, PodIdentities
from devstack.aws.registry import Call, Handler, Service


class Eks:
    """The service, of which each part is a file of its own."""

    def __init__(self) -> None:
        self._parts = (AccessEntries(), IdentityProviders(), PodIdentities())
        self._lock = threading.Lock()

    def service(self) -> Service:
        """The operations, for the registry."""
        service = Service("eks", invalid_code="InvalidParameterException")
        for part in self._parts:
            for operation, handler in part.handlers().items():
                service.register(operation, self._one_at_a_time(handler))
        return service

    def _one_at_a_time(self, handler: Handler) -> Handler:
        def answer(call: Call) -> dict[str, object]:
            with self._lock:
                return handler(call)

        return answer
