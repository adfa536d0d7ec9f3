"""Fields of a live object by JSON pointer, and the JSON Patch that changes some of them and nothing else.

Every operation comes with a `test` on the old value, so that a patch applies as a whole to exactly the object that was
read, or not at all. The API server's `test` of null passes when the member is absent, but fails when its parent is;
that is why an absent parent is tested and made as a whole.

Source: RFC 6901, RFC 6902, https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clients.kubernetes import JsonObject
from contracts.changes import pointer_parts

UID_FIELD = "/metadata/uid"


def field_value(obj: JsonObject, pointer: str) -> Any:
    """The value at a JSON pointer; None when it, or anything above it, is absent."""
    here: Any = obj
    for part in pointer_parts(pointer):
        if isinstance(here, dict):
            here = here.get(part)
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            return None
    return here


def patch_operations(live: JsonObject, values: Mapping[str, Any]) -> list[JsonObject]:
    """The JSON Patch that gives fields of `live` new values; None removes a field.

    Args:
        live: The object as it was read; what it says is tested.
        values: New values by pointer. A field that has its value already is tested and left alone.
    """
    operations: list[JsonObject] = [{"op": "test", "path": UID_FIELD, "value": live["metadata"]["uid"]}]
    made: dict[str, dict[str, Any]] = {}
    for pointer, new in values.items():
        old = field_value(live, pointer)
        parent = pointer.rpartition("/")[0]
        if old is None and field_value(live, parent) is None:
            made.setdefault(parent, {}).update({} if new is None else {pointer_parts(pointer)[-1]: new})
            continue
        operations.append({"op": "test", "path": pointer, "value": old})
        if new == old:
            continue
        if new is None:
            operations.append({"op": "remove", "path": pointer})
        else:
            # `add` would insert into a list, and `replace` needs something that is there.
            operations.append({"op": "add" if old is None else "replace", "path": pointer, "value": new})
    for parent, members in made.items():
        operations.append({"op": "test", "path": parent, "value": None})
        if members:
            operations.append({"op": "add", "path": parent, "value": members})
    return operations


def labels_of(obj: JsonObject) -> dict[str, str]:
    """The labels of an object."""
    return obj["metadata"].get("labels") or {}
