"""Label selectors, as the API server matches them.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.names import QUARANTINED_LABEL

LEAVES_OUT_QUARANTINED: dict[str, Any] = {"key": QUARANTINED_LABEL, "operator": "DoesNotExist"}
"""The expression that containment adds to every other policy (design: Isolation, 2)."""


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector takes labels in: `{}` takes all, None takes none.

    An operator that is not known counts as a match: whoever asks whether traffic may flow must err on that side.
    """
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(k) == v for k, v in wanted.items()) and all(
        _fulfils(e, labels) for e in selector.get("matchExpressions") or ()
    )


def leaves_out_quarantined(selector: Mapping[str, Any] | None) -> bool:
    """Whether a selector carries the expression of containment."""
    return any(_is_ours(e) for e in (selector or {}).get("matchExpressions") or ())


def with_expression(expressions: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """`matchExpressions` with the expression of containment at the end, once."""
    return [*(without_expression(expressions) or ()), dict(LEAVES_OUT_QUARANTINED)]


def without_expression(expressions: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """`matchExpressions` without the expression of containment; None when nothing else was there."""
    return [e for e in expressions or () if not _is_ours(e)] or None


def _is_ours(expression: Mapping[str, Any]) -> bool:
    return all(expression.get(key) == value for key, value in LEAVES_OUT_QUARANTINED.items())


def _fulfils(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression.get("key", ""))
    values = expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return True
