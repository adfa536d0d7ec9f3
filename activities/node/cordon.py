"""The activities `cordon_node` and `protect_node`: nothing new lands on a node, and nobody replaces its machine.

Sources: https://docs.aws.amazon.com/eks/latest/best-practices/incident-response-and-forensics.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html,
https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md,
https://karpenter.sh/docs/concepts/disruption/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from temporalio import activity

from activities.isolation.fields import field_value
from activities.isolation.walk import failure_of
from activities.node.kinds import PROTECTED, SCALE_IN
from activities.node.machine import Machine, live_node, look_at_all
from activities.steps import Planner, StepRoom
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.states import Containment
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import Forbidden, InputError
from plans.model import Change, ResourceRef
from plans.situation import words

UNSCHEDULABLE: Final = "/spec/unschedulable"
_ANNOTATIONS: Final = {
    "/metadata/annotations/cluster-autoscaler.kubernetes.io~1scale-down-disabled": "true",
    "/metadata/annotations/karpenter.sh~1do-not-disrupt": "true",
}
_TAG: Final = "/Tags/firebreak.dev:contained"


class CordonActivities(StepRoom):
    """Cordons and protects nodes."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"node.cordon": self._plan_cordon, "node.protect": self._plan_protect}

    @activity.defn(name=ActivityName.CORDON_NODE, no_thread_cancel_exception=True)
    def cordon_node(self, request: StepRequest) -> StepOutcome:
        """Make the nodes unschedulable, then read each again.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a node, stands in the way; a retry goes on.
        """
        made = self._make(request)
        nodes = [(t, live_node(self._doors.kubernetes, t)) for t in request.step.targets]
        there = [(words(t.name), node) for t, node in nodes if node is not None]
        gone = [words(t.name) for t, node in nodes if node is None]
        open_ones = [name for name, node in there if not field_value(node, UNSCHEDULABLE)]
        verdict = Containment.INCOMPLETE if open_ones or made.failures else Containment.VERIFIED
        return StepOutcome(
            complete=verdict is Containment.VERIFIED,
            summary=_summary(len(there) - len(open_ones), gone),
            failures=made.failures,
            containment=verdict if there else verdict_without_targets(request),
            at=datetime.now(UTC),
            reasons=tuple(f"The node {name} still takes new pods." for name in open_ones),
            proposals=tuple(
                f"The node {name} only takes no new pods: its network stays until node.isolate is approved, and its "
                "own kubelet could make it schedulable again, which the sweep notices within a minute."
                for name, _ in there
            )[:20],
        )

    @activity.defn(name=ActivityName.PROTECT_NODE, no_thread_cancel_exception=True)
    def protect_node(self, request: StepRequest) -> StepOutcome:
        """Protect the nodes from replacement, then read again what stands.

        Raises:
            Paused, Throttled, Unavailable: A service, not a node, stands in the way; a retry goes on.
        """
        made = self._make(request)
        open_ones = [str(c.resource) for c in request.changes if not self._engine.stands(c)]
        return StepOutcome(
            complete=not open_ones and not made.failures,
            summary=f"{made.stand} protections stand: annotations, termination, scale-in, tag",
            failures=made.failures,
            notes=tuple(f"{words(name)} is not protected." for name in open_ones),
        )

    def _plan_cordon(self, request: StepRequest) -> StepPlan:
        changes, notes = [], []
        for target in request.step.targets:
            node = live_node(self._doors.kubernetes, target)
            if node is None:
                notes.append(f"The node {words(target.name)} is gone.")
            elif field_value(node, UNSCHEDULABLE):
                notes.append(f"The node {words(target.name)} takes no new pods already; what others did stays theirs.")
            else:
                before = field_value(node, UNSCHEDULABLE)
                changes.append(cordon_change(request.step.step, target.name, target.uid, before))
        return StepPlan(changes=tuple(changes), notes=tuple(notes))

    def _plan_protect(self, request: StepRequest) -> StepPlan:
        step = request.step.step
        changes: list[Change] = []
        notes: list[str] = []
        failures: list[Failure] = []
        for machine in look_at_all(self._doors, request.step.targets):
            changes += _annotations(step, machine)
            if machine.denied:
                failures.append(failure_of(step, machine.instance_id, Forbidden(machine.closed)))
                continue
            try:
                changes += self._machine_changes(step, machine, notes)
            except (Forbidden, InputError) as error:
                failures.append(failure_of(step, machine.instance_id, error))
        skip = "" if changes or failures else "Nothing is to be protected: it stands already, or the nodes are gone."
        return StepPlan(changes=tuple(changes), failures=tuple(failures), notes=tuple(notes), skip=skip)

    def _machine_changes(self, step: str, machine: Machine, notes: list[str]) -> Iterator[Change]:
        """What EC2 and its Auto Scaling can do."""
        if machine.closed or machine.ended:
            notes.append(machine.closed or f"The instance {machine.instance_id} is {machine.state} already.")
            return
        aws, ref = self._doors.aws, ResourceRef(kind="Instance", name=machine.instance_id)
        if "firebreak.dev:contained" not in machine.tags:
            yield Change(
                step=step, resource=ref, summary="tagged as contained", before={_TAG: None}, after={_TAG: "true"}
            )
        if machine.spot:
            notes.append(f"{machine.name} is a Spot instance: AWS takes it back at will, and no protection exists.")
        elif not aws.ec2.termination_protected(machine.instance_id):
            yield Change(
                step=step,
                resource=ref,
                summary="termination by the API refused",
                before={PROTECTED: False},
                after={PROTECTED: True},
            )
        member = aws.autoscaling.instance(machine.instance_id)
        if member is None:
            notes.append(f"The instance of {machine.name} is in no Auto Scaling group.")
            return
        group = str(member["AutoScalingGroupName"])
        notes.append(
            f"The group {words(group)} may still replace {machine.name} for bad health; only standby prevents that."
        )
        if not member["ProtectedFromScaleIn"]:
            yield Change(
                step=step,
                resource=ResourceRef(kind="ScalingInstance", namespace=group, name=machine.instance_id),
                summary="protected from scale-in",
                before={SCALE_IN: False},
                after={SCALE_IN: True},
            )


def verdict_without_targets(request: StepRequest) -> Containment | None:
    """A proof over nothing proves nothing (docs/decisions/0007); what was proved before stays proved."""
    proved = any(c.step == request.step.step for c in request.made)
    return None if proved else Containment.NOT_APPLICABLE


def cordon_change(step: str, name: str, uid: str, before: bool | None) -> Change:
    """The change that keeps new pods off a node."""
    return Change(
        step=step,
        resource=ResourceRef(kind="Node", name=name, uid=uid),
        summary="takes no new pods",
        before={UNSCHEDULABLE: before},
        after={UNSCHEDULABLE: True},
    )


def _annotations(step: str, machine: Machine) -> Iterator[Change]:
    if machine.node is None:
        return
    now = {field: field_value(machine.node, field) for field in _ANNOTATIONS}
    wanted = {field: value for field, value in _ANNOTATIONS.items() if now[field] != value}
    if wanted:
        yield Change(
            step=step,
            resource=machine.ref,
            summary="kept from Cluster Autoscaler and Karpenter",
            before={field: now[field] for field in wanted},
            after=dict(wanted),
        )


def _summary(count: int, gone: list[str]) -> str:
    said = f"{count} node takes no new pods" if count == 1 else f"{count} nodes take no new pods"
    return f"{said}; gone already: {', '.join(gone[:5])}" if gone else said
