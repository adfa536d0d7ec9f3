"""Digests: what a decision names, so that nobody approves one thing and gets another (design: Plan, gates, policy)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from pydantic import JsonValue

from plans.model import Gate, Step, Target, Verdict


def gate_digest(steps: Iterable[Step], gate: Gate) -> str:
    """The digest of what one gate of a plan guards.

    It covers, of the gate's steps in their order: path, action, the identities of the targets, and undo. A step that
    is never carried out is not guarded and does not enter; neither does a reworded reason or another gate's step.

    Args:
        steps: The steps of the plan, of all gates.
        gate: The gate.

    Returns:
        `sha256:` and 64 hex digits, over canonical JSON: sorted keys, no spaces, UTF-8.
    """
    return canonical_digest([_guarded(s) for s in steps if s.gate is gate and s.decision is not Verdict.NEVER])


def _guarded(step: Step) -> dict[str, JsonValue]:
    content: dict[str, JsonValue] = {
        "path": step.path.value,
        "action": step.action,
        "targets": [*sorted(target_identity(t) for t in step.targets)],
        "undo": step.undo,
    }
    if step.targets_sha256:
        content["target_count"] = step.target_count
        content["targets_sha256"] = step.targets_sha256
    return content


def canonical_digest(value: object) -> str:
    """`sha256:…` of a value's canonical JSON: sorted keys, no spaces, UTF-8 without escapes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate is legal in JSON text and has no UTF-8; it is kept apart from "?" by escaping it.
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}"


def target_identity(target: Target) -> str:
    """What a target is told apart by: its uid, else (an image, a subject, a plan made offline) kind and name."""
    return target.uid or f"{target.kind.value}:{target.namespace}/{target.name}"


def targets_sha256(identities: Iterable[str]) -> str:
    """The hash of a list of targets that is too long for a plan, over the sorted uids, one a line.

    `assess` puts it into `Observed.targets_sha256`, so that a decision covers the targets beyond the first 200 too.

    Returns:
        64 hex digits.
    """
    return hashlib.sha256("\n".join(sorted(identities)).encode("utf-8", "backslashreplace")).hexdigest()
