"""What the policy says of one step: its gate's defaults, the rules, and what keeps a step from opening by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeVar

from findings.text import cleaned
from plans.model import Gate, Verdict
from plans.policy import GateDefaults, Policy, Rule, When

_STRICTNESS = {Verdict.AUTO: 0, Verdict.APPROVAL: 1, Verdict.NEVER: 2}
T = TypeVar("T")


class Circumstances(NamedTuple):
    """What rules look at. `namespaces` are those of the step's targets; empty for a step outside of any."""

    gate: Gate
    severity: float
    finding_type: str
    account: str
    cluster: str
    namespaces: tuple[str, ...] = ()


class Ruling(NamedTuple):
    """What the policy decides.

    Attributes:
        deadline: In seconds.
        reason: One or two sentences.
        but_for_severity: The mode is `approval` only because the finding is not severe enough for `auto`.
    """

    mode: Verdict
    approvals: int
    deadline: int
    reason: str
    but_for_severity: bool = False


def rule_on(policy: Policy, circumstances: Circumstances) -> Ruling:
    """Decide one step.

    A step over several namespaces is decided for each of them, and the strictest ruling holds: never before approval
    before auto, two approvals before one, the shorter deadline. So neither a rule that loosens one namespace nor a
    target in a loose one loosens another.
    """
    rulings = [_rule_in(policy, circumstances, namespace) for namespace in circumstances.namespaces or (None,)]
    strictest = max(rulings, key=lambda r: _STRICTNESS[r.mode])
    return strictest._replace(
        approvals=max(r.approvals for r in rulings),
        deadline=min(r.deadline for r in rulings),
    )


def keep_from_opening(ruling: Ruling, causes: Sequence[str]) -> Ruling:
    """Turn `auto` into `approval` if there is any cause; every cause is said.

    Nothing in a policy stands above a cause: rules are applied before, never after (design: What turns auto into
    approval). Approval and never stay what they are.
    """
    if not causes or not (ruling.mode is Verdict.AUTO or ruling.but_for_severity):
        return ruling
    said = [ruling.reason, *causes] if ruling.but_for_severity else causes
    return ruling._replace(mode=Verdict.APPROVAL, reason=" ".join(dict.fromkeys(said)))


def _rule_in(policy: Policy, about: Circumstances, namespace: str | None) -> Ruling:
    defaults = policy.gate(about.gate)
    matching = [(i, rule) for i, rule in enumerate(policy.rules) if _matches(rule.when, about, namespace)]
    approvals = _first(matching, lambda rule: rule.set.approvals)
    deadline = _first(matching, lambda rule: rule.set.deadline)
    mode = _first(matching, lambda rule: rule.set.mode)
    if mode is None:
        decided, reason = _by_default(defaults, about)
    else:
        index, decided = mode
        why = cleaned(policy.rules[index].reason, 300).strip().rstrip(".")
        reason = f"rules[{index}] of the policy says {decided.value}{': ' + why if why else ''}."
    return Ruling(
        mode=decided,
        approvals=approvals[1] if approvals is not None else defaults.approvals,
        deadline=deadline[1] if deadline is not None else defaults.deadline,
        reason=reason,
        but_for_severity=mode is None and defaults.mode is Verdict.AUTO and decided is not Verdict.AUTO,
    )


def _by_default(defaults: GateDefaults, about: Circumstances) -> tuple[Verdict, str]:
    gate = about.gate.value
    if defaults.mode is not Verdict.AUTO:
        says = "waits for approval" if defaults.mode is Verdict.APPROVAL else "is never carried out"
        return defaults.mode, f"The gate {gate} {says} by default."
    from_, severity = f"{defaults.auto_from_severity:g}", f"{about.severity:g}"
    if about.severity < defaults.auto_from_severity:
        return Verdict.APPROVAL, f"Severity {severity} is below {from_}, from which the gate {gate} opens by itself."
    return Verdict.AUTO, f"The gate {gate} opens by itself from severity {from_}; this finding has {severity}."


def _first(rules: Sequence[tuple[int, Rule]], key: Callable[[Rule], T | None]) -> tuple[int, T] | None:
    for index, rule in rules:
        value = key(rule)
        if value is not None:
            return index, value
    return None


def _matches(when: When, about: Circumstances, namespace: str | None) -> bool:
    return (
        (when.gates is None or about.gate in when.gates)
        and (when.severity_at_least is None or about.severity >= when.severity_at_least)
        and (when.severity_below is None or about.severity < when.severity_below)
        and (when.namespaces is None or (namespace is not None and matches_any(namespace, when.namespaces)))
        and (when.accounts is None or about.account in when.accounts)
        and (when.clusters is None or matches_any(about.cluster, when.clusters))
        and (when.finding_types is None or matches_any(about.finding_type, when.finding_types))
    )


def matches_any(text: str, globs: Sequence[str]) -> bool:
    """Whether a text matches one of the globs (`*`, `?`, `[…]`; upper and lower case differ)."""
    return any(fnmatchcase(text, glob) for glob in globs)
