"""Who made a session: CloudTrail recorded the call that gave out its access key (guide U5).

A session's key may have been given out to another session, so the way is followed back until it reaches a user's own
key, or something that has none. Events are written by AWS, yet hold names that callers chose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clients.aws.cloudtrail import CloudTrail
from findings.model import Finding
from plans.situation import words

if TYPE_CHECKING:
    from mypy_boto3_cloudtrail.type_defs import EventTypeDef

_MOST_HOPS: Final = 5
_LONGEST_SESSION: Final = timedelta(hours=36)
"""GetSessionToken's; a role session lasts twelve hours at most."""
_MOST_EVENTS: Final = 300


class Caller(NamedTuple):
    """Where a session came from.

    Attributes:
        how: One sentence, whatever was found.
        user: The IAM user of this account whose own key began it, or "".
        key_id: That key, or "".
    """

    how: str
    user: str = ""
    key_id: str = ""


def trace(cloudtrail: CloudTrail, account: str, key_id: str, finding: Finding) -> Caller:
    """Follow a session's access key back to the user whose key made it.

    Args:
        cloudtrail: The events of our account.
        account: Ours; users of another one are out of reach.
        key_id: The session's, `ASIA…`.
        finding: When the session was in use.

    Raises:
        Throttled, Unavailable, Forbidden: CloudTrail does not answer.
    """
    until = finding.last_activity or datetime.now(UTC)
    looked_for = key_id
    for _ in range(_MOST_HOPS):
        event = _issuing(cloudtrail, looked_for, until - 2 * _LONGEST_SESSION, until + timedelta(minutes=15))
        if event is None:
            return Caller(
                f"CloudTrail has no event in {' or '.join(cloudtrail.regions)} that gave out {words(looked_for)}."
            )
        identity = _mapping(event.get("userIdentity"))
        who, its_key = str(identity.get("userName", "")), str(identity.get("accessKeyId", ""))
        if str(identity.get("accountId", "")) != account:
            return Caller(f"{words(key_id)} was given out to an identity of another account, out of reach.")
        if identity.get("type") == "IAMUser" and its_key.startswith("AKIA") and who:
            return Caller(f"{words(key_id)} was given out to {words(who)} with the key {words(its_key)}.", who, its_key)
        if not its_key.startswith("ASIA") or its_key == looked_for:
            kind = words(str(identity.get("type", ""))) or "unknown"
            return Caller(f"{words(key_id)} was given out to an identity of type {kind}, which has no access key.")
        looked_for = its_key
    return Caller(f"{words(key_id)} comes from a chain of more than {_MOST_HOPS} sessions, which was not followed.")


def _issuing(cloudtrail: CloudTrail, key_id: str, since: datetime, until: datetime) -> dict[str, Any] | None:
    """The event of STS that gave the key out: one that names it as a resource, else one of all AssumeRole."""
    for record in _records(cloudtrail.events("ResourceName", key_id, since, until, _MOST_EVENTS)):
        if _gave_out(record) == key_id:
            return record
    for record in _records(cloudtrail.events("EventName", "AssumeRole", since, until, _MOST_EVENTS)):
        if _gave_out(record) == key_id:
            return record
    return None


def _records(events: Iterator[EventTypeDef]) -> Iterator[dict[str, Any]]:
    return (record_of(e) for e in events if e.get("EventSource") == "sts.amazonaws.com")


def record_of(event: EventTypeDef) -> dict[str, Any]:
    """The whole record of an event; empty when it is not readable."""
    try:
        return _mapping(json.loads(event.get("CloudTrailEvent", "")))
    except ValueError:
        return {}


def _gave_out(record: dict[str, Any]) -> str:
    credentials = _mapping(_mapping(record.get("responseElements")).get("credentials"))
    return str(credentials.get("accessKeyId", ""))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
