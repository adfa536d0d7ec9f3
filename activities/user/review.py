"""The activity `review_account`: what an identity did around the finding, as a checklist for a person (guide U5).

The events go into the evidence, unless `user.collect` has put them there already; the task says what is in them.
Nothing is decided from them: names in events were chosen by whoever made the calls.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from temporalio import activity

from activities.collect.model import Deadline
from activities.collect.shared import failed
from activities.custody import activity_name, store_entries
from activities.doors import Doors
from activities.steps import Planner, StepRoom, beat
from activities.user.evidence import TRAIL_KIND, trail_key
from activities.user.holders import KEYLESS
from activities.user.principals import subjects_in
from activities.user.trail import SECONDS, Record, Trail, lookups_by, read_trail
from contracts.common import IncidentKey
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest, Task, task_id
from errors import EvidenceError, TargetGone, Throttled, Unavailable
from evidence.entry import Entry, EntrySubject, checked
from evidence.read import find_entry
from findings.model import Finding
from findings.subject import Subject
from plans.situation import clause, listed, words

_MAKING: Final = re.compile(
    r"(Create|Put|Attach|Add|Update|Associate|Import|Enable)(AccessKey|User|Role|Policy|LoginProfile|Group|"
    r"UserPolicy|RolePolicy|GroupPolicy|UserToGroup|AssumeRolePolicy|AccessEntry|AccessPolicy|KeyPair|"
    r"OpenIDConnectProvider|SAMLProvider|PodIdentityAssociation|Function\w*|VirtualMFADevice)"
)
"""Calls that leave something behind by which somebody comes back."""


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
            seen = self._kept(request.incident, subject)
            if seen is None:
                seen = self._look(subject, request.finding)
                entries += [self._keep(request.incident, subject, seen)] if seen.records else []
            tasks.append(_task(request, subject, seen))
        return StepOutcome(
            complete=True,
            summary=f"{len(tasks)} identit{'y' if len(tasks) == 1 else 'ies'} to be reviewed by a person",
            tasks=tuple(tasks),
            entries=store_entries(self._store, request.incident, "review-account", entries),
            artefacts=len(entries),
        )

    def _kept(self, incident: IncidentKey, subject: Subject) -> Trail | None:
        """What `user.collect` has kept and sealed, so that AWS is not asked twice; None where that is of no use."""
        prefix, key = incident.evidence_prefix, trail_key(subject)
        try:
            entry = find_entry(self._store, prefix, key)
            data = b"".join(checked(self._store.get(f"{prefix}/{key}"), key, entry.sha256))
        except (TargetGone, EvidenceError):
            return None
        return Trail(tuple(json.loads(line) for line in data.splitlines()), cut=bool(entry.reason))

    def _look(self, subject: Subject, finding: Finding) -> Trail:
        deadline = Deadline(SECONDS, beat)
        seen = read_trail(self._doors.aws.cloudtrail, lookups_by(subject, finding), finding, deadline)
        if not seen.records and isinstance(seen.problem, Throttled | Unavailable):
            raise seen.problem
        return seen

    def _keep(self, incident: IncidentKey, subject: Subject, seen: Trail) -> Entry:
        data, taken = seen.lines()
        # Events arrive for a quarter of an hour, so a retry may see more: each reading is an artefact of its own.
        key = f"cloudtrail/{hashlib.sha256(data).hexdigest()[:24]}.jsonl"
        stored = self._store.put(f"{incident.evidence_prefix}/{key}", [data])
        return Entry(
            key=key,
            sha256=stored.sha256,
            size=stored.size,
            kind=TRAIL_KIND,
            source="cloudtrail:LookupEvents",
            subject=EntrySubject(kind=subject.kind.value, name=subject.name),
            collected_at=datetime.now(UTC),
            activity=activity_name(),
            worker=self._doors.temporal.identity,
            reason=seen.note,
            redactions=taken,
        )


def _task(request: StepRequest, subject: Subject, seen: Trail) -> Task:
    step, about = request.step.step, f"{subject.kind.value} {subject.name} {subject.principal_arn}"
    keyless = subject.user_type.lower() in KEYLESS
    owner = "the owner of the account" if keyless else words(subject.name)
    what = f"Review what {subject.kind.value} {words(subject.name)} did"
    if keyless:
        what = f"{words(subject.user_type)} credentials cannot be ended here: change them, and review what they did"
    return Task(id=task_id(step, about), step=step, text=f"{what}: {_found(seen)}.", owner=owner)


def _found(seen: Trail) -> str:
    records: Sequence[Record] = seen.records
    if not records:
        unread = f"CloudTrail could not be read, {clause(failed(seen.problem))}" if seen.problem is not None else ""
        return unread or "CloudTrail has no event of it"
    names = Counter(words(str(e.get("eventName", ""))) for e in records)
    first, last = (str(records[n].get("eventTime", "")) for n in (0, -1))
    most = " (not all were read)" if seen.cut or seen.problem is not None else ""
    text = f"{len(records)} events{most} from {words(first)} to {words(last)}: "
    text += listed([f"{n} {c} times" if c > 1 else n for n, c in names.most_common()], most=8)
    made = list(dict.fromkeys(_made(e) for e in records if _MAKING.fullmatch(str(e.get("eventName", "")))))
    return f"{text}; it made or changed {listed(made, most=8)}" if made else text


def _made(event: Mapping[str, Any]) -> str:
    """`CreateAccessKey for mallory`: the call and the first name in its request."""
    asked = event.get("requestParameters")
    names = ("userName", "roleName", "policyName", "groupName", "principalArn", "name")
    name = next((str(asked[n]) for n in names if asked.get(n)), "") if isinstance(asked, dict) else ""
    failed = " (refused)" if event.get("errorCode") else ""
    return f"{event['eventName']}{f' for {name[:60]}' if name else ''}{failed}"
