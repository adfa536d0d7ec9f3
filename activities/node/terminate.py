"""The activity `terminate_node`: the machine ends, one after another, when nothing of it is needed any more (guide N4).

Not before every volume has a completed snapshot, the other pods have left, and no other incident holds a pod on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

from temporalio import activity

from activities.doors import Doors
from activities.isolation.holders import holders_of, name_holders, others
from activities.isolation.walk import failure_of
from activities.node.ending import REGISTERED, STATE, TERMINATED, Way, way_of
from activities.node.kinds import PROTECTED
from activities.node.machine import Machine, look
from activities.node.pods import NodePods, evidence_uids, pod_name, sorted_pods
from activities.node.snapshot import incomplete
from activities.steps import Planner, StepRoom, beat
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import Conflict, FirebreakError, PolicyRefusal, TargetGone
from plans.model import Change, ResourceRef
from plans.situation import listed, words

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


class TerminateActivities(StepRoom):
    """Ends machines."""

    def __init__(self, doors: Doors, *, within: timedelta = timedelta(minutes=20)) -> None:
        """Act through the doors.

        Args:
            doors: The clients.
            within: How long one machine may take to end; must be shorter than the activity's own limit.
        """
        super().__init__(doors)
        self._within = within.total_seconds()

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"node.terminate": self._plan}

    @activity.defn(name=ActivityName.TERMINATE_NODE, no_thread_cancel_exception=True)
    def terminate_node(self, request: StepRequest) -> StepOutcome:
        """End each machine, wait until EC2 says so, then take the node's object away; the first failure stops.

        Raises:
            Paused, Throttled, Unavailable: A service, not a machine, stands in the way; a retry goes on.
        """
        said: list[str] = []
        for target in request.step.targets:
            machine = look(self._doors, target)
            failures = self._end(machine, request)
            if failures:
                return StepOutcome(complete=False, failures=tuple(failures), summary="; ".join(said)[:600])
            said.append(f"{machine.name}: its instance {machine.instance_id} is terminated, its node is gone")
        self._let_go(request)
        return StepOutcome(complete=True, summary="; ".join(said)[:600])

    def _end(self, machine: Machine, request: StepRequest) -> list[Failure]:
        mine = [c for c in request.changes if c.resource.name in (machine.instance_id, machine.target.name)]
        machines = tuple(c for c in mine if c.resource.kind != "RegisteredNode")
        made = self._make(request.model_copy(update={"changes": machines}))
        if made.failures:
            return list(made.failures)
        # What is not in the changes was terminated already when the step was planned: that is read again as well.
        end, pause = time.monotonic() + self._within, _FIRST_PAUSE
        while (state := self._state(machine)) != TERMINATED:
            if time.monotonic() > end:
                error = Conflict(f"the instance is still {state} after {self._within:g} s")
                return [failure_of(request.step.step, machine.instance_id, error)]
            activity.wait_for_cancelled_sync(timedelta(seconds=pause))
            beat()
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        nodes = tuple(c for c in mine if c.resource.kind == "RegisteredNode")
        return list(self._make(request.model_copy(update={"changes": nodes})).failures)

    def _state(self, machine: Machine) -> str:
        """The state of the instance; `shutting-down` is not the end yet."""
        try:
            return str((self._doors.aws.ec2.instance(machine.instance_id).get("State") or {}).get("Name"))
        except TargetGone:
            return TERMINATED

    def _let_go(self, request: StepRequest) -> None:
        """What was changed of something that is gone is held by nobody any more."""
        for change in request.made:
            if change.held and change.step.startswith("node.") and self._engine.gone(change):
                self._engine.held.leave(change, request.incident.workflow_id, lambda _: "")

    # Planning

    def _plan(self, request: StepRequest) -> StepPlan:
        changes: list[Change] = []
        notes: list[str] = []
        failures: list[Failure] = []
        for target in request.step.targets:
            machine = look(self._doors, target)
            step = request.step.step
            if machine.closed:
                failures.append(failure_of(step, machine.name, PolicyRefusal(machine.closed)))
                continue
            if machine.ended:
                notes.append(f"The instance {machine.instance_id} of {machine.name} is {machine.state} already.")
            else:
                evidence = evidence_uids(self._doors.store, request)
                pods = sorted_pods(self._doors.kubernetes, target.name, evidence)
                failures += [failure_of(step, machine.name, e) for e in self._not_yet(machine, pods, request)]
                way = way_of(self._doors, machine.instance_id)
                changes += self._machine_changes(step, machine, way)
                notes += _notes(machine, pods, way)
            if machine.node is not None:
                changes.append(_registration(step, machine))
        return StepPlan(
            changes=tuple(changes),
            failures=tuple(failures),
            blocked=bool(failures),
            notes=tuple(notes),
            skip="" if changes or failures else " ".join(notes),
        )

    def _machine_changes(self, step: str, machine: Machine, way: Way) -> Iterator[Change]:
        if self._doors.aws.ec2.termination_protected(machine.instance_id):
            yield Change(
                step=step,
                resource=ResourceRef(kind="Instance", name=machine.instance_id),
                summary="termination by the API allowed",
                before={PROTECTED: True},
                after={PROTECTED: False},
            )
        yield Change(
            step=step,
            resource=way.ref(machine.instance_id),
            summary=f"terminated {way.words}"[:300],
            before={STATE: machine.state},
            after={STATE: TERMINATED},
        )

    def _not_yet(self, machine: Machine, pods: NodePods, request: StepRequest) -> Iterator[FirebreakError]:
        """What must be over before: said also in the preview, where it is a matter of course."""
        if missing := incomplete(self._doors.aws.ec2, machine, request.incident):
            yield PolicyRefusal(f"not before every snapshot is completed: {listed(missing)}")
        if pods.leaving:
            yield PolicyRefusal(
                f"not before the other pods have left: {len(pods.leaving)} still run, among them "
                f"{words(pod_name(pods.leaving[0]))}"
            )
        for pod in pods.held:
            if foreign := others(holders_of(pod), request.incident.workflow_id):
                yield Conflict(
                    f"the pod {words(pod_name(pod))} is evidence of another incident: {name_holders(foreign)}"
                )


def _registration(step: str, machine: Machine) -> Change:
    return Change(
        step=step,
        resource=ResourceRef(kind="RegisteredNode", name=machine.target.name, uid=machine.target.uid),
        summary="its object is deleted when its machine has ended",
        before={REGISTERED: True},
        after={REGISTERED: None},
    )


def _notes(machine: Machine, pods: NodePods, way: Way) -> Iterator[str]:
    yield f"{machine.name} is terminated {way.words}. Nothing brings it back."
    yield "Volumes that are deleted with the instance are lost; their snapshots stay."
    if pods.held:
        names = listed([pod_name(p) for p in pods.held])
        yield f"Held as evidence on {machine.name}, and gone with it: {words(names)}. What was collected of them stays."
