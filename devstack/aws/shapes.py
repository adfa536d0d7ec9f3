"""Requests and answers held to botocore's own service models: a wrong shape is an error, never passed on.

Botocore ships parsers for answers and serializers for requests, the client's half; this is the server's half of it,
for REST-JSON, the protocol of GuardDuty and EKS, and for JSON, that of ECR.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import ParamValidator

_NUMBERS = {"integer": int, "long": int, "float": float, "double": float}


class ShapeError(ValueError):
    """A value does not have the shape that the service model demands; the text names the field."""


def from_wire(value: Any, shape: Shape, dropped: list[str] | None = None, path: str = "") -> Any:
    """Turn wire JSON (``locationName`` keys) into botocore's member names, and check it against the shape.

    Args:
        value: Decoded JSON.
        shape: The shape from the service model.
        dropped: When given, keys outside the model are left out and their paths added to it; else they are an error.
        path: Where ``value`` stands, for messages.

    Raises:
        ShapeError: A key is unknown, or a value has the wrong type.
    """
    if value is None:
        return None
    if isinstance(shape, StructureShape):
        return _structure_from_wire(value, shape, dropped, path)
    if isinstance(shape, ListShape):
        _expect(value, list, "a list", path)
        return [from_wire(item, shape.member, dropped, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(shape, MapShape):
        _expect(value, dict, "an object", path)
        return {key: from_wire(item, shape.value, dropped, f"{path}.{key}") for key, item in value.items()}
    if shape.type_name == "blob":
        return base64.b64decode(value)
    return value


def to_wire(value: Any, shape: Shape) -> Any:
    """Turn member names back into wire keys; the value must have passed ``validate``."""
    if isinstance(value, datetime):
        # Seconds since 1970 are the JSON protocols' default; Detective's times say that they are texts.
        return value.isoformat() if shape.serialization.get("timestampFormat") == "iso8601" else value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(shape, StructureShape):
        return {
            wire_name(name, shape.members[name]): to_wire(item, shape.members[name])
            for name, item in value.items()
            if item is not None
        }
    if isinstance(shape, ListShape):
        return [to_wire(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: to_wire(item, shape.value) for key, item in value.items()}
    return value


def validate(value: Any, shape: Shape) -> None:
    """Check types, required and unknown members with botocore's own validator, and enumerations of requests.

    Raises:
        ShapeError: With botocore's report.
    """
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise ShapeError(report.generate_report())


def wire_name(name: str, shape: Shape) -> str:
    """The key of a member on the wire."""
    return str(shape.serialization.get("name", name))


def number(text: str, shape: Shape) -> Any:
    """A value from the query string or path, as the type that its shape says.

    Raises:
        ShapeError: It is not of that type.
    """
    if shape.type_name == "boolean":
        if text not in ("true", "false"):
            raise ShapeError(f"expected true or false, found {text!r}")
        return text == "true"
    try:
        return _NUMBERS.get(shape.type_name, str)(text)
    except ValueError as error:
        raise ShapeError(f"expected a number, found {text!r}") from error


def _structure_from_wire(value: Any, shape: StructureShape, dropped: list[str] | None, path: str) -> dict[str, Any]:
    _expect(value, dict, "an object", path)
    names = {wire_name(name, member): name for name, member in shape.members.items()}
    result = {}
    for key, item in _items(value):
        name = names.get(key, key if key in shape.members else None)
        where = f"{path}.{key}".lstrip(".")
        if name is None:
            if dropped is None:
                raise ShapeError(f"{where}: unknown to {shape.name}")
            dropped.append(where)
            continue
        result[name] = from_wire(item, shape.members[name], dropped, where)
    return {name: item for name, item in result.items() if item is not None}


def _items(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(str(key), item) for key, item in value.items()]


def _expect(value: Any, kind: type, words: str, path: str) -> None:
    if not isinstance(value, kind):
        raise ShapeError(f"{path or 'body'}: expected {words}, found {type(value).__name__}")
