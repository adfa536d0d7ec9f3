"""Which secrets and parameters an identity of IAM has read, as CloudTrail recorded it; what it could have read is more.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html and
https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-cloudtrail-logs.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from activities.doors import Doors
from activities.user.trace import record_of
from clients.aws.cloudtrail import Attribute
from errors import Forbidden, InputError
from findings.model import Finding
from findings.subject import Subject, SubjectKind
from plans.situation import clause

_SECRETS, _PARAMETERS = "secretsmanager.amazonaws.com", "ssm.amazonaws.com"
_NAMES_IN: Final = {
    "GetSecretValue": ("secretId",),
    "BatchGetSecretValue": ("secretIdList",),
    "GetParameter": ("name",),
    "GetParameters": ("names",),
    "GetParameterHistory": ("name",),
    "GetParametersByPath": ("path",),
}
"""Where the request of each call that gives values names what it asks for."""
_MOST_EVENTS: Final = 200
"""Of each lookup; AWS answers two pages of 50 in a second."""
_BEFORE: Final = timedelta(hours=1)


class ReadInAws(NamedTuple):
    """What was read; `unknown` says why that is not all that can be known, or is empty."""

    secrets: tuple[str, ...] = ()
    """Names or ARNs in our region."""
    elsewhere: tuple[str, ...] = ()
    """Secrets of other regions."""
    parameters: tuple[str, ...] = ()
    unknown: str = ""


def read_in_aws(doors: Doors, subject: Subject, finding: Finding) -> ReadInAws:
    """What one identity has read since shortly before the finding's first event.

    Raises:
        Throttled, Unavailable: CloudTrail does not answer.
    """
    until = datetime.now(UTC)
    since = (finding.first_seen or finding.last_activity or until) - _BEFORE
    found: dict[str, dict[str, None]] = {"secrets": {}, "elsewhere": {}, "parameters": {}}
    seen = 0
    try:
        for attribute, value in _lookups(subject):
            for event in doors.aws.cloudtrail.events(attribute, value, since, until, _MOST_EVENTS):
                seen += 1
                source, record = event.get("EventSource"), record_of(event)
                if source not in (_SECRETS, _PARAMETERS) or record.get("errorCode"):
                    continue
                here = record.get("awsRegion", doors.aws.region) == doors.aws.region
                kind = "parameters" if source == _PARAMETERS else "secrets" if here else "elsewhere"
                found[kind].update(dict.fromkeys(_asked_for(record)))
    except (Forbidden, InputError) as error:
        return ReadInAws(unknown=f"CloudTrail does not say what was read: {clause(error.message)}")
    unknown = f"only the newest {_MOST_EVENTS} events were looked at" if seen >= _MOST_EVENTS else ""
    return ReadInAws(tuple(found["secrets"]), tuple(found["elsewhere"]), tuple(found["parameters"]), unknown)


def _lookups(subject: Subject) -> Iterator[tuple[Attribute, str]]:
    """The key that was used, else the name: AWS takes one attribute in a lookup, and the key is the narrower one."""
    if subject.access_key_id:
        yield "AccessKeyId", subject.access_key_id
    elif subject.session_name:
        yield "Username", subject.session_name
    elif subject.kind is SubjectKind.IAM_USER:
        yield "Username", subject.name


def _asked_for(record: dict[str, Any]) -> list[str]:
    asked = record.get("requestParameters")
    if not isinstance(asked, dict):
        return []
    found: list[Any] = []
    for key in _NAMES_IN.get(str(record.get("eventName")), ()):
        value = asked.get(key)
        found += value if isinstance(value, list) else [value]
    return [name for name in found if isinstance(name, str) and 0 < len(name) <= 2048]
