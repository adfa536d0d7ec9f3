"""The activity `isolate_node`: the machine's network interfaces lose every security group that lets something through.

Source: https://docs.aws.amazon.com/eks/latest/best-practices/incident-response-and-forensics.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import JsonValue
from temporalio import activity

from activities.doors import Doors
from activities.node.cordon import verdict_without_targets
from activities.node.groups import ISOLATION_GROUP, UNTRACKED_GROUP, Groups
from activities.node.kinds import GROUPS, groups_of
from activities.node.machine import Machine, look, look_at_all
from activities.node.pods import pod_name, pods_on
from activities.steps import Planner, StepRoom
from contracts.names import ActivityName
from contracts.states import Containment
from contracts.steps import StepOutcome, StepPlan, StepRequest
from plans.model import Change, ResourceRef
from plans.situation import listed, words

_BRANCH = "vpc.amazonaws.com/pod-eni"


class IsolateNodeActivities(StepRoom):
    """Cuts nodes off."""

    def __init__(self, doors: Doors) -> None:
        super().__init__(doors)
        self._groups = Groups(doors)

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"node.isolate": self._plan}

    @activity.defn(name=ActivityName.ISOLATE_NODE, no_thread_cancel_exception=True)
    def isolate_node(self, request: StepRequest) -> StepOutcome:
        """Give every interface the empty group, then read interfaces and group again.

        Raises:
            Paused, Throttled, Unavailable: A service, not a node, stands in the way; a retry goes on.
        """
        made = self._make(request)
        machines = [m for m in look_at_all(self._doors, request.step.targets) if m.closed or not m.ended]
        found = [self._open(m) for m in machines]
        reasons = [sentence for sentences in found for sentence in sentences]
        verified = not reasons and not made.failures
        verdict = Containment.VERIFIED if verified else Containment.INCOMPLETE
        cut = sum(not sentences for sentences in found)
        gone = len(request.step.targets) - len(machines)
        return StepOutcome(
            complete=verified,
            summary=f"{cut} machine{'' if cut == 1 else 's'} without any network; {gone} at an end already",
            failures=made.failures,
            containment=verdict if machines else verdict_without_targets(request),
            at=datetime.now(UTC),
            reasons=tuple(reasons[:20]),
        )

    def _open(self, machine: Machine) -> list[str]:
        """Why a machine is not cut off."""
        if machine.closed:
            return [machine.closed]
        found = []
        for interface in self._doors.aws.ec2.interfaces(machine.instance_id):
            name = interface["NetworkInterfaceId"]
            if groups_of(interface) != [ISOLATION_GROUP]:
                found.append(f"The interface {name} of {machine.name} still has {listed(groups_of(interface))}.")
            elif not self._groups.is_empty(interface["Groups"][0]["GroupId"]):
                found.append(f"Somebody gave rules to the group {ISOLATION_GROUP} on {name} of {machine.name}.")
        return found

    def _plan(self, request: StepRequest) -> StepPlan:
        changes: list[Change] = []
        notes: list[str] = []
        for target in request.step.targets:
            machine = look(self._doors, target)
            if machine.closed or machine.ended:
                notes.append(machine.closed or f"The instance {machine.instance_id} is {machine.state} already.")
                continue
            changes += self._changes(request, machine)
            notes += self._notes(machine)
        return StepPlan(changes=tuple(changes), notes=tuple(notes))

    def _changes(self, request: StepRequest, machine: Machine) -> list[Change]:
        # An attempt that was killed between its two steps left our group: what was there before stands in history.
        known = {c.resource.name: c.before for c in request.made if c.resource.kind == "NetworkInterface"}
        changes = []
        # The network plugin copies the groups of the primary interface to the others, so the primary comes first.
        for interface in self._doors.aws.ec2.interfaces(machine.instance_id):
            name, groups = interface["NetworkInterfaceId"], groups_of(interface)
            if groups == [ISOLATION_GROUP]:
                continue
            before: dict[str, JsonValue] = {GROUPS: list(groups)}
            changes.append(
                Change(
                    step=request.step.step,
                    resource=ResourceRef(kind="NetworkInterface", name=name),
                    summary=f"the interface of {machine.name} lets nothing through",
                    before=known.get(name, before) if groups == [UNTRACKED_GROUP] else before,
                    after={GROUPS: [ISOLATION_GROUP]},
                )
            )
        return changes

    def _notes(self, machine: Machine) -> list[str]:
        pods = pods_on(self._doors.kubernetes, machine.target.name)
        notes = [
            f"Every pod on {machine.name} is cut off with it: {len(pods)}.",
            f"The kubelet and SSM of {machine.name} lose contact too: collect what must come from inside first. The "
            "cluster calls the node not ready, and evicts its pods after five minutes.",
        ]
        if apart := [p for p in pods if _BRANCH in (p["metadata"].get("annotations") or {})]:
            notes.append(
                f"Pods on {machine.name} with security groups of their own have interfaces that stay as they are: "
                f"{words(listed([pod_name(p) for p in apart]))}."
            )
        return notes
