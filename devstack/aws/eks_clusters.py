"""What the parts of EKS have in common: state by cluster, and the service's own refusals.

Clusters are moto's. What does not exist, and what the service refuses, is said with the service's own exceptions
(https://docs.aws.amazon.com/eks/latest/APIReference/API_Operations.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from moto.eks.models import eks_backends

from devstack.aws.registry import AwsError, Call

Made = TypeVar("Made")
Key = tuple[str, str, str]
"""Account, region and cluster."""

_PAGE = 100


class Clusters:
    """State of one kind for every cluster, and the check that the cluster exists."""

    def __init__(self) -> None:
        self._state: dict[Key, dict[Any, Any]] = {}

    def of(self, call: Call) -> dict[Any, Any]:
        """The state of the cluster that a call is about.

        Raises:
            AwsError: moto has no such cluster.
        """
        name = call.parameters["clusterName"]
        if name not in eks_backends[call.account][call.region].clusters:
            raise missing(f"No cluster found for name: {name}.")
        return self._state.setdefault((call.account, call.region, name), {})


def page(call: Call, items: Sequence[Made]) -> tuple[list[Made], dict[str, str]]:
    """The part of a list that a call asks for, and `nextToken` if there is more."""
    size, token = call.parameters.get("maxResults", _PAGE), call.parameters.get("nextToken", "") or "0"
    if not token.isdecimal() or not 1 <= size <= _PAGE:
        raise invalid("The parameters maxResults or nextToken are invalid.")
    end = int(token) + size
    return list(items[int(token) : end]), {"nextToken": str(end)} if end < len(items) else {}


def missing(message: str) -> AwsError:
    """Something does not exist."""
    return AwsError("ResourceNotFoundException", message, status=404)


def in_use(message: str) -> AwsError:
    """Something exists already."""
    return AwsError("ResourceInUseException", message, status=409)


def invalid(message: str) -> AwsError:
    """A parameter is wrong."""
    return AwsError("InvalidParameterException", message)


def refused(message: str) -> AwsError:
    """The request is well-formed and cannot be granted in the state that things are in."""
    return AwsError("InvalidRequestException", message)
