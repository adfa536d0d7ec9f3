"""Reading a YAML text that a person wrote into plain data, and refusing whatever is not plain.

The parser is imported inside the function: workflow code imports `plans`, and no workflow reads YAML.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pydantic import JsonValue

from errors import InputError

if TYPE_CHECKING:
    from ruamel.yaml import YAML

LARGEST_TEXT: Final = 256 * 1024
"""Bytes of UTF-8."""
_DEEPEST: Final = 16
_MOST_VALUES: Final = 50_000


def read_mapping(text: str, what: str) -> dict[str, JsonValue]:
    """Parse a text as one YAML 1.2 document that is a mapping of plain values.

    Args:
        text: The text; an empty one is an empty mapping.
        what: What the text is, for error messages: "policy".

    Raises:
        InputError: As `read_plain`; or it is something else than a mapping.
    """
    plain = read_plain(text, what)
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise InputError(what, "a mapping of keys to values", type(plain).__name__)
    return plain


def read_plain(text: str, what: str) -> JsonValue:
    """Parse a text as one YAML 1.2 document of plain values; an empty one is None.

    Raises:
        InputError: It is too large or too deep, is no YAML, repeats a key, uses anchors, aliases, tags or a second
            document, or holds something other than mappings with text keys, lists, texts, numbers, booleans and null.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(text.encode("utf-8", "replace")) > LARGEST_TEXT:
        raise InputError(what, f"at most {LARGEST_TEXT // 1024} KB of text", f"{len(text)} characters")
    # The pure parser is used because it gives events before it builds anything: a bomb is refused unbuilt.
    yaml = YAML(typ="safe", pure=True)
    try:
        _refuse_tricks(yaml, text, what)
        data = yaml.load(text)
    except DuplicateKeyError as e:
        raise InputError(_place(what, e), "every key once", _first_line(e).removeprefix("found ")) from None
    except MarkedYAMLError as e:
        raise InputError(_place(what, e), "YAML", _first_line(e).removeprefix("found ")) from None
    except (YAMLError, ValueError, OverflowError, RecursionError) as e:
        raise InputError(what, "YAML", str(e).partition("\n")[0]) from None
    return _plain(data, what)


def _refuse_tricks(yaml: YAML, text: str, what: str) -> None:
    """Walk the event stream once, before anything is built."""
    from ruamel.yaml.events import (
        AliasEvent,
        CollectionEndEvent,
        CollectionStartEvent,
        DocumentStartEvent,
        NodeEvent,
        ScalarEvent,
    )

    depth = values = documents = 0
    for event in yaml.parse(text):
        where = f"{what}, line {event.start_mark.line + 1}"
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise InputError(where, "one document", "a second one")
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        values += isinstance(event, NodeEvent)
        if depth > _DEEPEST or values > _MOST_VALUES:
            raise InputError(where, f"at most {_DEEPEST} levels and {_MOST_VALUES} values", "more")
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            raise InputError(where, "no anchors and aliases: write the value out", str(event.anchor))
        if isinstance(event, (ScalarEvent, CollectionStartEvent)) and event.tag:
            raise InputError(where, "no tags", str(event.tag))


def _plain(value: object, where: str) -> JsonValue:
    """The value, if it is made of JSON's types alone. YAML has more: dates, sets, binary, keys that are no text."""
    if isinstance(value, dict):
        plain: dict[str, JsonValue] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(where, "keys that are text; put it in quotes", repr(key))
            plain[key] = _plain(item, f"{where}.{key}")
        return plain
    if isinstance(value, list):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(where, "a finite number", repr(value))
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise InputError(where, "text, a number, true, false or a list; put dates in quotes", repr(value)[:60])


def _place(what: str, error: object) -> str:
    mark = getattr(error, "problem_mark", None)
    return what if mark is None else f"{what}, line {mark.line + 1}"


def _first_line(error: object) -> str:
    return str(getattr(error, "problem", "") or error).partition("\n")[0]
