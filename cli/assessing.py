"""What `plan` asks of GuardDuty and the cluster: the reads of the activity `assess`, without its reservation.

Nothing can be changed on the way: the doors to the cluster and to AWS refuse every call that would.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from activities.assess.cluster import ClusterReader
from activities.assess.identify import Identified
from activities.assess.observing import Observation, observe
from activities.assess.pods import pod_target
from activities.assess.provenance import confirm, contradiction
from activities.assess.reading import Reader
from activities.doors import Doors
from cli.embedded import use_embedded_stack
from cli.output import Output
from cli.plan_screen import Previews
from cli.policy_file import load_policy_file
from cli.previewing import Affected, Previewer, read_only_doors
from clients.aws import Aws
from clients.kubernetes import POOL_SIZE, Kubernetes
from contracts.common import INLINE_LIMIT, PodTargets
from errors import PolicyRefusal
from findings.model import Finding
from plans.digest import targets_sha256
from plans.model import Gate, Plan, Verdict
from plans.observed import VPC_CNI, PodFacts, WorkloadFacts
from plans.planner import make_plan
from plans.policy import Policy
from settings import load_settings

_NOT_RESERVED = "The hourly budget was not asked: an incident reserves it, and waits for approval when it is spent."


def assess_without_acting(
    findings: Sequence[Finding], act_on_sample: bool, output: Output
) -> list[tuple[Plan, Previews]]:
    """Plan each finding with what GuardDuty and the cluster say now, and what each step would change.

    Raises:
        InputError: There is no cluster, or the policy file does not fit.
        Forbidden, Throttled, Unavailable: The cluster does not answer.
    """
    use_embedded_stack(output)
    settings = load_settings()
    policy = load_policy_file(settings.policy)
    kubernetes = Kubernetes.from_environment(before_mutation=_refuse)
    with ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="plan") as pool:
        aws = Aws(region=settings.region).guarded_by(_refuse)
        planner = _Planner(policy, read_only_doors(settings, kubernetes, aws), pool)
        return [planner.plan(finding, act_on_sample) for finding in findings]


class _Planner:
    def __init__(self, policy: Policy, doors: Doors, pool: ThreadPoolExecutor) -> None:
        self._settings = doors.settings
        self._policy = policy
        self._aws = doors.aws
        self._reader = Reader(doors.kubernetes, pool)
        self._cluster = ClusterReader(doors.kubernetes)
        self._previewer = Previewer(doors)

    def plan(self, received: Finding, act_on_sample: bool) -> tuple[Plan, Previews]:
        confirmation = confirm(self._aws, self._settings, received, self._policy.provenance.max_age)
        # As in an incident, GuardDuty's own copy is what is planned from.
        finding = confirmation.finding or received
        seen = self._observe(finding)
        sha256 = targets_sha256(p.uid for p in seen.pods) if len(seen.pods) > INLINE_LIMIT else ""
        observed = seen.observed(confirmation.provenance, most=INLINE_LIMIT, targets_sha256=sha256)
        plan = make_plan(finding, observed, self._policy, act_on_sample=act_on_sample)
        terms = plan.terms(Gate.CONTAIN)
        budget = _NOT_RESERVED if terms is not None and terms.decision is Verdict.AUTO else ""
        warnings = [w for w in (*confirmation.notes, *seen.notes, *plan.warnings, budget) if w]
        affected = _affected(seen, seen.pods, seen.workloads)
        of_image = _affected(seen, seen.images.pods, seen.images.workloads) if seen.images else affected
        previews = self._previewer.previews(plan, finding, affected, of_image)
        return plan.model_copy(update={"warnings": tuple(dict.fromkeys(warnings))}), previews

    def _observe(self, finding: Finding) -> Observation:
        if elsewhere := contradiction(finding, self._settings):
            return Observation(found=Identified(unresolved=elsewhere))
        return observe(self._reader, self._cluster, finding, _no_heartbeat)


def _affected(seen: Observation, pods: Sequence[PodFacts], workloads: tuple[WorkloadFacts, ...]) -> Affected:
    owner_needed = seen.cluster.cni == VPC_CNI
    inline = tuple(pod_target(p, owner_needed=owner_needed) for p in pods[:INLINE_LIMIT])
    return Affected(PodTargets(count=len(pods), inline=inline), workloads)


def _no_heartbeat() -> None:
    """A person waits here, no Temporal server."""


def _refuse() -> None:
    raise PolicyRefusal("a plan changes nothing")
