"""The one place where an answer of the Kubernetes API becomes an exception of our own tree.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and the API server's `Status` object,
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

import json
from typing import Any

from errors import Conflict, FirebreakError, Forbidden, InputError, TargetGone, Throttled, Unavailable

_PATCH_DOES_NOT_APPLY = "the server rejected our request due to an error in our request"
"""The API server says only this when a JSON Patch does not fit the object as it is now: a `test` failed, or a path of
`remove` or `replace` is absent. Errors of validation name the object and its fields instead."""


class ListExpired(Conflict):
    """The snapshot behind a continue token is gone (410). `token` goes on in a newer one, if the server offers it."""

    def __init__(self, message: str, token: str) -> None:
        self.token = token
        super().__init__(message)


def translate(status: int, body: bytes, *, method: str, path: str, retry_after: str | None = None) -> FirebreakError:
    """The exception for an answer of 300 or more.

    Args:
        status: The HTTP status.
        body: The answer: a `Status` object, or anything that stands between us and the API server.
        method: Of the request.
        path: Of the request, without its query.
        retry_after: The answer's Retry-After header, in seconds.

    Returns:
        The exception to raise.
    """
    answer = _status_object(body)
    said = str(answer.get("message") or "") or body[:200].decode(errors="replace").strip() or "no explanation"
    message = f"{method} {path}: {status} {said}"
    causes = {str(c.get("reason")) for c in _details(answer).get("causes") or () if isinstance(c, dict)}
    if status == 404 or "NamespaceTerminating" in causes:
        return TargetGone(message)
    if status == 409:
        return Conflict(message)
    if status == 410:
        return ListExpired(message, str((answer.get("metadata") or {}).get("continue") or ""))
    if status == 429:
        # The eviction API answers 429 for a PodDisruptionBudget, which is nothing that patience alone resolves.
        return Conflict(message) if path.endswith("/eviction") else Throttled(message, _seconds(retry_after, answer))
    # A ValidatingAdmissionPolicy without a reason of its own refuses with 422, not with 403.
    if status in (401, 403) or (status in (400, 422) and " denied " in said and "admission" in said.lower()):
        return Forbidden(message)
    if status == 422 and _PATCH_DOES_NOT_APPLY in said:
        return Conflict(f"{method} {path}: the object is not what the patch expects (422 {said})")
    if 400 <= status < 500:
        return InputError(f"{method} {path}", "a request that the API server accepts", f"{status} {said}")
    return Unavailable(message)


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _details(answer: dict[str, Any]) -> dict[str, Any]:
    details = answer.get("details")
    return details if isinstance(details, dict) else {}


def _seconds(header: str | None, answer: dict[str, Any]) -> float:
    """How long to wait: the header, the Status object, or a second; never longer than a minute."""
    for text in (header, _details(answer).get("retryAfterSeconds")):
        try:
            return min(60.0, max(0.1, float(text)))  # type: ignore[arg-type]  # None is a TypeError like any other.
        except (TypeError, ValueError):
            continue
    return 1.0
