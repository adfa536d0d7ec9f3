"""The activity `cut_off_subject`: an identity out of the cluster by every way it has in, and nobody else (U1 to U4).

The row of aws-auth comes first, then the access entry, which is emptied and stays, then the bindings. Of an identity of
IAM the groups come from its entry or row, and go with them; those of an OIDC user stay, and are cut off by a step of
their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from temporalio import activity

from activities.bindings import Matches, without_subject
from activities.isolation.walk import failure_of
from activities.steps import Made, Planner, StepRoom, beat
from activities.user import refusals, verdict
from activities.user.aws_auth import changes_without
from activities.user.entries import STANDARD, emptied
from activities.user.principals import subjects_in
from activities.user.ways import Cluster, Ways
from clients.kubernetes import JsonObject
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.states import Containment
from contracts.steps import StepOutcome, StepPlan, StepRequest, Task, task_id
from errors import InputError, PolicyRefusal, TargetGone
from findings.subject import SubjectKind
from plans.model import Change
from plans.situation import words

_NEVER = "The cluster's own identities, nodes and nobody are never touched."


class _Cut(NamedTuple):
    """What cutting off one subject takes, or why it is not cut off."""

    ways: Ways
    changes: tuple[Change, ...]
    failures: tuple[Failure, ...]
    refused: str


class AccessActivities(StepRoom):
    """Cuts identities and groups off."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"user.cut_off": self._plan_subjects, "user.cut_off_groups": self._plan_groups}

    @activity.defn(name=ActivityName.CUT_OFF_SUBJECT, no_thread_cancel_exception=True)
    def cut_off_subject(self, request: StepRequest) -> StepOutcome:
        """Make the planned changes, then read every way again and ask the API server.

        Raises:
            Paused, Throttled, Unavailable: A service, not a way, stands in the way; a retry goes on.
            Forbidden: We may not read what has to be read again.
        """
        if request.step.action == "cut_off_groups":
            return self._groups_outcome(request, self._make(request))
        # The last administrator may have become one since the step was planned.
        cuts = self._cuts(request)
        forbidden = {c.key for cut in cuts if cut.refused for c in cut.changes}
        wanted = tuple(c for c in request.changes if c.key not in forbidden)
        made = self._make(request.model_copy(update={"changes": wanted}))
        return self._outcome(request, made, cuts)

    # Planning

    def _plan_subjects(self, request: StepRequest) -> StepPlan:
        cuts = self._cuts(request)
        if not cuts:
            return StepPlan(skip=_NEVER)
        refused = [_refusal(request.step.step, c) for c in cuts if c.refused]
        failures = [f for c in cuts if not c.refused for f in c.failures]
        changes = {c.key: c for cut in cuts if not cut.refused for c in cut.changes}
        return StepPlan(
            changes=tuple(changes.values()),
            failures=(*refused, *dict.fromkeys(failures)),
            blocked=len(refused) == len(cuts),
            notes=tuple(n for c in cuts if not c.refused for n in verdict.notes(c.ways)),
        )

    def _cuts(self, request: StepRequest) -> list[_Cut]:
        cluster = Cluster(self._doors, request.step.step)
        recorded = (*request.made, *request.changes)
        all_ways = [cluster.ways(s, request.finding, recorded) for s in subjects_in(request)]
        return [self._cut(cluster, ways, all_ways) for ways in all_ways]

    def _cut(self, cluster: Cluster, ways: Ways, all_ways: list[Ways]) -> _Cut:
        step = cluster.step
        changes: list[Change] = []
        failures = list(cluster.auth.failures)
        nodes = {r.arn for r in ways.rows if r.for_nodes}
        failures += [_refused_row(step, arn) for arn in sorted(nodes)]
        try:
            changes += changes_without(cluster.auth, [r for r in ways.rows if r.arn not in nodes], step)
        except InputError as error:
            failures.append(failure_of(step, "kube-system/aws-auth", error))
        for entry in ways.entries:
            if entry.type != STANDARD:
                failures.append(_refused_entry(step, entry.arn, entry.type))
            elif entry.grants:
                changes.append(emptied(entry, step))
        changes += [without_subject(b, ways.is_user, step) for b in cluster.bound(ways.is_user)]
        refused = refusals.of_subject(self._doors, cluster, ways, all_ways, changes=bool(changes))
        return _Cut(ways, tuple(changes), tuple(failures), refused)

    def _plan_groups(self, request: StepRequest) -> StepPlan:
        cluster = Cluster(self._doors, request.step.step)
        matches = _is_group(_groups(request))
        bound = cluster.bound(matches)
        if not bound:
            return StepPlan(skip="No binding names any of its groups.")
        refused = refusals.of_groups(cluster, frozenset(_groups(request)))
        if refused:
            return StepPlan(failures=(failure_of(request.step.step, "groups", PolicyRefusal(refused)),), blocked=True)
        return StepPlan(
            changes=tuple(without_subject(b, matches, request.step.step) for b in bound),
            notes=tuple(verdict.group_notes(cluster, _groups(request), bound)),
        )

    # Outcomes

    def _outcome(self, request: StepRequest, made: Made, cuts: list[_Cut]) -> StepOutcome:
        cluster = Cluster(self._doors, request.step.step)
        recorded = (*request.made, *request.changes)
        touched = {c.resource.uid for c in request.changes}
        reasons: list[str] = []
        proposals: list[str] = []
        for cut in cuts:
            ways = cluster.ways(cut.ways.subject, request.finding, recorded)
            had = [b for b in cluster.bindings if b["metadata"]["uid"] in touched]
            found = verdict.judge(self._doors.kubernetes, cluster, ways, had, beat)
            reasons += [cut.refused] if cut.refused else []
            reasons += found.reasons
            proposals += found.proposals
        # What is gone lets nobody in, and whether anything else does has been read again.
        failed = tuple(f for f in made.failures if f.code != TargetGone.code)
        failures = (*failed, *(_refusal(request.step.step, c) for c in cuts if c.refused))
        complete = not reasons and not failures
        names = ", ".join(words(c.ways.subject.username or c.ways.subject.name) for c in cuts[:3])
        return StepOutcome(
            complete=complete,
            skipped=complete and not request.changes,
            summary=f"{names}: {made.stand} of {len(request.changes)} ways into the cluster closed"
            if request.changes
            else f"{names}: nothing lets it into the cluster",
            failures=failures,
            containment=Containment.VERIFIED if complete else Containment.INCOMPLETE,
            at=datetime.now(UTC),
            reasons=tuple(dict.fromkeys(reasons))[:20],
            proposals=tuple(dict.fromkeys(proposals)),
            tasks=tuple(_tasks(request.step.step, cuts)),
            notes=tuple(n for c in cuts for n in verdict.notes(c.ways)),
        )

    def _groups_outcome(self, request: StepRequest, made: Made) -> StepOutcome:
        left = Cluster(self._doors, request.step.step).bound(_is_group(_groups(request)))
        reasons = tuple(f"{b['kind']} {words(b['metadata']['name'])} still binds its groups." for b in left[:20])
        complete = not left and not made.failures
        return StepOutcome(
            complete=complete,
            summary=f"groups taken out of {made.stand} binding{'' if made.stand == 1 else 's'}",
            failures=made.failures,
            containment=Containment.VERIFIED if complete else Containment.INCOMPLETE,
            at=datetime.now(UTC),
            reasons=reasons,
        )


def _groups(request: StepRequest) -> list[str]:
    """The groups of the step; the cluster's own are never cut off, whoever asks."""
    return [t.name for t in request.step.targets if t.name and not t.name.startswith("system:")]


def _is_group(groups: Iterable[str]) -> Matches:
    names = set(groups)

    def matches(subject: JsonObject) -> bool:
        return subject.get("kind") == "Group" and subject.get("name") in names

    return matches


def _tasks(step: str, cuts: list[_Cut]) -> Iterable[Task]:
    """What only the owner of an identity provider can do (guide U2)."""
    for cut in cuts:
        subject, provider = cut.ways.subject, cut.ways.provider
        if provider is None and subject.kind is not SubjectKind.OIDC_USER:
            continue
        issuer = words(provider.issuer) if provider is not None else "its identity provider"
        yield Task(
            id=task_id(step, subject.username),
            step=step,
            text=f"Reset the credentials of {words(subject.username)} at {issuer} and end the sessions there: "
            "EKS cannot revoke one user of a provider.",
            owner=f"the owner of {issuer}",
        )


def _refusal(step: str, cut: _Cut) -> Failure:
    subject = cut.ways.subject
    return failure_of(step, words(subject.username or subject.name), PolicyRefusal(cut.refused))


def _refused_row(step: str, arn: str) -> Failure:
    error = PolicyRefusal(f"Nodes join the cluster by the row of {words(arn)} in aws-auth: it is never removed.")
    return failure_of(step, words(f"aws-auth {arn}"), error)


def _refused_entry(step: str, arn: str, kind: str) -> Failure:
    error = PolicyRefusal(
        f"The access entry of {words(arn)} is of type {words(kind)}, not STANDARD: it is never changed."
    )
    return failure_of(step, words(arn), error)
