"""What CloudTrail recorded of an identity, for the evidence and for the review (guide U5, design: Evidence).

AWS takes one attribute in a lookup and knows a caller by a name that is not always theirs alone: sessions of two roles
may be called alike, and so may users of two accounts. So each record is looked at again before it counts.
Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from activities.collect.model import Deadline
from activities.collect.patience import patiently
from activities.collect.redact_events import Redactions, redact_record
from activities.collect.shared import failed
from activities.user.holders import KEYLESS
from activities.user.trace import record_of
from clients.aws.cloudtrail import Attribute, CloudTrail
from errors import FirebreakError
from evidence.entry import canonical
from findings.model import Finding
from findings.subject import Subject, SubjectKind
from plans.causes import account_username

if TYPE_CHECKING:
    from mypy_boto3_cloudtrail.type_defs import EventTypeDef

MOST_EVENTS: Final = 500
MOST_BYTES: Final = 16 << 20
SECONDS: Final = 120.0
_BEFORE: Final = timedelta(days=1)
_IAM: Final = (SubjectKind.IAM_USER, SubjectKind.IAM_ROLE)
_BEHIND_A_NAME: Final = (SubjectKind.CLUSTER_ADMIN, SubjectKind.UNRESOLVED)
_IAM_TYPES: Final = ("AWS::IAM::", "AWS::STS::")

Record = dict[str, Any]
Wanted = Callable[["EventTypeDef", Record], bool]


class Lookup(NamedTuple):
    """One question to CloudTrail, and whether a record that answers it is about the identity."""

    attribute: Attribute
    value: str
    wanted: Wanted = lambda event, record: True


class Trail(NamedTuple):
    """Records, the oldest first.

    Attributes:
        cut: Whether there were more than are kept.
        problem: The error that ended the reading before its end, or None.
    """

    records: tuple[Record, ...] = ()
    cut: bool = False
    problem: FirebreakError | None = None

    @property
    def note(self) -> str:
        """What a reader must know of it."""
        said = (
            [f"of each lookup only the newest {MOST_EVENTS} events are read, and there were more"] if self.cut else []
        )
        said += [f"not all could be read: {failed(self.problem)}"] if self.problem is not None else []
        return "; ".join(said)

    def lines(self) -> tuple[bytes, tuple[str, ...]]:
        """The records as an artefact, a line each and without credentials, and where those were."""
        redactions, lines = Redactions(), []
        for number, record in enumerate(self.records):
            copy, taken = redact_record(record)
            redactions.add(number, taken)
            lines.append(canonical(copy) + b"\n")
        return b"".join(lines), redactions.listed


def lookups_by(subject: Subject, finding: Finding, issuer: str = "") -> tuple[Lookup, ...]:
    """What an identity did: by its key, and by the name under which CloudTrail knows the caller.

    Args:
        subject: The identity.
        finding: Which names it.
        issuer: The cluster's OIDC issuer: accounts of other clusters may be called alike. Empty where it is unknown.
    """
    if subject.kind is SubjectKind.SERVICE_ACCOUNT:
        # A pod's token for AWS: AssumeRoleWithWebIdentity, which gives it the role's session.
        return (Lookup("Username", account_username(subject), partial(_came_from, issuer)),)
    found = [Lookup("AccessKeyId", subject.access_key_id)] if subject.access_key_id else []
    name = _called(subject, finding)
    return (*found, Lookup("Username", name, partial(_is_of, subject))) if name else tuple(found)


def lookups_about(subject: Subject, finding: Finding, arn: str = "") -> tuple[Lookup, ...]:
    """What was done to an identity: who assumed the role, who made a key or attached a policy, who gave a key out.

    Args:
        subject: The identity.
        finding: Which names it.
        arn: That of the role or user, where it is known.
    """
    names = [subject.access_key_id, arn]
    if subject.kind in _IAM and subject.user_type.lower() not in KEYLESS and _is_named(subject):
        names.append(subject.name)
    return tuple(Lookup("ResourceName", n, partial(_names, n)) for n in dict.fromkeys(names) if n)


def read_trail(cloudtrail: CloudTrail, lookups: Iterable[Lookup], finding: Finding, deadline: Deadline) -> Trail:
    """The newest records from a day before the finding's first event until now, without repetition.

    What was read before an error is kept, with the error.
    """
    until = datetime.now(UTC)
    since = (finding.first_seen or finding.last_activity or until) - _BEFORE
    found: dict[str, Record] = {}
    size, cut, problem = 0, False, None
    ask = partial(_ask, deadline)
    try:
        for lookup in lookups:
            seen = 0
            for event in cloudtrail.events(lookup.attribute, lookup.value, since, until, MOST_EVENTS, ask):
                seen += 1
                size += len(event.get("CloudTrailEvent", ""))
                if size > MOST_BYTES:
                    cut = True
                    break
                record = record_of(event) or {"eventName": event.get("EventName", "")}
                if lookup.wanted(event, record):
                    found[event.get("EventId", str(len(found)))] = record
            cut = cut or seen >= MOST_EVENTS
    except FirebreakError as error:
        problem = error
    records = sorted(found.values(), key=lambda r: str(r.get("eventTime", "")))
    return Trail(tuple(records[-MOST_EVENTS:]), cut or len(records) > MOST_EVENTS, problem)


def _ask(deadline: Deadline, page: Callable[[], Any]) -> Any:
    deadline.check()
    return patiently(page, deadline)


def _called(subject: Subject, finding: Finding) -> str:
    """The name by which CloudTrail knows the caller: the user's, or that of the role's session."""
    if subject.session_name:
        return subject.session_name
    if subject.kind not in _BEHIND_A_NAME:
        return subject.name if subject.kind in _IAM else ""
    # The cluster gave that name; another user of IAM may have the same one.
    key = finding.access_key
    return key.user_name if key is not None and key.access_key_id == subject.access_key_id else ""


def _is_named(subject: Subject) -> bool:
    """Whether its name is one of IAM, and not an id in the place of one."""
    return subject.name not in ("", subject.principal_id, subject.access_key_id)


def _is_of(subject: Subject, event: EventTypeDef, record: Record) -> bool:
    """Whether the record is of this identity, as far as it says."""
    identity = _mapping(record.get("userIdentity"))
    account = str(identity.get("accountId") or "")
    if subject.account and account and account != subject.account:
        return False
    role = str(_mapping(_mapping(identity.get("sessionContext")).get("sessionIssuer")).get("userName") or "")
    if subject.kind is not SubjectKind.IAM_ROLE or not _is_named(subject) or not role:
        return True
    return role.lower() == subject.name.lower()


def _came_from(issuer: str, event: EventTypeDef, record: Record) -> bool:
    """Whether the token was one of this cluster's, as far as the record says."""
    provider = str(_mapping(record.get("userIdentity")).get("identityProvider") or "")
    return not issuer or not provider or provider.endswith(issuer.removeprefix("https://"))


def _names(name: str, event: EventTypeDef, record: Record) -> bool:
    """Whether the event is about an identity of that name, and not about a bucket or a table that is called alike."""
    types = [r.get("ResourceType", "") for r in event.get("Resources", ()) if r.get("ResourceName") == name]
    return not types or any(t.startswith(_IAM_TYPES) or not t for t in types)


def _mapping(value: Any) -> Record:
    return value if isinstance(value, dict) else {}
