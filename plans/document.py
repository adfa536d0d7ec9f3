"""The document that `firebreak plan --json` prints (design: CLI contract)."""

from __future__ import annotations

from pydantic import JsonValue

from plans.model import GateTerms, Plan, Step, Target


def plan_document(plan: Plan) -> dict[str, JsonValue]:
    """The plan as plain JSON data with stable keys.

    Beside the contract's `finding`, `subject`, `paths`, `steps` and `digests` it has `gates`, `warnings` and
    `plan_only`.
    """
    return {
        "finding": plan.finding.model_dump(mode="json"),
        "subject": {
            "kind": plan.subject.kind.value,
            "name": plan.subject.name,
            "namespace": plan.subject.namespace,
            "username": plan.subject.username,
            "impersonated": plan.subject.impersonated,
        },
        "paths": [path.value for path in plan.paths],
        "steps": [_step(step) for step in plan.steps],
        "digests": {terms.gate.value: terms.digest for terms in plan.gates},
        "gates": [_gate(terms) for terms in plan.gates],
        "warnings": [*plan.warnings],
        "plan_only": plan.plan_only,
    }


def _step(step: Step) -> dict[str, JsonValue]:
    return {
        "step": step.step,
        "path": step.path.value,
        "action": step.action,
        "targets": [_target(target) for target in step.targets],
        "target_count": step.target_count,
        "gate": step.gate.value if step.gate is not None else None,
        "decision": step.decision.value,
        "reason": step.reason,
        "undo": step.undo,
    }


def _target(target: Target) -> dict[str, JsonValue]:
    return {
        "kind": target.kind.value,
        "namespace": target.namespace,
        "name": target.name,
        "uid": target.uid,
        "node": target.node,
    }


def _gate(terms: GateTerms) -> dict[str, JsonValue]:
    return {
        "gate": terms.gate.value,
        "decision": terms.decision.value,
        "reasons": [*terms.reasons],
        "approvals": terms.approvals,
        "deadline_seconds": terms.deadline_seconds,
        "digest": terms.digest,
    }
