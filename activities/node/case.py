"""Nodes of an incident while evidence of them is collected: what is read once, and where it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property, partial

from temporalio import activity

from activities.collect.activity import is_segment
from activities.collect.entries import Part, Parts, list_entry
from activities.collect.model import Task, Wave
from activities.collect.recorder import Recorder
from activities.collect.shared import Shared
from activities.custody import activity_name
from activities.doors import Doors
from activities.isolation.walk import stop_if_cancelled
from activities.node.machine import Machine, look
from activities.node.pods import pods_on
from clients.kubernetes import JsonObject
from contracts.activities import CollectProgress, CollectResult
from contracts.steps import StepRequest
from errors import TargetGone
from evidence.entry import Entry, EntrySubject, Outcome
from evidence.store import Stored
from plans.model import Target
from plans.situation import listed

_PATIENT_ATTEMPTS = 8


class NodeCase:
    """One node. Whatever is asked is read once."""

    def __init__(self, doors: Doors, target: Target, shared: Shared) -> None:
        self.doors = doors
        self.target = target
        self.shared = shared

    @property
    def subject(self) -> EntrySubject:
        """The node, as entries name it."""
        return EntrySubject(kind="Node", name=self.target.name, uid=self.target.uid)

    @property
    def place(self) -> str:
        """The node's folder below the incident's prefix."""
        return f"nodes/{self.target.uid}"

    @cached_property
    def machine(self) -> Machine:
        """The node and its instance."""
        return look(self.doors, self.target)

    @cached_property
    def pods(self) -> list[JsonObject]:
        """The pods on it."""
        return pods_on(self.doors.kubernetes, self.target.name)

    @property
    def instance_id(self) -> str:
        """Of its machine."""
        return self.machine.instance_id

    @property
    def instance(self) -> JsonObject:
        """Its machine as EC2 describes it; it never says the user data."""
        return self.machine.instance or {}

    def need_instance(self) -> None:
        """Make sure that EC2 was, and may be, asked about the machine.

        Raises:
            TargetGone: It was not, or does not know it; the reason is the message.
        """
        if self.machine.instance is None:
            raise TargetGone(self.machine.closed or f"EC2 knows no instance {self.instance_id}")


class NodeCollection:
    """One collection about the nodes of a step: a part a node, then the list of all entries."""

    def __init__(self, doors: Doors, request: StepRequest) -> None:
        self._doors = doors
        self._request = request
        self._prefix = request.incident.evidence_prefix

    def collect(self, tasks: Callable[[NodeCase], Iterable[Task]]) -> CollectResult:
        """Collect what the tasks find for each node.

        Raises:
            EvidenceError: The store failed; also Unavailable, Forbidden and Throttled.
        """
        request = self._request
        parts = Parts(self._doors.store, self._prefix, request.step.step.replace(".", "-"), request.step.step)
        if (finished := parts.finished()) is not None:
            return finished
        for part in sorted(parts.done):
            parts.count(part)
        nodes = [t for t in request.step.targets if is_segment(t.uid)]
        progress = CollectProgress(nodes=len(nodes))

        def say() -> None:
            activity.heartbeat(parts.said(progress))
            stop_if_cancelled()

        recorder = self._recorder(parts, say)
        shared = Shared(self._doors.kubernetes)
        for target in nodes:
            part = Part(target.uid, Wave.LASTING)
            if part not in parts.done:
                case = NodeCase(self._doors, target, shared)
                parts.write(part, list(recorder.take(case, tasks(case))))
            say()
        further = [_nameless(t, self._doors) for t in request.step.targets if not is_segment(t.uid)]
        order = [Part(t.uid, Wave.LASTING) for t in nodes]
        return parts.finish(order, further, partial(_listed, self._doors))

    def _recorder(self, parts: Parts, say: Callable[[], None]) -> Recorder:
        attempt = activity.info().attempt
        present = frozenset(self._doors.store.keys(f"{self._prefix}/nodes")) if attempt > 1 else frozenset()
        return Recorder(
            store=self._doors.store,
            prefix=self._prefix,
            activity=activity_name(),
            worker=_worker(self._doors),
            patient=attempt < _PATIENT_ATTEMPTS,
            present=present,
            count=parts.counts.entry,
            beat=say,
        )


def names_of(request: StepRequest) -> str:
    """The nodes of a step, in a sentence."""
    return listed([t.name for t in request.step.targets])


def _worker(doors: Doors) -> str:
    return doors.temporal.identity


def _listed(doors: Doors, stored: Stored) -> Entry:
    source = "the entries of one node"
    return list_entry(stored, "entry-list", source=source, activity=activity_name(), worker=_worker(doors))


def _nameless(target: Target, doors: Doors) -> Entry:
    return Entry(
        kind="node",
        subject=EntrySubject(kind="Node", name=target.name),
        collected_at=datetime.now(UTC),
        activity=activity_name(),
        worker=_worker(doors),
        outcome=Outcome.FAILED,
        reason="TargetGone: the cluster does not know this node",
    )
