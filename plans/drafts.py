"""From a path's intention to a step: the one place where a decision is made."""

from __future__ import annotations

from typing import NamedTuple

from plans import causes
from plans.digest import target_identity, targets_sha256
from plans.model import Gate, Path, Step, Target, Verdict
from plans.rulings import Circumstances, Ruling, keep_from_opening, rule_on
from plans.situation import Situation

MOST_TARGETS = 200
"""So many targets stand in a plan; the rest is a count and a hash (design: Incidents)."""


class Draft(NamedTuple):
    """A step before anybody has decided about it.

    Attributes:
        undo: One sentence: what undoes it, or that nothing does.
        gate: None for a step that only reads.
        causes: Why it must not open by itself; empty where the policy alone decides.
        never: Why it is not carried out at all, or empty.
        needs: What the approval must carry, as a sentence, or empty. A step that needs something never opens by
            itself.
        namespaces: Where it acts, for the policy's rules.
        total: How many targets there are, when it is more than `targets` holds.
        sha256: Of all targets, when `targets` is not all of them.
        proves: Whether containment of the path rests on the step.
    """

    action: str
    targets: tuple[Target, ...]
    undo: str
    gate: Gate | None = None
    causes: tuple[str, ...] = ()
    never: str = ""
    needs: str = ""
    namespaces: tuple[str, ...] = ()
    total: int = 0
    sha256: str = ""
    proves: bool = False


class Decided(NamedTuple):
    """A step, and the policy's terms for it; None where no gate guards it."""

    step: Step
    ruling: Ruling | None


def decide(s: Situation, path: Path, draft: Draft, *, doubt: str = "", unbuilt: str = "") -> Decided:
    """Decide about one step: first what cannot be, then the policy, last what no policy overrides.

    Args:
        s: The situation.
        path: The path of the step.
        draft: What the path intends.
        doubt: Why the path as a whole must be approved, or empty.
        unbuilt: Why the path as a whole is not carried out, or empty.
    """
    targets = tuple(sorted(draft.targets, key=lambda t: (t.namespace, t.name, t.uid)))
    sha256 = draft.sha256
    if len(targets) > MOST_TARGETS and not sha256:
        sha256 = targets_sha256(target_identity(t) for t in targets)
    ruling = _ruling(s, draft, doubt) if draft.gate is not None else None
    decision = ruling.mode if ruling is not None else Verdict.AUTO
    reason = ruling.reason if ruling is not None else "It only reads."
    if never := unbuilt or draft.never:
        decision, reason, ruling = Verdict.NEVER, never, None
    elif decision is Verdict.APPROVAL and draft.needs not in reason:
        reason = f"{reason} {draft.needs}"
    step = Step(
        step=f"{path.value}.{draft.action}",
        path=path,
        action=draft.action,
        targets=targets[:MOST_TARGETS],
        target_count=max(len(targets), draft.total),
        targets_sha256=sha256,
        gate=draft.gate,
        decision=decision,
        reason=reason,
        undo=draft.undo,
        proves=draft.proves,
    )
    return Decided(step, ruling)


def _ruling(s: Situation, draft: Draft, doubt: str) -> Ruling:
    assert draft.gate is not None
    cluster = s.finding.cluster.name if s.finding.cluster is not None else ""
    ruling = rule_on(
        s.policy,
        Circumstances(
            gate=draft.gate,
            severity=s.finding.severity,
            finding_type=s.finding.type,
            account=s.finding.account,
            cluster=cluster,
            namespaces=draft.namespaces,
        ),
    )
    general = [*causes.of_the_finding(s), *([doubt] if doubt else []), *draft.causes]
    return keep_from_opening(ruling, [*general, *([draft.needs] if draft.needs else [])])
