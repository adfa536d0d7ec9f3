"""The activity `collect_subject`: what the audit log and CloudTrail know of an identity (guide U5, design: Evidence).

Both keep what they have for months, so nothing is lost by beginning with containment. What cannot be read is recorded
as failed with its reason, each source by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Final

from temporalio import activity

from activities.collect import audit
from activities.collect.audit import AuditLog, Limits, log_around
from activities.collect.audit_selection import of_access_key, of_user
from activities.collect.model import Deadline, Found, Task
from activities.collect.stepwise import StepCollection
from activities.doors import Doors
from activities.steps import Planner, StepRoom
from activities.user import trail
from activities.user.trail import Lookup, lookups_about, lookups_by, read_trail
from clients.aws.cloudtrail import CloudTrail
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import FirebreakError, TargetGone
from evidence.entry import EntrySubject, canonical
from findings.model import Finding
from findings.subject import Subject, SubjectKind, subjects_of
from plans.situation import listed

FOLDER: Final = "subjects"
TRAIL_KIND: Final = "cloudtrail-events"
_TRAIL_FILE: Final = "cloudtrail.jsonl"
_MOST_SHARES: Final = 4


class SubjectCase:
    """One identity while evidence of it is collected."""

    def __init__(self, doors: Doors, identity: Subject, finding: Finding, log: AuditLog) -> None:
        self.identity = identity
        self.finding = finding
        self.log = log
        self._doors = doors

    @property
    def subject(self) -> EntrySubject:
        """The identity, as entries name it."""
        return EntrySubject(kind=self.identity.kind.value, namespace=self.identity.namespace, name=self.identity.name)

    @property
    def place(self) -> str:
        """Its folder below the incident's prefix."""
        return f"{FOLDER}/{segment_of(self.identity)}"

    @property
    def cloudtrail(self) -> CloudTrail:
        """Where its calls to AWS are recorded."""
        return self._doors.aws.cloudtrail

    @cached_property
    def issuer(self) -> str:
        """Of the cluster's tokens; empty where EKS does not say."""
        try:
            cluster = self._doors.aws.eks.cluster(self._doors.settings.cluster)
        except FirebreakError:
            return ""
        return str(((cluster.get("identity") or {}).get("oidc") or {}).get("issuer") or "")

    @cached_property
    def role_arn(self) -> str:
        """That of a role, by which CloudTrail names it when somebody assumes it; empty where IAM does not say."""
        if self.identity.kind is not SubjectKind.IAM_ROLE:
            return ""
        try:
            return self._doors.aws.iam.role(self.identity.name)["Arn"]
        except FirebreakError:
            return ""


class SubjectEvidenceActivities(StepRoom):
    """Collects evidence about identities.

    Args:
        doors: The clients.
        limits: Of one reading of the audit log.
    """

    def __init__(self, doors: Doors, limits: Limits | None = None) -> None:
        super().__init__(doors)
        self._limits = limits

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return dict.fromkeys(("user.collect", "configuration.collect"), lambda _: StepPlan())

    @activity.defn(name=ActivityName.COLLECT_SUBJECT, no_thread_cancel_exception=True)
    def collect_subject(self, request: StepRequest) -> StepOutcome:
        """Collect for every identity; what cannot be read is recorded as failed.

        Raises:
            EvidenceError: The store failed; also Unavailable, Forbidden and Throttled.
        """
        finding = request.finding
        log = log_around(self._doors, finding.first_seen, finding.last_activity, self._limits)
        found = {segment_of(s): SubjectCase(self._doors, s, finding, log) for s in identities_at(request)}
        # Several identities share the time, since steps of credentials wait for it.
        tasks = partial(_tasks, 1 / max(1, min(len(found), _MOST_SHARES)))
        result = StepCollection(self._doors, request, FOLDER).collect(list(found.items()), tasks)
        return StepOutcome(
            complete=True,
            summary=f"{result.artefacts} artefacts of {listed([c.identity.name for c in found.values()])}",
            failures=result.failures,
            entries=result.entries,
            artefacts=result.artefacts,
        )


def identities_at(request: StepRequest) -> tuple[Subject, ...]:
    """The identities of the finding that a step is about."""
    wanted = {(t.namespace, t.name, t.uid) for t in request.step.targets}
    return tuple(s for s in subjects_of(request.finding) if (s.namespace, s.name, s.principal_arn) in wanted)


def segment_of(identity: Subject) -> str:
    """What stands for an identity in keys: a hash, since its names come from outside."""
    i = identity
    parts = [i.kind.value, i.namespace, i.name, i.username, i.principal_arn, i.access_key_id]
    return hashlib.sha256(canonical(parts)).hexdigest()[:16]


def trail_key(identity: Subject) -> str:
    """Where the events of what an identity did are kept, below the incident's prefix."""
    return f"{FOLDER}/{segment_of(identity)}/{_TRAIL_FILE}"


def _tasks(share: float, case: SubjectCase) -> Iterator[Task]:
    """AWS is asked again for single pages, so what does not answer in the end is recorded, and not asked anew."""
    yield Task("audit.jsonl", audit.KIND, partial(_audit, case), share * audit.SECONDS, patient=False)
    if lookups_by(case.identity, case.finding):
        run = partial(_trail, case, False)
        yield Task(_TRAIL_FILE, TRAIL_KIND, run, share * trail.SECONDS, patient=False)
    if lookups_about(case.identity, case.finding):
        run = partial(_trail, case, True)
        yield Task("cloudtrail-about.jsonl", "cloudtrail-events-about", run, share * trail.SECONDS, patient=False)


def _audit(case: SubjectCase, deadline: Deadline) -> Found:
    identity = case.identity
    # A request without any name is that of this one.
    username = identity.username or (identity.name if identity.kind is SubjectKind.ANONYMOUS else "")
    if username:
        return case.log.find(of_user(username), deadline)
    if identity.access_key_id:
        return case.log.find(of_access_key(identity.access_key_id), deadline)
    raise TargetGone("the finding gives neither a username nor an access key to look for in the audit log")


def _trail(case: SubjectCase, about: bool, deadline: Deadline) -> Found:
    if about:
        lookups = lookups_about(case.identity, case.finding, case.role_arn)
    else:
        lookups = lookups_by(case.identity, case.finding, case.issuer)
    found = read_trail(case.cloudtrail, lookups, case.finding, deadline)
    if found.problem is not None and not found.records:
        raise found.problem
    data, taken = found.lines()
    note = found.note or ("" if data else "CloudTrail has no event of it")
    return Found(data, _source(lookups), redactions=taken, note=lambda: note)


def _source(lookups: tuple[Lookup, ...]) -> str:
    return f"cloudtrail:LookupEvents by {' and by '.join(f'{one.attribute} {one.value}' for one in lookups)}"
