import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.isolation.fields import field_value, patch_operations
from contracts.changes import pointer

ODD = "a/b~c"


class Refused(Exception):
    """The patch does not apply."""


def apply(obj: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """A JSON Patch as the API server applies it: `test` of null passes for an absent member of a present parent."""
    obj = copy.deepcopy(obj)
    for operation in operations:
        *way, last = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        here: Any = obj
        for part in way:
            here = here[int(part)] if isinstance(here, list) else (here or {}).get(part)
            if here is None:
                raise Refused(operation)
        key: Any = int(last) if isinstance(here, list) else last
        present = key < len(here) if isinstance(here, list) else key in here
        old = here[key] if present else None
        match operation["op"]:
            case "test" if old != operation["value"]:
                raise Refused(operation)
            case "remove" | "replace" if not present:
                raise Refused(operation)
            case "remove":
                del here[key]
            case "replace":
                here[key] = operation["value"]
            case "add" if isinstance(here, list):
                here.insert(key, operation["value"])
            case "add":
                here[key] = operation["value"]
    return obj


maps = st.dictionaries(st.sampled_from(["x", "y", ODD]), st.sampled_from(["1", "2"]), max_size=3)
objects = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"uid": st.just("u")}, optional={"labels": maps, "annotations": maps})}
)
wanted = st.dictionaries(
    st.builds(lambda where, key: pointer("metadata", where, key), st.sampled_from(["labels", "annotations"]),
              st.sampled_from(["x", "y", ODD])),
    st.sampled_from(["1", "2", None]),
    max_size=4,
)  # fmt: skip


@given(objects, wanted)
def test_the_patch_gives_every_field_its_value_and_touches_no_other(
    obj: dict[str, Any], values: dict[str, Any]
) -> None:
    after = apply(obj, patch_operations(obj, values))
    for where in ("labels", "annotations"):
        for key in ("x", "y", ODD):
            field = pointer("metadata", where, key)
            assert field_value(after, field) == (values[field] if field in values else field_value(obj, field))


@given(objects, objects, wanted)
def test_a_patch_for_one_state_is_refused_by_another(
    read: dict[str, Any], live: dict[str, Any], values: dict[str, Any]
) -> None:
    if all(field_value(read, field) == field_value(live, field) for field in values):
        return
    with pytest.raises(Refused):
        apply(live, patch_operations(read, values))


def test_another_uid_is_refused() -> None:
    obj = {"metadata": {"uid": "u", "labels": {}}}
    with pytest.raises(Refused):
        apply({"metadata": {"uid": "v", "labels": {}}}, patch_operations(obj, {"/metadata/labels/x": "1"}))


def test_items_of_lists_are_replaced_and_not_inserted() -> None:
    obj = {"metadata": {"uid": "u"}, "spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}
    after = apply(obj, patch_operations(obj, {"/spec/containers/1/image": "2", "/spec/containers/1/name": "b"}))
    assert [c["image"] for c in after["spec"]["containers"]] == ["1", "2"]
    assert field_value(obj, "/spec/containers/7/image") is None
    assert field_value(obj, "/spec/containers/x/image") is None
