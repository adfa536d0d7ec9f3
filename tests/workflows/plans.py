"""Plans made by hand, for what happens between steps whatever the planner drafts."""

from __future__ import annotations

from findings.subject import Subject, SubjectKind
from plans.digest import gate_digest
from plans.model import FindingSummary, Gate, GateTerms, Path, Plan, Step, Target, TargetKind, Verdict

AUTO, ASKS = Verdict.AUTO, Verdict.APPROVAL


def a_step(name: str, gate: Gate | None = None, decision: Verdict = AUTO, *, proves: bool = False) -> Step:
    path, _, action = name.partition(".")
    return Step(
        step=name,
        path=Path(path),
        action=action,
        targets=(Target(kind=TargetKind.SUBJECT, name="web", namespace="shop"),),
        target_count=1,
        gate=gate,
        decision=decision,
        reason="The test says so.",
        undo="The test says how.",
        proves=proves,
    )


def a_plan(*steps: Step) -> Plan:
    gates = []
    for gate in Gate:
        mine = [s for s in steps if s.gate is gate]
        if mine:
            asks = any(s.decision is ASKS for s in mine)
            digest = gate_digest(mine, gate)
            gates.append(GateTerms(gate=gate, decision=ASKS if asks else AUTO, reasons=("It is.",), digest=digest))
    return Plan(
        finding=FindingSummary(id="f", type="t", severity=8.0, account="1", region="r", cluster="c", sample=False),
        subject=Subject(kind=SubjectKind.NONE),
        paths=tuple(p for p in Path if any(s.path is p for s in steps)),
        steps=steps,
        gates=tuple(gates),
    )
