"""The activity `restore_changes`: undoes recorded changes backwards, each only where it is still what we left.

The labels come off the pods first: from then on every policy treats them as before, whatever becomes of the rest. Then
the fields of the other objects, the newest first; last the deny-all policies, which by then select nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from temporalio import activity

from activities.changes.engine import Engine
from activities.changes.records import record_name
from activities.doors import Doors
from activities.isolation.changes import guards, same
from activities.isolation.fields import field_value, labels_of
from activities.isolation.holders import HOLDERS_FIELD, holders_of, holders_text, name_holders, others, without_holder
from activities.isolation.objects import edit
from activities.isolation.pods import Beat, listed_targets
from activities.isolation.policies import deny_all_ref, quarantined_pods, release_deny_all
from activities.isolation.selectors import leaves_out_quarantined, matches, without_expression
from activities.isolation.unquarantine import release_pod
from activities.isolation.walk import MOST_FAILURES, SYSTEMIC, failure_of, keep_cursor, resumed, walk
from activities.targets import read_targets
from clients.kubernetes import JsonObject, Kubernetes
from contracts.activities import RestoreRequest, RestoreResult
from contracts.changes import QUARANTINED_FIELD, SELECTOR_FIELD
from contracts.common import Failure, PodTarget
from contracts.names import QUARANTINE_POLICY, ActivityName
from errors import FirebreakError, TargetGone, Throttled, Unavailable
from plans.model import Change

_WALK = "release"
_POD_LIST = "PodList"
"""The kind of the one record that stands for the labels of a list too long for the history."""
_LIST_ABOVE = 100
_MOST_POSTPONED = 3
"""Changes whose service did not answer before all the rest waits for the next attempt: each may cost a timeout."""


class RestoreActivities:
    """Undoes what an incident changed."""

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes
        self._store = doors.store
        self._engine = Engine(doors)

    @activity.defn(name=ActivityName.RESTORE_CHANGES, no_thread_cancel_exception=True)
    def restore_changes(self, request: RestoreRequest) -> RestoreResult:
        """Let go of every object; where no other incident holds it, put back what we changed.

        Objects that are gone count as undone. Running it again changes nothing more.

        Raises:
            Paused, Throttled, Unavailable: A service, not an object, stands in the way; a retry goes on. One that does
                not answer for one change does not keep the others from being undone first.
            EvidenceError: The list of pods is not the one that was planned.
        """
        pods = read_targets(self._store, request.pods)
        tally = resumed(_WALK)
        known = listed_targets(self._kubernetes, pods[tally.index :], partial(keep_cursor, tally), above=_LIST_ABOVE)
        incident = request.incident.workflow_id
        released: set[str] = set()
        # A pod whose change is recorded was changed, even where an attempt before this one has released it already.
        recorded = frozenset(c.resource.uid for c in request.changes)
        listed = any(c.resource.kind == _POD_LIST for c in request.changes)

        def work(pod: PodTarget) -> str | None:
            kept = self._release_pod(pod, incident, known, released)
            return "" if kept is None and (listed or pod.uid in recorded) else kept

        tally = walk(_WALK, pods, work, step=request.step)
        undoing = _Undoing(self._engine, self._kubernetes, incident, request.step, partial(keep_cursor, tally))
        unreported = self._unreported(request) if request.unreported else ()
        for change in reversed((*request.changes, *unreported)):
            if change.resource.uid in released:
                undoing.undone.append(change.key)
            elif change.held or "" not in change.after:
                undoing.undo(change)
            elif change.resource.kind == _POD_LIST and not tally.kept and not tally.failures:
                undoing.undone.append(change.key)
        creations = {c.resource.namespace: c for c in request.changes if "" in c.after and _is_deny_all(c)}
        for namespace in sorted({*creations, *(p.namespace for p in pods)}):
            undoing.remove_deny_all(namespace, creations.get(namespace))
        undoing.kept += [_cannot_undo(c) for c in request.changes if "" in c.after and not _is_known(c)]
        undoing.raise_postponed()
        return RestoreResult(
            undone=tuple(undoing.undone),
            kept=(*tally.kept, *undoing.kept)[:MOST_FAILURES],
            pods_restored=tally.done,
            failures=(*tally.failures, *undoing.failures)[:MOST_FAILURES],
        )

    def _unreported(self, request: RestoreRequest) -> tuple[Change, ...]:
        """What the incident holds and does not know of: each change is recorded before it is made."""
        known = {record_name(c) for c in request.changes if c.held}
        mine = [r.change for r in self._engine.held.all() if request.incident.workflow_id in r.incidents]
        return tuple(c for c in mine if record_name(c) not in known)

    def _release_pod(
        self, pod: PodTarget, incident: str, known: dict[str, JsonObject], released: set[str]
    ) -> str | None:
        try:
            kept = release_pod(self._kubernetes, pod, incident, known.get(pod.uid))
        except TargetGone:
            released.add(pod.uid)
            raise
        if not kept:
            released.add(pod.uid)
        return kept


class _Undoing:
    """The changes of one request, and what became of each."""

    def __init__(self, engine: Engine, kubernetes: Kubernetes, incident: str, step: str, beat: Beat) -> None:
        self._engine = engine
        self._kubernetes = kubernetes
        self._incident = incident
        self._step = step
        self._beat = beat
        self._quarantined: dict[str, list[JsonObject]] = {}
        self._postponed: list[FirebreakError] = []
        self.undone: list[str] = []
        self.kept: list[str] = []
        self.failures: list[Failure] = []

    def undo(self, change: Change) -> None:
        """Undo one change."""
        if change.held:
            try:
                self._record(change, lambda: self._engine.undo(change, self._incident))
            except (Throttled, Unavailable) as error:
                self._postponed.append(error)
                if len(self._postponed) >= _MOST_POSTPONED:
                    raise
        elif change.resource.kind == "Pod" and QUARANTINED_FIELD in change.after:
            r = change.resource
            pod = PodTarget(namespace=r.namespace, name=r.name, uid=r.uid)
            self._record(change, lambda: release_pod(self._kubernetes, pod, self._incident))
        else:
            self._record(change, lambda: self._revert(change))

    def raise_postponed(self) -> None:
        """Say at the end that a service did not answer, so that what it kept is tried again.

        Raises:
            Throttled, Unavailable: It did not.
        """
        if self._postponed:
            raise self._postponed[0]

    def remove_deny_all(self, namespace: str, change: Change | None) -> None:
        """Let go of the deny-all policy of a namespace; the change is None when the plan did not list it."""
        self._record(change, lambda: release_deny_all(self._kubernetes, namespace, self._incident), namespace)

    def _record(self, change: Change | None, work: Callable[[], str | None], namespace: str = "") -> None:
        self._beat()
        try:
            kept = work()
        except TargetGone:
            kept = ""
        except SYSTEMIC:
            raise
        except FirebreakError as error:
            resource = change.resource if change else deny_all_ref(namespace)
            self.failures.append(failure_of(self._step, resource, error))
            return
        if kept:
            self.kept.append(kept)
        elif change:
            self.undone.append(change.key)

    def _revert(self, change: Change) -> str:
        kept: list[str] = []

        def decide(live: JsonObject) -> dict[str, Any]:
            kept.clear()
            holders = holders_of(live)
            # What containment needs is shared, and the last holder undoes it. Any other value is one incident's own,
            # and shows itself whether it still is: incidents that are over stay on record as holders of what they
            # repaired, and must not keep a later one from rolling back.
            rest = others(holders, self._incident) if _adds_our_expression(change, SELECTOR_FIELD) else ()
            values: dict[str, Any] = {}
            if rest:
                kept.append(f"{change.resource}: held by {name_holders(rest)}")
            elif reopened := self._reopened(change, live):
                kept.append(f"{change.resource}: without our expression it would reopen {reopened} quarantined pods")
                # Our name stays among the holders, so that the release can be tried again.
                return {}
            else:
                values, sentences = _old_values(change, live)
                kept.extend(sentences)
            if self._incident in holders:
                values[HOLDERS_FIELD] = without_holder(holders, self._incident)
            elif values:
                # Tested and not written: an incident that joins at this moment must find its change in place.
                values[HOLDERS_FIELD] = holders_text(live)
            return values

        edit(self._kubernetes, change.resource, decide)
        return "; ".join(kept)

    def _reopened(self, change: Change, live: JsonObject) -> int:
        """How many pods are still quarantined that the policy would select again."""
        if not _adds_our_expression(change, SELECTOR_FIELD):
            return 0
        selector = dict(live["spec"].get("podSelector") or {})
        selector["matchExpressions"] = without_expression(selector.get("matchExpressions"))
        namespace = change.resource.namespace
        if namespace not in self._quarantined:
            self._quarantined[namespace] = quarantined_pods(self._kubernetes, namespace)
        return sum(matches(selector, labels_of(pod)) for pod in self._quarantined[namespace])


def _old_values(change: Change, live: JsonObject) -> tuple[dict[str, Any], list[str]]:
    """The fields to put back, and sentences on those that are not what we left."""
    moved = [f for f, value in guards(change).items() if not same(field_value(live, f), value)]
    if moved:
        return {}, [f"{change.resource}: left as it is, because somebody changed {', '.join(moved)}"]
    values: dict[str, Any] = {}
    kept: list[str] = []
    for field, after in change.after.items():
        now, before = field_value(live, field), change.before.get(field)
        if _adds_our_expression(change, field):
            # Several incidents may have recorded this edit with different before-states: what was added is one
            # expression, and that is what is taken away, whatever else the selector says by now.
            if leaves_out_quarantined({"matchExpressions": now}):
                values[field] = without_expression(now)
        elif same(now, after) and not same(after, before):
            values[field] = before
        elif not same(now, before):
            kept.append(f"{change.resource}: {field} is left as it is, because somebody changed it")
    return (guards(change) | values if values else values), kept


def _adds_our_expression(change: Change, field: str) -> bool:
    return field == SELECTOR_FIELD and leaves_out_quarantined({"matchExpressions": change.after.get(field)})


def _is_deny_all(change: Change) -> bool:
    return change.resource.kind == "NetworkPolicy" and change.resource.name == QUARANTINE_POLICY


def _is_known(change: Change) -> bool:
    return change.held or change.resource.kind == _POD_LIST or _is_deny_all(change)


def _cannot_undo(change: Change) -> str:
    what = "what was deleted cannot be brought back" if change.after[""] is None else "what was created stays"
    return f"{change.resource}: {what}"
