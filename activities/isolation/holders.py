"""Which incidents hold an object: the annotation `firebreak.dev/incidents`, a JSON list of workflow ids.

Only the last holder's release undoes a change. Content that cannot be read therefore counts as a holder that nobody
knows, and is kept: dropping it could free an object that somebody holds.
"""

from __future__ import annotations

import json

from clients.kubernetes import JsonObject
from contracts.changes import pointer
from contracts.names import INCIDENTS_ANNOTATION
from errors import InputError

HOLDERS_FIELD = pointer("metadata", "annotations", INCIDENTS_ANNOTATION)
UNKNOWN_PREFIX = "unknown:"
"""Before content that is not an incident's id, kept word for word."""
_LIMIT = 200 * 1024
"""All annotations of an object together may have 256 KiB."""


def holders_of(obj: JsonObject) -> tuple[str, ...]:
    """The incidents that hold an object, in the order in which they came."""
    text = holders_text(obj)
    if text is None:
        return ()
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        return (f"{UNKNOWN_PREFIX}{text}",)
    named = (e if isinstance(e, str) else f"{UNKNOWN_PREFIX}{json.dumps(e)}" for e in entries)
    return tuple(dict.fromkeys(named))


def holders_text(obj: JsonObject) -> str | None:
    """The annotation as it stands, for a patch that tests it and leaves it alone."""
    text: str | None = (obj["metadata"].get("annotations") or {}).get(INCIDENTS_ANNOTATION)
    return text


def with_holder(holders: tuple[str, ...], incident: str) -> str:
    """The annotation's content once an incident holds the object too.

    Raises:
        InputError: So many incidents hold it that the annotation would not fit.
    """
    content = json.dumps([*holders, *(() if incident in holders else (incident,))])
    if len(content) > _LIMIT:
        raise InputError(INCIDENTS_ANNOTATION, f"room for one more incident in {_LIMIT} bytes", f"{len(content)}")
    return content


def without_holder(holders: tuple[str, ...], incident: str) -> str | None:
    """The annotation's content once an incident let go; None when nobody holds the object any more."""
    rest = others(holders, incident)
    return json.dumps(rest) if rest else None


def others(holders: tuple[str, ...], incident: str) -> tuple[str, ...]:
    """All holders but one incident."""
    return tuple(h for h in holders if h != incident)


def name_holders(holders: tuple[str, ...]) -> str:
    """Holders for people: at most three, and content that nobody knows is not repeated."""
    names = ["somebody unknown" if h.startswith(UNKNOWN_PREFIX) else h[:120] for h in holders[:3]]
    more = len(holders) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
