"""Every answer of the API server becomes one exception of the tree. Bodies are those of a real API server 1.35."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clients.kuberrors import ListExpired, translate
from errors import Conflict, FirebreakError, Forbidden, InputError, TargetGone, Throttled, Unavailable


def status(message: str, **more: Any) -> bytes:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, **more}).encode()


EXISTS = status('configmaps "x" already exists', reason="AlreadyExists", details={"name": "x"})
TEST_FAILED = status(
    "the server rejected our request due to an error in our request", reason="Invalid", details={}, code=422
)
INVALID = status(
    'ConfigMap "x" is invalid: metadata.labels: Invalid value: "-- bad": a valid label must be an empty string',
    reason="Invalid",
    details={"name": "x", "kind": "ConfigMap", "causes": [{"reason": "FieldValueInvalid"}]},
)
DENIED = "ValidatingAdmissionPolicy 'firebreak-hold-delete' with binding 'firebreak-hold-delete' denied request: held"
TERMINATING = status(
    'pods "x" is forbidden: unable to create new content in namespace a because it is being terminated',
    reason="Forbidden",
    details={
        "name": "x",
        "kind": "pods",
        "causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}],
    },
)


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (400, status("bad field selector"), InputError),
        (401, status("Unauthorized"), Forbidden),
        (403, status('pods is forbidden: User "x" cannot list resource "pods"'), Forbidden),
        (403, TERMINATING, TargetGone),
        (404, status('pods "x" not found'), TargetGone),
        (404, b"404 page not found\n", TargetGone),
        (409, EXISTS, Conflict),
        (409, status("the object has been modified"), Conflict),
        (410, status("too old resource version"), ListExpired),
        (415, status("unsupported media type"), InputError),
        (422, TEST_FAILED, Conflict),
        (422, INVALID, InputError),
        (422, status(f'pods "x" is forbidden: {DENIED}'), Forbidden),
        (429, status("too many requests"), Throttled),
        (500, status("etcd is not well"), Unavailable),
        (502, b"<html>Bad Gateway</html>", Unavailable),
        (503, b"", Unavailable),
        (504, b"\xff\xfe", Unavailable),
        (301, b"", Unavailable),
    ],
)
def test_answers(code: int, body: bytes, expected: type[FirebreakError]) -> None:
    error = translate(code, body, method="PATCH", path="/api/v1/pods")
    assert type(error) is expected
    assert error.message


def test_an_eviction_refused_by_a_budget_is_a_conflict() -> None:
    body = status("Cannot evict pod as it would violate the pod's disruption budget.")
    error = translate(429, body, method="POST", path="/api/v1/namespaces/a/pods/b/eviction")
    assert type(error) is Conflict


@pytest.mark.parametrize(
    ("header", "details", "expected"),
    [
        ("7", {}, 7.0),
        (None, {"retryAfterSeconds": 3}, 3.0),
        (None, {}, 1.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", {}, 1.0),
        ("86400", {}, 60.0),
        ("-1", {}, 0.1),
    ],
)
def test_how_long_to_wait(header: str | None, details: dict[str, Any], expected: float) -> None:
    body = status("slow down", details=details)
    error = translate(429, body, method="GET", path="/api/v1/pods", retry_after=header)
    assert isinstance(error, Throttled) and error.retry_after == expected


def test_an_expired_list_carries_the_token_that_goes_on() -> None:
    body = status("The provided continue parameter is too old", reason="Expired", metadata={"continue": "abc"})
    error = translate(410, body, method="GET", path="/api/v1/pods")
    assert isinstance(error, ListExpired) and error.token == "abc" and error.retryable


@pytest.mark.parametrize(
    "body", [b"[]", b'"text"', b'{"details": 3, "metadata": null}', b'{"details": {"causes": [3]}}']
)
def test_a_strange_body_is_no_problem(body: bytes) -> None:
    assert isinstance(translate(410, body, method="GET", path="/x"), Conflict)


def test_a_long_message_is_cut_and_on_one_line() -> None:
    error = translate(500, status("a\nb" * 5000), method="GET", path="/x")
    assert len(error.message) <= 600 and "\n" not in error.message
