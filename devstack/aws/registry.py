"""Which AWS calls the stand-in answers itself; a service's file registers its operations here.

Services of the protocols REST-JSON (a call is told by method and path) and JSON (by the header X-Amz-Target).
A handler takes the request's members (botocore's names, validated) and says what the answer's members are::

    guardduty = Service("guardduty")

    @guardduty.operation("GetFindings")
    def get_findings(self, call: Call) -> dict[str, Any]: …
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from devstack.aws.shapes import ShapeError, from_wire, number, to_wire, validate, wire_name


class AwsError(Exception):
    """An error answer in AWS's own form: ``code`` is the exception's name in the service model."""

    def __init__(self, code: str, message: str, status: int = 400, kind: str | None = None) -> None:
        self.code = code
        self.status = status
        self.kind = kind or code
        super().__init__(message)


@dataclass(frozen=True)
class Call:
    """One request: who asks, where, and the members of the input."""

    account: str
    region: str
    parameters: Mapping[str, Any]
    endpoint: str = ""
    """The stand-in's own address, for answers that hold a URL."""


Handler = Callable[[Call], dict[str, Any]]


@dataclass(frozen=True)
class Operation:
    """One call that we answer: its model, the pattern of its path and its handler."""

    model: OperationModel
    pattern: re.Pattern[str]
    handler: Handler
    invalid_code: str
    target: str = ""
    """The value of the header X-Amz-Target; empty for REST-JSON."""

    def means(self, method: str, path: str, target: str) -> bool:
        """Whether a request is about this operation."""
        if self.target:
            return target == self.target
        return self.model.http["method"] == method and self.pattern.fullmatch(path) is not None

    def answer(
        self, account: str, region: str, path: str, query: Mapping[str, str], body: Any, endpoint: str = ""
    ) -> tuple[int, Any]:
        """Run the handler on a request; returns the HTTP status and the wire JSON.

        Raises:
            AwsError: The request does not fit the model, or the handler refused it.
            ShapeError: The handler's own answer does not fit the model, which is our mistake.
        """
        try:
            parameters = self._parameters(path, query, body)
        except ShapeError as error:
            # A JSON service says the exception in the body, a REST-JSON one in a header.
            kind = self.invalid_code if self.target else "InvalidInputException"
            raise AwsError(self.invalid_code, f"The request is rejected: {error}", kind=kind) from error
        result = self.handler(Call(account, region, parameters, endpoint))
        shape = self.model.output_shape
        if shape is None:
            return int(self.model.http.get("responseCode", 200)), {}
        validate(result, shape)
        return int(self.model.http.get("responseCode", 200)), to_wire(result, shape)

    def _parameters(self, path: str, query: Mapping[str, str], body: Any) -> dict[str, Any]:
        shape = self.model.input_shape
        if shape is None:
            return {}
        match = self.pattern.fullmatch(path)
        assert match is not None, "the registry matched this path already"
        outside: dict[str, Any] = {}
        rest = dict(body or {})
        for name, member in shape.members.items():
            location = member.serialization.get("location")
            key = wire_name(name, member)
            if location == "uri":
                outside[name] = number(unquote(match.group(_group(key))), member)
            elif location == "querystring" and key in query:
                outside[name] = number(query[key], member)
        parameters = {**from_wire(rest, shape), **outside}
        validate(parameters, shape)
        return parameters


@dataclass
class Service:
    """The operations of one AWS service that the stand-in answers.

    Attributes:
        name: As in botocore and in the signature's scope, for example ``guardduty``.
        invalid_code: The exception by which this service refuses bad parameters.
    """

    name: str
    invalid_code: str
    operations: list[Operation] = field(default_factory=list)

    def register(self, operation: str, handler: Handler) -> None:
        """Answer an operation of the service model with ``handler``; the model must know it."""
        service = service_model(self.name)
        model = service.operation_model(operation)
        uri = str(model.http["requestUri"]).partition("?")[0]
        parts = re.split(r"(\{[^}]+\})", uri)
        pattern = "".join(_label(part) if part.startswith("{") else re.escape(part) for part in parts)
        # https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
        target = f"{service.metadata['targetPrefix']}.{operation}" if service.metadata["protocol"] == "json" else ""
        self.operations.append(Operation(model, re.compile(pattern), handler, self.invalid_code, target))

    def find(self, method: str, path: str, target: str = "") -> Operation | None:
        """The operation that a request means, or None when moto must answer it."""
        return next((o for o in self.operations if o.means(method, path, target)), None)


@functools.cache
def service_model(name: str) -> ServiceModel:
    """Botocore's model of a service."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), service_name=name)


def _label(part: str) -> str:
    greedy = part.endswith("+}")
    return f"(?P<{_group(part.strip('{}+'))}>{'.+' if greedy else '[^/]+'})"


def _group(label: str) -> str:
    # Labels may hold hyphens, which names of groups may not.
    return re.sub(r"\W", "_", label)
