"""Asking the API server what somebody may do: SubjectAccessReviews, which answer for anybody without impersonation.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from clients.kubernetes import Kubernetes
from clients.paths import list_path


class Answer(NamedTuple):
    """Whether it is allowed, and what the API server says of it."""

    allowed: bool
    reason: str


def access_review(kubernetes: Kubernetes, username: str, groups: Iterable[str], **attributes: str) -> Answer:
    """Ask whether a user may do one thing.

    Args:
        kubernetes: The door.
        username: Whom the question is about.
        groups: Its groups.
        attributes: Of the resource: verb, group, resource, subresource, namespace, name. Empty ones are left out.

    Raises:
        Forbidden: We may not ask.
    """
    body: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": username,
            "groups": list(groups),
            "resourceAttributes": {k: v for k, v in attributes.items() if v},
        },
    }
    status = kubernetes.create(list_path("SubjectAccessReview"), body, control=True).get("status") or {}
    return Answer(bool(status.get("allowed")), str(status.get("reason", "")))
