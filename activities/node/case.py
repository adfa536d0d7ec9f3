"""Nodes of an incident while evidence of them is collected: what is read once, and where it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property

from activities.collect.activity import is_segment
from activities.collect.model import Task
from activities.collect.shared import Shared
from activities.collect.stepwise import StepCollection
from activities.custody import activity_name
from activities.doors import Doors
from activities.node.machine import Machine, look
from activities.node.pods import pods_on
from clients.kubernetes import JsonObject
from contracts.activities import CollectResult
from contracts.steps import StepRequest
from errors import TargetGone
from evidence.entry import Entry, EntrySubject, Outcome
from plans.model import Target
from plans.situation import listed


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
    """One collection about the nodes of a step."""

    def __init__(self, doors: Doors, request: StepRequest) -> None:
        self._doors = doors
        self._request = request

    def collect(self, tasks: Callable[[NodeCase], Iterable[Task]]) -> CollectResult:
        """Collect what the tasks find for each node.

        Raises:
            EvidenceError: The store failed; also Unavailable, Forbidden and Throttled.
        """
        shared = Shared(self._doors.kubernetes)
        targets = self._request.step.targets
        cases = [(t.uid, NodeCase(self._doors, t, shared)) for t in targets if is_segment(t.uid)]
        further = [_nameless(t, self._doors) for t in targets if not is_segment(t.uid)]
        return StepCollection(self._doors, self._request, "nodes").collect(cases, tasks, further)


def names_of(request: StepRequest) -> str:
    """The nodes of a step, in a sentence."""
    return listed([t.name for t in request.step.targets])


def _nameless(target: Target, doors: Doors) -> Entry:
    return Entry(
        kind="node",
        subject=EntrySubject(kind="Node", name=target.name),
        collected_at=datetime.now(UTC),
        activity=activity_name(),
        worker=doors.temporal.identity,
        outcome=Outcome.FAILED,
        reason="TargetGone: the cluster does not know this node",
    )
