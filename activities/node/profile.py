"""The activity `replace_profile`: the machine loses its role (guide P9).

Taking the profile away is enough, and can be undone; an empty profile in its place would be one more thing to own.
Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisassociateIamInstanceProfile.html
"""

from __future__ import annotations

from collections.abc import Mapping

from temporalio import activity

from activities.node.kinds import PROFILE
from activities.node.machine import Machine, look_at_all
from activities.steps import Planner, StepRoom
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from plans.model import Change, ResourceRef
from plans.situation import words


class ProfileActivities(StepRoom):
    """Takes roles from machines."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"node.replace_profile": self._plan}

    @activity.defn(name=ActivityName.REPLACE_PROFILE, no_thread_cancel_exception=True)
    def replace_profile(self, request: StepRequest) -> StepOutcome:
        """Take the profile away, then read the associations again.

        Raises:
            Paused, Throttled, Unavailable: EC2, not a machine, stands in the way; a retry goes on.
        """
        made = self._make(request)
        held = [
            f"{m.name} still carries {words(association['IamInstanceProfile']['Arn'])}."
            for m in look_at_all(self._doors, request.step.targets)
            if not m.closed and not m.ended and (association := self._doors.aws.ec2.profile(m.instance_id))
        ]
        return StepOutcome(
            complete=not held and not made.failures,
            summary=f"{made.stand} machines without a role; credentials that were handed out end within hours",
            failures=made.failures,
            notes=tuple(held),
        )

    def _plan(self, request: StepRequest) -> StepPlan:
        step = request.step.step
        changes: list[Change] = []
        notes: list[str] = []
        failures: list[Failure] = []
        for machine in look_at_all(self._doors, request.step.targets):
            if machine.denied:
                failures.append(Failure(step=step, target=machine.name, code="Forbidden", message=machine.closed))
            elif machine.closed or machine.ended:
                notes.append(machine.closed or f"The instance {machine.instance_id} is {machine.state} already.")
            elif (association := self._doors.aws.ec2.profile(machine.instance_id)) is not None:
                arn = str(association["IamInstanceProfile"]["Arn"])
                changes.append(_change(step, machine, arn))
                notes += _notes(machine, arn)
        skip = "" if changes or failures else " ".join(["No machine carries a role that could be taken.", *notes])
        return StepPlan(changes=tuple(changes), failures=tuple(failures), notes=tuple(notes), skip=skip)


def _change(step: str, machine: Machine, arn: str) -> Change:
    return Change(
        step=step,
        resource=ResourceRef(kind="InstanceProfile", name=machine.instance_id),
        summary=f"{machine.name} loses {arn.rpartition('/')[2]}",
        before={PROFILE: arn},
        after={PROFILE: None},
    )


def _notes(machine: Machine, arn: str) -> list[str]:
    return [
        f"The kubelet of {machine.name} loses its identity with the role: it cannot pull images from ECR, the network "
        "plugin cannot assign addresses, and the node ends up not ready.",
        f"Other nodes keep {words(arn.rpartition('/')[2])}: what was stolen of it works until it expires, and only "
        "revoking the sessions of the role ends it, for all of them.",
    ]
