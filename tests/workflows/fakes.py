"""Activities that answer from a script instead of a cluster: for what only the workflows decide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from contracts.activities import (
    Assessment,
    AssessRequest,
    ChangeRequest,
    CollectRequest,
    CollectResult,
    DeletePodsRequest,
    HoldRequest,
    IsolateRequest,
    LeaseRequest,
    Proof,
    RedeployPlan,
    RedeployRequest,
    ReportRequest,
    ReportResult,
    RestoreRequest,
    RestoreResult,
    RolloutRequest,
    RolloutResult,
    SealRequest,
    StepResult,
    SweepRequest,
    SweepResult,
    VerifyRequest,
)
from contracts.changes import deny_all_change
from contracts.common import EvidenceState, PodTarget, PodTargets
from contracts.names import ActivityName
from contracts.states import Containment
from contracts.steps import VERBS, StepOutcome, StepPlan, StepRequest
from findings.model import Finding
from plans.model import Change, Plan, ResourceRef
from plans.observed import ContainerFacts, Observed, PodFacts, Provenance, WorkloadFacts
from plans.planner import make_plan
from plans.policy import Policy

WORKLOAD = ResourceRef(kind="Deployment", namespace="shop", name="checkout", uid="d-1")
ALL_BUT_PODS = frozenset((*VERBS, "image.quarantine", "image.collect", "image.delete_pods"))
"""What is left out where a test is about the path of the pods alone."""
IMAGE = "registry.example/shop/checkout@sha256:" + "b" * 64


def observed(*, confirmed: bool = True, pods: int = 2) -> Observed:
    facts = tuple(
        PodFacts(
            namespace="shop",
            name=f"checkout-{i}",
            uid=f"p-{i}",
            node="node-0",
            phase="Running",
            service_account="checkout",
            owner=WORKLOAD,
            workload=WORKLOAD,
            containers=(ContainerFacts(name="app", image="registry.example/shop/checkout:1"),),
        )
        for i in range(pods)
    )
    return Observed(
        provenance=Provenance(
            confirmed=confirmed, reason="GuardDuty returned it" if confirmed else "GuardDuty does not know it"
        ),
        pods=facts,
        pod_count=pods,
        workloads=(
            WorkloadFacts(ref=WORKLOAD, replicas=pods, ready=pods, images={"app": "registry.example/shop/checkout:1"}),
        ),
    )


@dataclass
class Script:
    """What the world answers. Each list is consumed from the front; its last entry repeats."""

    policy: Policy = field(default_factory=Policy)
    observed: Observed = field(default_factory=observed)
    proofs: list[Proof | Exception] = field(default_factory=list)
    isolations: list[StepResult] = field(default_factory=lambda: [StepResult(done=2)])
    rollouts: list[RolloutResult] = field(
        default_factory=lambda: [RolloutResult(complete=True, summary="2 of 2 updated")]
    )
    collects: list[CollectResult | Exception] = field(default_factory=lambda: [CollectResult(artefacts=3)])
    reports: list[ReportResult | Exception] = field(default_factory=list)
    assessments: list[Exception] = field(default_factory=list)
    restores: list[RestoreResult] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    paused: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    unbuilt: frozenset[str] = ALL_BUT_PODS
    plan: Plan | None = None
    """Instead of what the planner makes of the finding."""
    plans: dict[str, list[StepPlan | Exception]] = field(default_factory=dict)
    """By step: what `plan_step` answers; one change where nothing is said."""
    outcomes: dict[str, list[StepOutcome | Exception]] = field(default_factory=dict)
    """By step: what its activity answers; complete where nothing is said."""
    gate: dict[str, asyncio.Event] = field(default_factory=dict)
    """Activities, and steps that delete pods, that wait, once begun, until their event is set."""

    def called(self, name: ActivityName) -> list[Any]:
        return [request for n, request in self.calls if n == name.value]

    def did(self) -> list[str]:
        """The steps whose activities were called, in order."""
        return [request.step.step for name, request in self.calls if name in set(VERBS.values())]

    def order(self) -> list[str]:
        return [n for n, _ in self.calls]


def _next(script: list[Any], default: Callable[[], Any]) -> Any:
    value = (script.pop(0) if len(script) > 1 else script[0]) if script else default()
    if isinstance(value, Exception):
        raise value
    return value


def fail(code: str, message: str, retryable: bool = False) -> ApplicationError:
    return ApplicationError(message, type=code, non_retryable=not retryable)


def verified() -> Proof:
    return Proof(containment=Containment.VERIFIED, at=datetime.now(UTC), verified=2)


def incomplete(*reasons: str, missing: tuple[Change, ...] = ()) -> Proof:
    return Proof(containment=Containment.INCOMPLETE, at=datetime.now(UTC), reasons=reasons, missing=missing)


def planned(request: StepRequest, **more: Any) -> StepPlan:
    """One change of one object, named after the step."""
    step = request.step.step
    ref = ResourceRef(kind="ConfigMap", namespace="shop", name=step, uid=f"u-{step}")
    change = Change(step=step, resource=ref, summary=f"of {step}", before={"/x": 1}, after={"/x": 2}, held=True)
    return StepPlan(changes=(change,), **more)


def outcome(request: StepRequest, **more: Any) -> StepOutcome:
    """All is done, and proved where the step has to prove something."""
    proved = Containment.VERIFIED if request.step.proves else None
    return StepOutcome(complete=True, summary="done", containment=proved, at=datetime.now(UTC), **more)


def fake_activities(script: Script) -> Sequence[Callable[..., Any]]:
    """One fake an activity name."""

    async def begin(name: ActivityName, request: Any) -> None:
        script.calls.append((name.value, request))
        if name.value in script.gate:
            await script.gate[name.value].wait()

    @activity.defn(name=ActivityName.ASSESS)
    async def assess(request: AssessRequest) -> Assessment:
        await begin(ActivityName.ASSESS, request)
        if script.assessments:
            raise script.assessments.pop(0)
        finding: Finding = request.finding
        plan = script.plan or make_plan(
            finding, script.observed, script.policy, unbuilt=script.unbuilt, act_on_sample=request.act_on_sample
        )
        pods = tuple(
            PodTarget(namespace=p.namespace, name=p.name, uid=p.uid, node=p.node, workload=p.workload, static=p.static)
            for p in script.observed.pods
        )
        return Assessment(
            plan=plan,
            provenance=script.observed.provenance,
            pods=PodTargets(count=len(pods), inline=pods),
            changes=(deny_all_change("shop", "pod.quarantine"),),
            workloads=script.observed.workloads,
        )

    @activity.defn(name=ActivityName.ISOLATE_PODS)
    async def isolate(request: IsolateRequest) -> StepResult:
        await begin(ActivityName.ISOLATE_PODS, request)
        if script.paused:
            script.paused -= 1
            raise fail("Paused", "paused by an operator")
        return _next(script.isolations, StepResult)  # type: ignore[no-any-return]

    @activity.defn(name=ActivityName.VERIFY_CONTAINMENT)
    async def verify(request: VerifyRequest) -> Proof:
        await begin(ActivityName.VERIFY_CONTAINMENT, request)
        return _next(script.proofs, verified)  # type: ignore[no-any-return]

    @activity.defn(name=ActivityName.COLLECT_PODS)
    async def collect(request: CollectRequest) -> CollectResult:
        await begin(ActivityName.COLLECT_PODS, request)
        return _next(script.collects, CollectResult)  # type: ignore[no-any-return]

    @activity.defn(name=ActivityName.SEAL_EVIDENCE)
    async def seal(request: SealRequest) -> EvidenceState:
        await begin(ActivityName.SEAL_EVIDENCE, request)
        return EvidenceState(store="memory", artefacts=3, manifests=len(script.called(ActivityName.SEAL_EVIDENCE)))

    @activity.defn(name=ActivityName.ACQUIRE_LEASE)
    async def acquire(request: LeaseRequest) -> StepResult:
        await begin(ActivityName.ACQUIRE_LEASE, request)
        return StepResult(done=1)

    @activity.defn(name=ActivityName.RELEASE_LEASE)
    async def release_lease(request: LeaseRequest) -> StepResult:
        await begin(ActivityName.RELEASE_LEASE, request)
        return StepResult(done=1)

    @activity.defn(name=ActivityName.LIFT_HOLD)
    async def lift(request: HoldRequest) -> StepResult:
        await begin(ActivityName.LIFT_HOLD, request)
        return StepResult(done=2)

    @activity.defn(name=ActivityName.PLAN_REDEPLOY)
    async def plan_redeploy(request: RedeployRequest) -> RedeployPlan:
        await begin(ActivityName.PLAN_REDEPLOY, request)
        field_ = "/spec/template/spec/containers/0/image"
        change = Change(
            step=request.step, resource=WORKLOAD, summary="image", before={field_: "old"}, after={field_: request.image}
        )
        return RedeployPlan(changes=(change,))

    @activity.defn(name=ActivityName.REDEPLOY_WORKLOADS)
    async def redeploy(request: ChangeRequest) -> StepResult:
        await begin(ActivityName.REDEPLOY_WORKLOADS, request)
        return StepResult(done=1)

    @activity.defn(name=ActivityName.WATCH_ROLLOUT)
    async def watch(request: RolloutRequest) -> RolloutResult:
        await begin(ActivityName.WATCH_ROLLOUT, request)
        return _next(script.rollouts, lambda: RolloutResult(complete=True))  # type: ignore[no-any-return]

    @activity.defn(name=ActivityName.DELETE_PODS)
    async def delete(request: DeletePodsRequest) -> StepResult:
        await begin(ActivityName.DELETE_PODS, request)
        if request.step in script.gate:
            await script.gate[request.step].wait()
        return StepResult(done=2)

    @activity.defn(name=ActivityName.RESTORE_CHANGES)
    async def restore(request: RestoreRequest) -> RestoreResult:
        await begin(ActivityName.RESTORE_CHANGES, request)
        return _next(script.restores, lambda: RestoreResult(undone=tuple(c.key for c in request.changes)))  # type: ignore[no-any-return]

    @activity.defn(name=ActivityName.WRITE_REPORT)
    async def report(request: ReportRequest) -> ReportResult:
        await begin(ActivityName.WRITE_REPORT, request)
        return _next(  # type: ignore[no-any-return]
            script.reports, lambda: ReportResult(key="report/1.md", sha256="0", evidence=EvidenceState(manifests=99))
        )

    @activity.defn(name=ActivityName.SWEEP_HELD_OBJECTS)
    async def sweep(request: SweepRequest) -> SweepResult:
        await begin(ActivityName.SWEEP_HELD_OBJECTS, request)
        return SweepResult(broken=script.broken)

    @activity.defn(name=ActivityName.PLAN_STEP)
    async def plan_step(request: StepRequest) -> StepPlan:
        await begin(ActivityName.PLAN_STEP, request)
        return _next(script.plans.get(request.step.step, []), lambda: planned(request))  # type: ignore[no-any-return]

    def verb(name: ActivityName) -> Callable[..., Any]:
        @activity.defn(name=name)
        async def carry_out(request: StepRequest) -> StepOutcome:
            script.calls.append((name.value, request))
            # Several steps may share an activity, so a test makes a single one of them wait.
            if request.step.step in script.gate:
                await script.gate[request.step.step].wait()
            return _next(script.outcomes.get(request.step.step, []), lambda: outcome(request))  # type: ignore[no-any-return]

        return carry_out

    verbs = [verb(name) for name in sorted(set(VERBS.values()))]
    return (*verbs, plan_step, assess, isolate, verify, collect, seal, acquire, release_lease, lift, plan_redeploy,
            redeploy, watch, delete, restore, report, sweep)  # fmt: skip
