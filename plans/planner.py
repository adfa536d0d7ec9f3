"""Putting a plan together: routes, steps, decisions, the terms of each gate (design: Plan, gates, policy)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from findings.model import Finding
from findings.subject import subject_of
from plans.digest import gate_digest
from plans.drafts import Decided, Draft, decide
from plans.model import FindingSummary, Gate, GateTerms, Path, Plan, Verdict
from plans.observed import Observed
from plans.paths import configuration, image, node, pod, triage, user
from plans.policy import Policy
from plans.routing import Route
from plans.situation import Situation
from plans.warnings import warnings_of

UNBUILT_STEPS: Final = frozenset[str]()
"""Steps that no workflow carries out so far; they are planned and shown, never done."""

_STEPS: Final[dict[Path, Callable[[Situation], tuple[Draft, ...]]]] = {
    Path.CONFIGURATION: configuration.steps,
    Path.USER: user.steps,
    Path.POD: pod.steps,
    Path.IMAGE: image.steps,
    Path.NODE: node.steps,
    Path.TRIAGE: triage.steps,
}


def make_plan(
    finding: Finding,
    observed: Observed | None,
    policy: Policy,
    *,
    unbuilt: frozenset[str] = UNBUILT_STEPS,
    act_on_sample: bool = False,
) -> Plan:
    """What should be done about a finding. Never fails, whatever the finding says.

    Args:
        finding: The finding.
        observed: What GuardDuty and the cluster said. None plans offline: targets come from the finding alone, and
            decisions are those that hold if GuardDuty confirms it, the budget allows it and the cluster agrees; a
            warning says that none of this was checked.
        policy: What the operator allows.
        unbuilt: The steps that cannot be carried out yet: they are `never`.
        act_on_sample: Treat a sample finding as a real one.
    """
    situation = Situation(finding=finding, observed=observed, policy=policy)
    decided = [d for route in situation.routes for d in _decide_path(situation, route, unbuilt)]
    steps = tuple(d.step for d in decided)
    nothing_to_do = all(s.decision is Verdict.NEVER or s.gate is None for s in steps)
    return Plan(
        finding=_summary(finding),
        subject=subject_of(finding),
        paths=tuple(route.path for route in situation.routes),
        steps=steps,
        gates=_gates(decided),
        warnings=warnings_of(situation, steps, sample_ends_here=finding.sample and not act_on_sample),
        plan_only=nothing_to_do or (finding.sample and not act_on_sample),
    )


def _decide_path(situation: Situation, route: Route, unbuilt: frozenset[str]) -> Iterable[Decided]:
    for draft in _STEPS[route.path](situation):
        missing = f"{route.path.value}.{draft.action}" in unbuilt
        yield decide(
            situation,
            route.path,
            draft,
            doubt=route.doubt,
            unbuilt="Firebreak cannot carry out this step yet." if missing else "",
        )


def _gates(decided: list[Decided]) -> tuple[GateTerms, ...]:
    """The terms of every gate that guards a step which can be carried out, in the order in which gates are passed.

    One gate opens all its steps at once, so it is as strict as the strictest of them.
    """
    terms = []
    for gate in Gate:
        mine = [(d.step, d.ruling) for d in decided if d.step.gate is gate and d.ruling is not None]
        guarded = [(step, ruling) for step, ruling in mine if step.decision is not Verdict.NEVER]
        if not guarded:
            continue
        waits = [step for step, _ in guarded if step.decision is Verdict.APPROVAL]
        terms.append(
            GateTerms(
                gate=gate,
                decision=Verdict.APPROVAL if waits else Verdict.AUTO,
                reasons=_said_once(step.reason for step in waits or [step for step, _ in guarded]),
                approvals=max(ruling.approvals for _, ruling in guarded),
                deadline_seconds=min(ruling.deadline for _, ruling in guarded),
                digest=gate_digest((step for step, _ in guarded), gate),
            )
        )
    return tuple(terms)


def _summary(finding: Finding) -> FindingSummary:
    return FindingSummary(
        id=finding.id,
        type=finding.type,
        severity=finding.severity,
        account=finding.account,
        region=finding.region,
        cluster=finding.cluster.name if finding.cluster is not None else "",
        sample=finding.sample,
    )


def _said_once(reasons: Iterable[str]) -> tuple[str, ...]:
    """Each reason once, and none that another one begins with."""
    unique = list(dict.fromkeys(reasons))
    return tuple(r for r in unique if not any(other != r and other.startswith(r) for other in unique))
