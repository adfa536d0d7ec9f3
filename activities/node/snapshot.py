"""The activity `snapshot_node`: every volume of the machine as it is, before anything ends it (guide N4).

A snapshot is known by tags: of which incident it is, and of which volume EC2 knows itself. So a second attempt finds
what the first one began.
Source: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-creating-snapshot.html
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from temporalio import activity

from activities.doors import Doors
from activities.isolation.walk import failure_of
from activities.node.machine import Machine, look_at_all
from activities.steps import Planner, StepRoom, beat
from clients.aws.ec2 import Ec2
from clients.kubernetes import JsonObject
from contracts.common import Failure, IncidentKey
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import Conflict, Forbidden, InputError, TargetGone

_TAG: Final = "firebreak.dev:incident"
_NODE_TAG: Final = "firebreak.dev:node"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0


class SnapshotActivities(StepRoom):
    """Takes snapshots."""

    def __init__(self, doors: Doors, *, within: timedelta = timedelta(minutes=55)) -> None:
        """Act through the doors.

        Args:
            doors: The clients.
            within: How long one attempt waits; must be shorter than the activity's own limit.
        """
        super().__init__(doors)
        self._within = within.total_seconds()

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"node.snapshot": self._plan}

    @activity.defn(name=ActivityName.SNAPSHOT_NODE, no_thread_cancel_exception=True)
    def snapshot_node(self, request: StepRequest) -> StepOutcome:
        """Begin the snapshots that are missing, and wait until every volume has a completed one.

        Raises:
            Paused, Throttled, Unavailable: EC2, not a volume, stands in the way; a retry goes on.
        """
        said: list[str] = []
        failures: list[Failure] = []
        end = time.monotonic() + self._within
        for machine in look_at_all(self._doors, request.step.targets):
            try:
                said.append(self._snapshot(machine, request, end))
            except (TargetGone, Forbidden, InputError, Conflict) as error:
                failures.append(failure_of(request.step.step, machine.instance_id or machine.name, error))
        return StepOutcome(complete=not failures, summary="; ".join(said)[:600], failures=tuple(failures))

    def _plan(self, request: StepRequest) -> StepPlan:
        notes = [m.closed for m in look_at_all(self._doors, request.step.targets) if m.closed]
        return StepPlan(notes=tuple(notes))

    def _snapshot(self, machine: Machine, request: StepRequest, end: float) -> str:
        if machine.denied:
            raise Forbidden(machine.closed)
        if machine.closed:
            return f"no snapshot: {machine.closed}"
        if machine.ended:
            return f"no snapshot: the instance {machine.instance_id} is {machine.state} already"
        ec2, pause = self._doors.aws.ec2, _FIRST_PAUSE
        self._begin(machine, request)
        while True:
            missing = incomplete(ec2, machine, request.incident)
            if not missing:
                found = taken(ec2, request.incident)
                volumes = ec2.volumes(machine.instance_id)
                ids = [found[v["VolumeId"]]["SnapshotId"] for v in volumes]
                return f"{machine.name}: {len(ids)} snapshots completed: {', '.join(sorted(ids))}"
            if broken := [sentence for sentence in missing if "error" in sentence]:
                raise Conflict("; ".join(broken))
            if time.monotonic() > end:
                raise Conflict(f"not completed in {self._within:g} s: {'; '.join(missing)}")
            activity.wait_for_cancelled_sync(timedelta(seconds=pause))
            beat()
            pause = min(_LONGEST_PAUSE, pause * 1.5)

    def _begin(self, machine: Machine, request: StepRequest) -> None:
        ec2 = self._doors.aws.ec2
        have = taken(ec2, request.incident)
        volumes = [v["VolumeId"] for v in ec2.volumes(machine.instance_id)]
        missing = [v for v in volumes if v not in have]
        tags = {_TAG: tag_of(request.incident), _NODE_TAG: machine.target.uid or machine.instance_id}
        text = "Firebreak: evidence of a compromised node"
        if missing and len(missing) == len(volumes):
            # All of one moment, which single ones cannot be.
            ec2.snapshot_all(machine.instance_id, text, tags)
            return
        for volume in missing:
            beat()
            ec2.snapshot(volume, text, tags)


def incomplete(ec2: Ec2, machine: Machine, incident: IncidentKey) -> list[str]:
    """Which volumes of a machine have no completed snapshot of the incident, a sentence each."""
    have = taken(ec2, incident)
    missing = []
    for volume in ec2.volumes(machine.instance_id):
        snapshot = have.get(volume["VolumeId"])
        state = "none" if snapshot is None else str(snapshot.get("State"))
        if state != "completed":
            missing.append(f"the snapshot of the volume {volume['VolumeId']} of {machine.name}: {state}")
    return missing


def taken(ec2: Ec2, incident: IncidentKey) -> dict[str, JsonObject]:
    """The incident's snapshots by volume; a completed one before any other."""
    found: dict[str, JsonObject] = {}
    for snapshot in ec2.snapshots((_TAG, tag_of(incident))):
        kept = found.get(snapshot["VolumeId"])
        if kept is None or kept.get("State") != "completed":
            found[snapshot["VolumeId"]] = snapshot
    return found


def tag_of(incident: IncidentKey) -> str:
    """An incident as the value of a tag: a hash, because its id comes from a finding."""
    return hashlib.sha256(f"{incident.workflow_id}\n{incident.run_id}".encode()).hexdigest()[:40]
