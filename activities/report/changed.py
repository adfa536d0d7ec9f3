"""The changes of an incident as the report shows them: each numbered, with its fields before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from pydantic import JsonValue

from activities.collect.redact import REDACTED, redact
from activities.report.words import Outside, Sentence, say
from contracts.changes import pointer_parts
from contracts.incidents import IncidentView
from plans.model import Change

_MOST_FIELDS: Final = 20
_HIDING: Final = ("env", "kubectl.kubernetes.io/last-applied-configuration")
"""Fields in or below which collectors take values out; whoever is handed the report need not be trusted with them."""


@dataclass(frozen=True)
class Field:
    """One field of a change."""

    name: Sentence
    before: Sentence
    after: Sentence


@dataclass(frozen=True)
class Changed:
    """One change.

    Attributes:
        number: Its place in the order in which the changes were recorded, from 1.
        undone: Whether it was undone since.
        fields: Those that it changed, at most twenty; what it only made sure of is left out.
    """

    number: int
    change: Change
    undone: bool
    fields: tuple[Field, ...]

    @property
    def alike(self) -> tuple[object, ...]:
        """What it has in common with changes of other objects that can be told of in one breath."""
        return (self.change.step, self.change.resource.kind, self.change.summary, self.undone, self.fields)


def in_one_line(some: Sequence[Changed]) -> Sentence:
    """One change, or several that are alike and stand behind each other."""
    first, last, c = some[0], some[-1], some[0].change
    summary = Outside(c.summary, prose=True)
    if len(some) == 1:
        return say(f"change {first.number}: ", Outside(c.step), ", ", Outside(c.resource), ": ", summary)
    numbers = f"changes {first.number} to {last.number}: "
    return say(numbers, Outside(c.step), f", {len(some)} of kind ", Outside(c.resource.kind), ": ", summary)


def changed(view: IncidentView, most: int) -> tuple[Changed, ...]:
    """The first changes of an incident, in the order in which they were recorded."""
    undone = frozenset(view.undone)
    return tuple(
        Changed(number, change, change.key in undone, tuple(islice(_fields(change), _MOST_FIELDS)))
        for number, change in enumerate(islice(view.changes, most), 1)
    )


def standing(view: IncidentView) -> Sequence[Change]:
    """The changes that were not undone."""
    undone = frozenset(view.undone)
    return [c for c in view.changes if c.key not in undone]


def _fields(change: Change) -> Iterator[Field]:
    for field in dict.fromkeys((*change.after, *change.before)):
        before, after = change.before.get(field), change.after.get(field)
        if before == after and len(change.after) > 1:
            # It is only there so that the change is refused where it is not so.
            continue
        name = say(Outside(field)) if field else say("the object as a whole")
        yield Field(name, _value(field, before), _value(field, after))


def _value(field: str, value: JsonValue) -> Sentence:
    if value is None:
        return say("absent")
    if any(part in _HIDING for part in pointer_parts(field)):
        return say(REDACTED)
    return say(Outside(json.dumps(redact(value)[0], ensure_ascii=False, sort_keys=True)))
