"""What `plan` says of each step: what it would change now, read by the planner that an incident would ask."""

from __future__ import annotations

from typing import NamedTuple, cast

from temporalio.client import Client

from activities.doors import Doors
from activities.registry import planning
from cli.plan_screen import Previews
from clients.aws import Aws
from clients.kubernetes import Kubernetes
from contracts.common import IncidentKey, PodTargets
from contracts.names import incident_id
from contracts.steps import StepRequest
from errors import FirebreakError
from evidence.store import open_store
from findings.model import Finding
from plans.model import Path, Plan, Step, Verdict
from plans.observed import WorkloadFacts
from settings import Settings


def read_only_doors(settings: Settings, kubernetes: Kubernetes, aws: Aws) -> Doors:
    """Doors through which nothing can be changed, given a cluster and an account that refuse it.

    Planners talk to no workflow, so there is no client of Temporal behind its door; and none of them writes evidence.
    """
    return Doors(
        settings=settings,
        kubernetes=kubernetes,
        bindings=kubernetes,
        aws=aws,
        store=open_store(settings.evidence, aws.s3 if settings.evidence.startswith("s3://") else None),
        temporal=cast(Client, None),
    )


class Affected(NamedTuple):
    """The pods of a path, and the workloads behind them."""

    pods: PodTargets
    workloads: tuple[WorkloadFacts, ...]


class Previewer:
    """Asks the planners of the steps.

    Args:
        doors: Refusing every change.
    """

    def __init__(self, doors: Doors) -> None:
        self._planning = planning(doors)

    def previews(self, plan: Plan, finding: Finding, affected: Affected, of_image: Affected) -> Previews:
        """The sentences of each step that would be carried out and has a planner.

        Args:
            plan: The plan.
            finding: What it is about.
            affected: The pods that it contains, and their workloads.
            of_image: The same of the image path, which has pods of its own.
        """
        key = IncidentKey(workflow_id=incident_id(finding.account, finding.region, finding.id), run_id="")
        found: Previews = {}
        for step in plan.steps:
            if plan.plan_only or step.decision is Verdict.NEVER or step.step not in self._planning.steps:
                continue
            mine = of_image if step.path is Path.IMAGE else affected
            request = StepRequest(incident=key, step=step, finding=finding, pods=mine.pods, workloads=mine.workloads)
            if said := self._of(step, request):
                found[step.step] = said
        return found

    def _of(self, step: Step, request: StepRequest) -> tuple[str, ...]:
        try:
            return self._planning.plan_step(request).sentences()
        except FirebreakError as error:
            # A plan without one preview is still a plan; what is missing is said.
            return (f"what it would change cannot be read: {error.message}",)
