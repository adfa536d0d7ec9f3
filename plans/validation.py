"""Turning a pydantic refusal into an `InputError` that names the field, what was expected and the nearest key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Final, TypeVar, get_args

from pydantic import BaseModel, JsonValue, ValidationError

from errors import InputError

_PLAIN_WORDS: Final = {
    "string_type": "text",
    "tuple_type": "a list",
    "model_type": "keys with values",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}
"""pydantic speaks of arrays and objects; whoever writes YAML does not."""

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], data: Mapping[str, JsonValue], what: str) -> M:
    """Validate plain data against a model.

    Validation runs on JSON and strictly: "7" is not 7, true is not 1, an unquoted account number is not text.

    Args:
        model: The model.
        data: Plain data.
        what: What the data is, for an error about the whole of it: "policy".

    Raises:
        InputError: For the first thing that does not fit; it says how many more there are.
    """
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as e:
        problems = e.errors(include_url=False, include_context=True)
        first = problems[0]
        field = _written(first["loc"]) or what
        expected, found = _words(model, first["type"], first["msg"], first["loc"], first.get("input"))
        more = f" ({len(problems) - 1} more after this)" if len(problems) > 1 else ""
        raise InputError(field, expected, found + more) from None


def _written(loc: tuple[int | str, ...]) -> str:
    """`("rules", 0, "when")` as people write it: `rules[0].when`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _words(
    model: type[BaseModel], kind: str, message: str, loc: tuple[int | str, ...], value: object
) -> tuple[str, str]:
    if kind == "extra_forbidden":
        known = _keys_at(model, loc[:-1])
        key = str(loc[-1])
        near = difflib.get_close_matches(key.lower(), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"one of {', '.join(known)}" if known else "no such key", f"the unknown key {key[:60]}{hint}"
    if kind == "missing":
        return "a value, it is required", "nothing"
    if kind in _PLAIN_WORDS:
        hint = ", in quotes" if kind == "string_type" and isinstance(value, (int, float)) else ""
        return _PLAIN_WORDS[kind] + hint, _short(value)
    return message.removeprefix("Input should be ").removeprefix("Value error, "), _short(value)


def _short(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return f"{text[:59]}…" if len(text) > 60 else text


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the model knows at a place, following the annotations; empty when the place is no model."""
    here: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue
        field = here.model_fields.get(part) if here is not None else None
        here = _model_in(field.annotation) if field is not None else None
    return list(here.model_fields) if here is not None else []


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model inside an annotation: `Rule` in `tuple[Rule, ...]` or `Rule | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m is not None), None)
