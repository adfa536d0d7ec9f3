"""The activity `assess`: provenance, targets, before-state and policy become the plan of an incident.

It reads, writes a long list of targets into the evidence, and reserves budget; nothing of anybody else's is changed.
Its result stands in history before anything is changed: it is the write-ahead log of containment.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.assess.budget import Budget
from activities.assess.cluster import ClusterReader
from activities.assess.identify import Identified
from activities.assess.observing import Observation, observe
from activities.assess.pods import pod_target
from activities.assess.policy_file import PolicyFile
from activities.assess.provenance import Confirmation, confirm, contradiction
from activities.assess.reading import Reader
from activities.assess.surroundings import IMAGE_QUARANTINE_STEP, QUARANTINE_STEP, planned_changes
from activities.assess.target_list import carry_targets
from activities.doors import Doors
from clients.kubernetes import POOL_SIZE
from contracts.activities import Assessment, AssessRequest
from contracts.common import INLINE_LIMIT, PodTarget
from contracts.names import ActivityName
from findings.model import Finding
from plans.digest import targets_sha256
from plans.model import Change, Gate, Plan, Verdict
from plans.observed import VPC_CNI, PodFacts, WorkloadFacts
from plans.paths.pod import PATCHABLE
from plans.planner import make_plan
from plans.policy import Policy


class Assessing:
    """Assesses findings for one installation.

    Raises:
        InputError: The policy file does not fit; so the worker does not start.
    """

    def __init__(self, doors: Doors, cluster: ClusterReader | None = None) -> None:
        self._doors = doors
        self._policy = PolicyFile(doors.settings.policy)
        self._cluster = cluster or ClusterReader(doors.kubernetes)
        self._budget = Budget(doors.kubernetes, doors.settings.namespace)
        self._pool = ThreadPoolExecutor(max_workers=POOL_SIZE, thread_name_prefix="assess")

    def close(self) -> None:
        """End the threads; no assessment may run any more."""
        self._pool.shutdown()

    @activity.defn(name=ActivityName.ASSESS, no_thread_cancel_exception=True)
    def assess(self, request: AssessRequest) -> Assessment:
        """Find out what a finding means here and now, and plan.

        Whatever the finding says, the outcome is a plan: what is refused or cannot be found stands in it with a reason.

        Raises:
            Conflict, Throttled, Unavailable: The cluster does not answer; a retry may succeed.
            EvidenceError: The targets are too many for the history, and the evidence store refuses their list.
        """
        policy, policy_warning = self._policy.current()
        confirmation, finding, seen = self._look(request.finding, policy)
        targets = self._targets(seen)
        carried, store_warning = carry_targets(self._doors.store, request.incident, targets)
        of_image = [] if seen.images is None else [self._target(p, seen) for p in seen.images.pods]
        image_pods, image_warning = carry_targets(self._doors.store, request.incident, of_image)
        plan = self._plan(request, finding, seen, confirmation, policy)
        warnings = [w for w in (policy_warning, *confirmation.notes, store_warning, image_warning, *seen.notes) if w]
        return Assessment(
            plan=plan.model_copy(update={"warnings": tuple(dict.fromkeys((*warnings, *plan.warnings)))}),
            provenance=confirmation.provenance,
            cluster=seen.cluster,
            pods=carried,
            changes=_changes(plan, seen),
            workloads=seen.workloads,
            policy_digest=policy.digest,
            evidence_store=self._doors.store.location,
            image_pods=image_pods,
            image_changes=_image_changes(plan, seen),
            image_workloads=_image_workloads(seen),
            node_view_image=policy.node_view_image,
        )

    def _look(self, received: Finding, policy: Policy) -> tuple[Confirmation, Finding, Observation]:
        """Ask GuardDuty and the cluster at once. The cluster is asked again when GuardDuty means something else."""
        aws, settings = self._doors.aws, self._doors.settings
        asking = self._pool.submit(confirm, aws, settings, received, policy.provenance.max_age)
        seen = self._observe(received)
        confirmation = asking.result()
        _beat()
        finding = confirmation.finding or received
        if confirmation.notes:
            seen = self._observe(finding)
        return confirmation, finding, seen

    def _observe(self, finding: Finding) -> Observation:
        if elsewhere := contradiction(finding, self._doors.settings):
            # The same names in another cluster are other objects: none of ours is even proposed.
            return Observation(found=Identified(unresolved=elsewhere))
        return observe(Reader(self._doors.kubernetes, self._pool), self._cluster, finding, _beat)

    def _targets(self, seen: Observation) -> list[PodTarget]:
        return [self._target(pod, seen) for pod in seen.pods]

    @staticmethod
    def _target(pod: PodFacts, seen: Observation) -> PodTarget:
        return pod_target(pod, owner_needed=seen.cluster.cni == VPC_CNI)

    def _plan(
        self, request: AssessRequest, finding: Finding, seen: Observation, confirmation: Confirmation, policy: Policy
    ) -> Plan:
        """Plan; and if containment would begin by itself, reserve it, or plan again without."""
        sha256 = targets_sha256(p.uid for p in seen.pods) if len(seen.pods) > INLINE_LIMIT else ""
        observed = seen.observed(confirmation.provenance, most=INLINE_LIMIT, targets_sha256=sha256)
        plan = make_plan(finding, observed, policy, act_on_sample=request.act_on_sample)
        if not _begins_by_itself(plan):
            return plan
        namespaces = sorted({p.namespace for p in (*seen.pods, *(seen.images.pods if seen.images else ()))})
        refusal = self._budget.reserve(request.incident, namespaces, policy.budget.containments_per_hour)
        if not refusal:
            return plan
        observed = observed.model_copy(update={"budget_refusal": refusal})
        return make_plan(finding, observed, policy, act_on_sample=request.act_on_sample)


def _begins_by_itself(plan: Plan) -> bool:
    """Whether anything is contained without anybody being asked: steps do not wait for others of the same gate."""
    return not plan.plan_only and any(s.gate is Gate.CONTAIN and s.decision is Verdict.AUTO for s in plan.steps)


def _changes(plan: Plan, seen: Observation) -> tuple[Change, ...]:
    if not _planned(plan, QUARANTINE_STEP):
        return ()
    return planned_changes(seen.policies, {p.namespace for p in seen.pods})


def _image_changes(plan: Plan, seen: Observation) -> tuple[Change, ...]:
    if seen.images is None or not _planned(plan, IMAGE_QUARANTINE_STEP):
        return ()
    namespaces = {p.namespace for p in seen.images.pods}
    return planned_changes(seen.images.policies, namespaces, IMAGE_QUARANTINE_STEP)


def _image_workloads(seen: Observation) -> tuple[WorkloadFacts, ...]:
    return tuple(w for w in seen.images.workloads if w.ref.kind in PATCHABLE) if seen.images is not None else ()


def _planned(plan: Plan, step: str) -> bool:
    return any(s.step == step and s.decision is not Verdict.NEVER for s in plan.steps)


def _beat() -> None:
    """Say that the assessment moves, and stop if nobody waits for it any more."""
    activity.heartbeat()
    if activity.is_cancelled():
        raise CancelledError("nobody waits for the assessment any more")
