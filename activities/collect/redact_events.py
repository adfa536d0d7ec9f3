"""What is taken out of events: of the audit log, and of CloudTrail. Whoever reads the evidence must not gain secrets.

An audit event holds the request and the response where the cluster's audit policy says so. EKS' own policy leaves them
out for Secrets, ConfigMaps and tokens; this one is for what another policy, or an object inside another, lets through.
Source: https://docs.aws.amazon.com/eks/latest/best-practices/auditing-and-logging.html
"""

from __future__ import annotations

import re
from typing import Any, Final

from activities.collect.redact import LAST_APPLIED, MOST_LISTED, REDACTED, listed_redactions
from clients.kubernetes import JsonObject
from contracts.changes import pointer, pointer_parts

_BODIES: Final = ("requestObject", "responseObject")
_HIDDEN: Final = frozenset({"secrets", "configmaps", "tokenreviews"})
"""Resources of which no body is kept. ConfigMaps are not read elsewhere either, but for aws-auth."""
_HIDDEN_KINDS: Final = frozenset({"Secret", "SecretList", "ConfigMap", "ConfigMapList", "TokenRequest", "TokenReview"})
_HOLDING: Final = frozenset({"data", "stringData", "binaryData", "items", "spec", "status"})
"""Where objects of these kinds hold values. What names such an object holds none, and stays."""
_CREDENTIAL: Final = re.compile(
    r"\w*(session|security)token|secretaccesskey|secret(string|binary)|\w*password", re.IGNORECASE
)
_VARIABLES: Final = ("env", "environment")
"""Kubernetes' name for a list of variables, and that of ECS and others in CloudTrail."""

KeyPath = tuple[str, ...]


class Redactions:
    """What was taken out of the lines of one artefact, as its entry lists it."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._more = 0

    def add(self, line: int, paths: list[KeyPath]) -> None:
        """Note what was taken out of one line; lines count from 0."""
        room = paths[: MOST_LISTED - len(self._kept)]
        self._kept += [pointer(str(line), *path) for path in room]
        self._more += len(paths) - len(room)

    @property
    def listed(self) -> tuple[str, ...]:
        """JSON pointers, each below the number of its line."""
        return listed_redactions(self._kept, self._more)


def redact_audit_event(event: JsonObject) -> tuple[JsonObject, list[KeyPath]]:
    """A copy of an event of the audit log without what may be secret, and where that was."""
    taken: list[KeyPath] = []
    readable = _is_about_aws_auth(event)
    hidden, kinds = not readable and _is_about_secrets(event), _HIDDEN_KINDS - ({"ConfigMap"} if readable else set())
    copy: JsonObject = {}
    for key, value in event.items():
        if hidden and key in _BODIES and value is not None:
            copy[key] = _take((key,), taken)
        else:
            copy[key] = _walk(value, (key,), taken, kinds)
    return copy, taken


def redact_record(record: JsonObject) -> tuple[JsonObject, list[KeyPath]]:
    """A copy of a record of CloudTrail without what may be a credential, and where that was."""
    taken: list[KeyPath] = []
    copy: JsonObject = _walk(record, (), taken, frozenset())
    return copy, taken


def _walk(value: Any, path: KeyPath, taken: list[KeyPath], kinds: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_walk(item, (*path, str(n)), taken, kinds) for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    holding = _HOLDING if str(value.get("kind")) in kinds else frozenset()
    patched = _patched_names(value)
    copy: JsonObject = {}
    for key, item in value.items():
        here = (*path, str(key))
        # An operation of a JSON patch says by its path what its value would be called elsewhere.
        names = patched if patched and key == "value" else (str(key),)
        if item is not None and (key in holding or _hides(names, item)):
            copy[key] = _take(here, taken)
        elif key in _VARIABLES and isinstance(item, list):
            copy[key] = [_variable(one, (*here, str(n)), taken) for n, one in enumerate(item)]
        else:
            copy[key] = _walk(item, here, taken, kinds)
    return copy


def _variable(value: Any, path: KeyPath, taken: list[KeyPath]) -> Any:
    if not isinstance(value, dict) or not value.get("value"):
        return value
    return value | {"value": _take((*path, "value"), taken)}


def _take(path: KeyPath, taken: list[KeyPath]) -> str:
    taken.append(path)
    return REDACTED


def _patched_names(value: JsonObject) -> tuple[str, ...]:
    return tuple(pointer_parts(str(value["path"]))) if "op" in value and "path" in value else ()


def _hides(names: tuple[str, ...], item: Any) -> bool:
    """Whether what has such a name, or stands below it, is taken out as a whole."""
    if LAST_APPLIED in names or (len(names) > 1 and not set(_VARIABLES).isdisjoint(names)):
        return True
    return isinstance(item, str) and bool(item) and any(_CREDENTIAL.fullmatch(name) for name in names[-1:])


def _is_about_aws_auth(event: JsonObject) -> bool:
    """Who may enter the cluster is no secret, and what an attacker changes; EKS' policy keeps it on purpose."""
    about = event.get("objectRef")
    if not isinstance(about, dict):
        return False
    named = (about.get("resource"), about.get("namespace"), about.get("name"))
    return named == ("configmaps", "kube-system", "aws-auth") and not about.get("subresource")


def _is_about_secrets(event: JsonObject) -> bool:
    about = event.get("objectRef")
    if isinstance(about, dict) and (str(about.get("resource")) in _HIDDEN or about.get("subresource") == "token"):
        return True
    # The reference is missing where the request was refused early, the address never is.
    return bool(_HIDDEN.intersection(str(event.get("requestURI", "")).partition("?")[0].split("/")))
