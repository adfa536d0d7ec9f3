"""A cursor over one JSON object of a finding: reads members in either spelling and names the path in every error.

EventBridge writes ``accountId``, boto3 writes ``AccountId``; ASFF writes every leaf as a string. Null, absent, ""
and {} all mean that a member is not there, and reading on from an absent member gives absent members.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from errors import InputError
from findings.text import FREE, Text, cleaned, describe

MAX_ITEMS: Final = 500
"""Of any list; GuardDuty's own are far shorter, and a finding must fit into a message between workflow and worker."""

# boto3's name differs from the wire's by more than the first letter (botocore's service model of GuardDuty).
_IRREGULAR: Final = {"sourceIPs": "SourceIps", "type": "KubernetesResourcesTypes"}


@dataclass(frozen=True)
class Node:
    """One JSON object, or the absence of one.

    Attributes:
        value: The object; empty when absent.
        path: Where it stands in the input, e.g. ``Findings[0].Service``.
        warnings: What was passed over, shared by all nodes of a finding.
        flat: Of ASFF: the object was unfolded from flat keys and its leaves are strings.
        pascal: Whether the object around it is spelled as boto3 spells it; names what is missing from an empty one.
    """

    value: dict[str, object]
    path: str
    warnings: list[str] = field(default_factory=list)
    flat: bool = False
    pascal: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.value)

    def at(self, name: str) -> str:
        """The path of a member, spelled as it is written, or as its neighbours are when it is not there."""
        key = self._key(name)
        if key is None:
            key = name[:1].upper() + name[1:] if self._spelled_pascal() else name
        return f"{self.path}{'/' if self.flat else '.'}{key}" if self.path else key

    def child(self, name: str) -> Node:
        """The object in a member; an empty node when absent.

        Raises:
            InputError: The member is neither an object nor absent.
        """
        value = self.raw(name)
        if value is None:
            return Node({}, self.at(name), self.warnings, self.flat, self._spelled_pascal())
        return self._object(value, self.at(name))

    def children(self, name: str) -> list[Node]:
        """The objects in a list; a lone object counts as a list of one, and absent elements are left out.

        Raises:
            InputError: The member is no list of objects.
        """
        if isinstance(value := self.raw(name), dict):
            return [self.child(name)]
        items = self._list(name, value)
        return [self._object(item, path) for item, path in items if not _absent(item)]

    def text(self, name: str, rule: Text = FREE) -> str:
        """The text in a member, "" when absent.

        Raises:
            InputError: It is no string, or not valid under the rule.
        """
        value = self.raw(name)
        return "" if value is None else self._text(value, self.at(name), rule)

    def texts(self, name: str, rule: Text = FREE) -> tuple[str, ...]:
        """The texts in a list; absent elements are left out.

        Raises:
            InputError: The member is no list of strings, or one is not valid under the rule.
        """
        items = self._list(name, self.raw(name))
        return tuple(self._text(item, path, rule) for item, path in items if not _absent(item))

    def flag(self, name: str) -> bool | None:
        """The truth value in a member, None when absent.

        Raises:
            InputError: It is neither true nor false.
        """
        value = self.raw(name)
        if self.flat and isinstance(value, str):
            value = {"true": True, "false": False}.get(value.lower(), value)
        if value is None or isinstance(value, bool):
            return value
        raise InputError(self.at(name), "true or false", describe(value))

    def number(self, name: str) -> float | None:
        """The finite number in a member, None when absent.

        Raises:
            InputError: It is no number, or not finite.
        """
        value = self.raw(name)
        if self.flat and isinstance(value, str):
            value = _number(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(self.at(name), "a number", describe(value))
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise InputError(self.at(name), "a finite number", describe(value))
        return number

    def integer(self, name: str) -> int | None:
        """The whole number in a member, None when absent.

        Raises:
            InputError: It is no whole number of at most 15 digits.
        """
        number = self.number(name)
        if number is None:
            return None
        if number != int(number) or abs(number) >= 1e15:
            raise InputError(self.at(name), "a whole number", describe(number))
        return int(number)

    def time(self, name: str) -> datetime | None:
        """The time in a member, aware and in UTC; ISO 8601 text, without a zone taken as UTC, or epoch seconds.

        An unreadable text becomes None and a warning, because no time decides by itself what is done.

        Raises:
            InputError: It is neither a text nor a number.
        """
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InputError(self.at(name), "a time in ISO 8601 or epoch seconds", describe(value))
        moment = _moment(value)
        if moment is None:
            self.warn(name, f"no time: {describe(value)}")
        return moment

    def warn(self, name: str, what: str) -> None:
        """Note something unusual that is passed over."""
        self.warnings.append(f"{self.at(name)}: {what}")

    def _spelled_pascal(self) -> bool:
        return any(key[:1].isupper() for key in self.value) if self.value else self.pascal

    def _key(self, name: str) -> str | None:
        for key in (name, name[:1].upper() + name[1:], _IRREGULAR.get(name, name)):
            if key in self.value:
                return key
        return None

    def raw(self, name: str) -> object:
        """The member's value unchecked, None when it is absent in any of the ways."""
        key = self._key(name)
        value = None if key is None else self.value[key]
        return None if _absent(value) or (self.flat and value in ("[]", "{}")) else value

    def _object(self, value: object, path: str) -> Node:
        if not isinstance(value, dict):
            raise InputError(path, "an object", describe(value))
        return Node(value, path, self.warnings, self.flat, self._spelled_pascal())

    def _list(self, name: str, value: object) -> list[tuple[object, str]]:
        if self.flat and isinstance(value, str):
            value = [value]
        if value is None:
            return []
        if not isinstance(value, list):
            raise InputError(self.at(name), "a list", describe(value))
        if len(value) > MAX_ITEMS:
            self.warn(name, f"{len(value)} items, read {MAX_ITEMS}")
        items = enumerate(value[:MAX_ITEMS])
        return [(item, f"{self.at(name)}.{i}_" if self.flat else f"{self.at(name)}[{i}]") for i, item in items]

    def _text(self, value: object, path: str, rule: Text) -> str:
        if not isinstance(value, str):
            raise InputError(path, rule.expected or "a string", describe(value))
        if not rule.expected:
            return cleaned(value, rule.longest)
        if not (rule.valid(value) if rule.cut else rule.obeyed(value)):
            raise InputError(path, rule.expected, describe(value))
        return cleaned(value, rule.longest) if rule.cut else value


def load_json(text: str) -> object:
    """Parse JSON strictly: no NaN, no infinity, no nesting beyond the interpreter's depth.

    Raises:
        ValueError: The text is not JSON; the message is short and safe to show.
    """
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nesting that is too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    return value


def _refuse_constant(word: str) -> object:
    raise ValueError(f"{word}, which is not JSON")


def _absent(value: object) -> bool:
    return value is None or value == "" or value == {}


def _number(text: str) -> object:
    """The number in a text, or the text itself for the error to show."""
    try:
        return float(text)
    except ValueError:
        return text


def _moment(value: str | float) -> datetime | None:
    try:
        if isinstance(value, str):
            # boto3's JSON dumps and the console write a blank between date and time; both are ISO 8601 to Python.
            text = value.strip()
            moment = datetime.fromisoformat(text) if "-" in text[1:] else datetime.fromtimestamp(float(text), UTC)
        else:
            moment = datetime.fromtimestamp(value, UTC)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
