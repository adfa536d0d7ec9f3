"""CloudTrail's LookupEvents, which moto lacks. The events are put in from outside: nothing here watches other calls.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from botocore.utils import parse_to_aware_datetime

from devstack.aws.registry import AwsError, Call, Service, service_model
from devstack.aws.shapes import from_wire, validate

_MOST = 50
_PLAIN = ("EventId", "EventName", "ReadOnly", "Username", "EventSource", "AccessKeyId")


class CloudTrailEvents:
    """The events of every account and region."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def service(self) -> Service:
        """The operations that are answered here."""
        service = Service("cloudtrail", "InvalidParameterCombinationException")
        service.register("LookupEvents", self.lookup_events)
        return service

    def put(self, account: str, region: str, events: Iterable[Any]) -> dict[str, int]:
        """Add events, each in the shape of LookupEvents.

        Raises:
            ShapeError: An event does not have that shape.
        """
        shape = service_model("cloudtrail").shape_for("Event")
        read = []
        for event in events:
            found = from_wire(event, shape)
            validate(found, shape)
            read.append({**found, "EventTime": parse_to_aware_datetime(found["EventTime"])})
        with self._lock:
            self._events.setdefault((account, region), []).extend(read)
        return {"stored": len(read)}

    def lookup_events(self, call: Call) -> dict[str, Any]:
        """The events that have the attribute, the newest first, a page at a time."""
        asked = call.parameters
        attributes = asked.get("LookupAttributes", [])
        size, token = asked.get("MaxResults", _MOST), asked.get("NextToken", "") or "0"
        if len(attributes) > 1:
            raise AwsError("InvalidLookupAttributesException", "You can only use one attribute in a lookup.")
        if not 1 <= size <= _MOST:
            raise AwsError("InvalidMaxResultsException", "MaxResults must be between 1 and 50.")
        if not token.isdecimal():
            raise AwsError("InvalidNextTokenException", "The token is invalid.")
        since, until = (parse_to_aware_datetime(asked[k]) if k in asked else None for k in ("StartTime", "EndTime"))
        if since is not None and until is not None and since > until:
            raise AwsError("InvalidTimeRangeException", "The start time is after the end time.")
        with self._lock:
            held = list(self._events.get((call.account, call.region), ()))
        found = [
            e
            for e in held
            if all(_has(e, a) for a in attributes)
            and (since is None or e["EventTime"] >= since)
            and (until is None or e["EventTime"] <= until)
        ]
        found.sort(key=lambda e: e["EventTime"], reverse=True)
        end = int(token) + size
        more = {"NextToken": str(end)} if end < len(found) else {}
        return {"Events": found[int(token) : end], **more}


def _has(event: dict[str, Any], attribute: dict[str, str]) -> bool:
    key, value = attribute["AttributeKey"], attribute["AttributeValue"]
    if key in _PLAIN:
        return bool(event.get(key) == value)
    return any(r.get(key) == value for r in event.get("Resources", ()))
