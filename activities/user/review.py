"""The activity `review_account`: what an identity did around the finding, as a checklist for a person (guide U5).

The events go into the evidence; the task says what is in them. Nothing is decided from them: names in events were
chosen by whoever made the calls.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from temporalio import activity

from activities.collect.redact import REDACTED
from activities.custody import activity_name, store_entries
from activities.doors import Doors
from activities.steps import Planner, StepRoom, beat
from activities.user.holders import KEYLESS
from activities.user.principals import subjects_in
from activities.user.trace import record_of
from clients.aws.cloudtrail import Attribute
from contracts.common import IncidentKey
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest, Task, task_id
from errors import FirebreakError, Forbidden, InputError
from evidence.entry import Entry, EntrySubject, canonical
from findings.model import Finding
from findings.subject import Subject
from plans.situation import clause, listed, words

MOST_EVENTS: Final = 500
_BEFORE: Final = timedelta(days=1)
_MAKING: Final = re.compile(
    r"(Create|Put|Attach|Add|Update|Associate|Import|Enable)(AccessKey|User|Role|Policy|LoginProfile|Group|"
    r"UserPolicy|RolePolicy|GroupPolicy|UserToGroup|AssumeRolePolicy|AccessEntry|AccessPolicy|KeyPair|"
    r"OpenIDConnectProvider|SAMLProvider|PodIdentityAssociation|Function\w*|VirtualMFADevice)"
)
"""Calls that leave something behind by which somebody comes back."""
_SECRET: Final = re.compile(
    r"\w*(session|security)token|secretaccesskey|secret(string|binary)|\w*password", re.IGNORECASE
)


class _Seen(NamedTuple):
    events: list[dict[str, Any]]
    problem: str = ""


class ReviewActivities(StepRoom):
    """Reads what an identity did."""

    def __init__(self, doors: Doors) -> None:
        super().__init__(doors)
        self._store = doors.store

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"user.review_account": lambda request: StepPlan()}

    @activity.defn(name=ActivityName.REVIEW_ACCOUNT, no_thread_cancel_exception=True)
    def review_account(self, request: StepRequest) -> StepOutcome:
        """Read the events of each identity into the evidence, and make a task of each.

        An identity whose events cannot be read is a task all the same, which says so.

        Raises:
            Throttled, Unavailable: CloudTrail does not answer; a retry begins anew.
            EvidenceError: The store failed.
        """
        entries: list[Entry] = []
        tasks: list[Task] = []
        for subject in subjects_in(request):
            beat()
            seen = self._look(subject, request.finding)
            if seen.events:
                entries.append(self._keep(request.incident, subject, seen.events))
            tasks.append(_task(request, subject, seen))
        return StepOutcome(
            complete=True,
            summary=f"{len(tasks)} identit{'y' if len(tasks) == 1 else 'ies'} to be reviewed by a person",
            tasks=tuple(tasks),
            entries=store_entries(self._store, request.incident, "review-account", entries),
            artefacts=len(entries),
        )

    def _look(self, subject: Subject, finding: Finding) -> _Seen:
        until = datetime.now(UTC)
        since = (finding.first_seen or finding.last_activity or until) - _BEFORE
        found: dict[str, dict[str, Any]] = {}
        try:
            for attribute, value in _lookups(subject):
                for event in self._doors.aws.cloudtrail.events(attribute, value, since, until, MOST_EVENTS):
                    record = record_of(event) or {"eventName": event.get("EventName", "")}
                    found[event.get("EventId", str(len(found)))] = record
                if len(found) >= MOST_EVENTS:
                    break
        except (Forbidden, InputError) as error:
            return _Seen(_in_order(found.values()), _why(error))
        return _Seen(_in_order(found.values()))

    def _keep(self, incident: IncidentKey, subject: Subject, events: list[dict[str, Any]]) -> Entry:
        data = b"".join(canonical(_without_secrets(e)) + b"\n" for e in events)
        # Events arrive for a quarter of an hour, so a retry may see more: each reading is an artefact of its own.
        key = f"cloudtrail/{hashlib.sha256(data).hexdigest()[:24]}.jsonl"
        stored = self._store.put(f"{incident.evidence_prefix}/{key}", [data])
        return Entry(
            key=key,
            sha256=stored.sha256,
            size=stored.size,
            kind="cloudtrail-events",
            source="cloudtrail:LookupEvents",
            subject=EntrySubject(kind=subject.kind.value, name=subject.name),
            collected_at=datetime.now(UTC),
            activity=activity_name(),
            worker=self._doors.temporal.identity,
            reason=f"the newest {MOST_EVENTS} events" if len(events) >= MOST_EVENTS else "",
        )


def _lookups(subject: Subject) -> Iterable[tuple[Attribute, str]]:
    """By key, and by the name that CloudTrail gives the caller: the user's, or that of the role's session."""
    if subject.access_key_id:
        yield "AccessKeyId", subject.access_key_id
    name = subject.session_name or subject.name
    if name:
        yield "Username", name


def _task(request: StepRequest, subject: Subject, seen: _Seen) -> Task:
    step, about = request.step.step, f"{subject.kind.value} {subject.name} {subject.principal_arn}"
    keyless = subject.user_type.lower() in KEYLESS
    owner = "the owner of the account" if keyless else words(subject.name)
    what = f"Review what {subject.kind.value} {words(subject.name)} did"
    if keyless:
        what = f"{words(subject.user_type)} credentials cannot be ended here: change them, and review what they did"
    return Task(id=task_id(step, about), step=step, text=f"{what}: {_found(seen)}.", owner=owner)


def _found(seen: _Seen) -> str:
    if not seen.events:
        return (
            f"CloudTrail could not be read, {clause(seen.problem)}" if seen.problem else "CloudTrail has no event of it"
        )
    names = Counter(words(str(e.get("eventName", ""))) for e in seen.events)
    first, last = (str(seen.events[n].get("eventTime", "")) for n in (0, -1))
    most = " (no more were read)" if len(seen.events) >= MOST_EVENTS else ""
    text = f"{len(seen.events)} events{most} from {words(first)} to {words(last)}: "
    text += listed([f"{n} {c} times" if c > 1 else n for n, c in names.most_common()], most=8)
    made = list(dict.fromkeys(_made(e) for e in seen.events if _MAKING.fullmatch(str(e.get("eventName", "")))))
    return f"{text}; it made or changed {listed(made, most=8)}" if made else text


def _made(event: Mapping[str, Any]) -> str:
    """`CreateAccessKey for mallory`: the call and the first name in its request."""
    asked = event.get("requestParameters")
    names = ("userName", "roleName", "policyName", "groupName", "principalArn", "name")
    name = next((str(asked[n]) for n in names if asked.get(n)), "") if isinstance(asked, dict) else ""
    failed = " (refused)" if event.get("errorCode") else ""
    return f"{event['eventName']}{f' for {name[:60]}' if name else ''}{failed}"


def _in_order(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda e: str(e.get("eventTime", "")))[-MOST_EVENTS:]


def _without_secrets(value: Any) -> Any:
    """Without what may be a credential: whoever reads the evidence must not gain any."""
    if isinstance(value, list):
        return [_without_secrets(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {
        k: REDACTED if _SECRET.fullmatch(k) and isinstance(v, str) else _without_secrets(v) for k, v in value.items()
    }


def _why(error: FirebreakError) -> str:
    return f"{error.code}: {error.message}"
