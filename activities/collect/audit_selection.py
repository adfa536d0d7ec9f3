"""Which events of an audit log are kept: a filter pattern for CloudWatch, and the decision about each event.

Usernames and names of objects are chosen by attackers. The pattern therefore asks with plain characters only, between
quotes that nothing can close; from the first other character on a wildcard stands for the rest. So CloudWatch answers
with all that is wanted and perhaps more, and `wanted` alone decides.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html and
https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from clients.aws.logs import LONGEST_PATTERN
from clients.kubernetes import JsonObject

_PLAIN: Final = re.compile(r"[A-Za-z0-9:._@/+=,#-]*", re.ASCII)
_LONGEST_TEXT: Final = 400
_OF_A_POD: Final = "authentication.kubernetes.io/pod-uid"
"""In `user.extra` of whoever came with a token that is bound to a pod.
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens"""

PodName = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Selection:
    """What is asked for and what is kept.

    Attributes:
        pattern: For FilterLogEvents; "" asks for everything.
        wanted: Whether an event is kept.
    """

    pattern: str
    wanted: Callable[[JsonObject], bool]


def of_user(username: str) -> Selection:
    """What somebody did whom the API server knew under a name."""
    condition = _equal("$.user.username", username)
    return Selection(_pattern(condition), lambda event: _mapping(event.get("user")).get("username") == username)


def of_access_key(key_id: str) -> Selection:
    """What was done with an access key; EKS writes it beside the name of the user."""

    def wanted(event: JsonObject) -> bool:
        return key_id in _extra(event, "accessKeyId")

    return Selection(_pattern(_equal("$.user.extra.accessKeyId[0]", key_id)), wanted)


def of_pods(pods: Mapping[PodName, frozenset[str]]) -> Selection:
    """What was done to some pods, and what they did with their own tokens.

    Args:
        pods: The uids by namespace and name.
    """
    uids = frozenset().union(*pods.values())

    def wanted(event: JsonObject) -> bool:
        if uids.intersection(_extra(event, _OF_A_POD)):
            return True
        about = _mapping(event.get("objectRef"))
        if about.get("resource") != "pods":
            return False
        found = pods.get((str(about.get("namespace") or ""), str(about.get("name") or "")))
        # Another pod may have stood under the name; where the event does not say which it was, it is kept.
        return found is not None and str(about.get("uid") or "") in ("", *found)

    # Each asks for less than the one behind it; the first that is short enough is taken.
    return Selection(next((p for p in _of_pods(pods) if p), ""), wanted)


def _of_pods(pods: Iterable[PodName]) -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for namespace, name in sorted(pods):
        names.setdefault(namespace, []).append(name)
    is_pod = '($.objectRef.resource = "pods")'
    there = {ns: _equal("$.objectRef.namespace", ns) for ns in names}
    # The key of a pod's uid holds characters that no selector takes; the namespaces of the accounts narrow it enough.
    did = [_equal("$.user.username", f"system:serviceaccount:{ns}:", more=True) for ns in names]
    called = [_all(is_pod, there[ns], _any(*(_equal("$.objectRef.name", n) for n in names[ns]))) for ns in names]
    yield _pattern(_any(*called, *did))
    yield _pattern(_any(*(_all(is_pod, there[ns]) for ns in names), *did))
    yield _pattern(_any(is_pod, _equal("$.user.username", "system:serviceaccount:", more=True)))


def _equal(selector: str, text: str, *, more: bool = False) -> str:
    """A condition that holds for every value that is the text, or "" where nothing can be said about it.

    A wildcard is one at the end of a text only; where it stands, longer values fit too, which `wanted` sorts out.
    """
    match = _PLAIN.match(text)
    plain = match[0][:_LONGEST_TEXT] if match is not None else ""
    if not plain:
        return ""
    end = "*" if more or plain != text else ""
    return f'({selector} = "{plain}{end}")'


def _all(*conditions: str) -> str:
    """All that can be said must hold."""
    said = [c for c in conditions if c]
    return said[0] if len(said) == 1 else f"({' && '.join(said)})" if said else ""


def _any(*conditions: str) -> str:
    """One must hold; where nothing can be said about one of them, nothing can be said at all."""
    if not all(conditions):
        return ""
    return conditions[0] if len(conditions) == 1 else f"({' || '.join(conditions)})" if conditions else ""


def _pattern(condition: str) -> str:
    pattern = f"{{ {condition} }}" if condition else ""
    return pattern if len(pattern) <= LONGEST_PATTERN else ""


def _extra(event: JsonObject, key: str) -> frozenset[str]:
    values = _mapping(_mapping(event.get("user")).get("extra")).get(key)
    return frozenset(v for v in values if isinstance(v, str)) if isinstance(values, list) else frozenset()


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
