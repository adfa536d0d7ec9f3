"""Nothing that is secret stays in an event, whatever the cluster's audit policy wrote into it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from activities.collect.redact_events import Redactions, redact_audit_event, redact_record
from contracts.changes import pointer_parts
from devstack.aws.audit import event

VALUE = "c2VjcmV0LXZhbHVl"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "db", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": VALUE}},
    "data": {"password": VALUE},
    "stringData": {"url": VALUE},
}
ENV = [{"name": "PASSWORD", "value": VALUE}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]


def bodies(**both: Any) -> dict[str, Any]:
    return {"level": "RequestResponse", **both}


@pytest.mark.parametrize(
    "found",
    [
        event("m", "get", "secrets", namespace="shop", name="db", **bodies(responseObject=SECRET)),
        event("m", "create", "secrets", namespace="shop", **bodies(requestObject=SECRET, responseObject=SECRET)),
        # A patch of a Secret has no kind of its own.
        event("m", "patch", "secrets", namespace="shop", name="db", **bodies(requestObject={"data": {"a": VALUE}})),
        event(
            "m", "list", "secrets", **bodies(responseObject={"kind": "SecretList", "items": [{"data": {"a": VALUE}}]})
        ),
        event("m", "get", "configmaps", namespace="shop", name="c", **bodies(responseObject={"data": {"a": VALUE}})),
        event("m", "create", "tokenreviews", **bodies(requestObject={"spec": {"token": VALUE}})),
        event(
            "m",
            "create",
            "serviceaccounts",
            namespace="shop",
            name="web",
            subresource="token",
            **bodies(responseObject={"kind": "TokenRequest", "status": {"token": VALUE}}),
        ),
        # Refused before the API server knew what it was about.
        {**event("m", "get", "secrets", **bodies(responseObject=SECRET)), "objectRef": None},
        # Inside of something else.
        event("m", "create", "workflows", **bodies(requestObject={"spec": {"manifests": [SECRET]}})),
        event("m", "create", "lists", **bodies(requestObject={"kind": "List", "items": [SECRET]})),
        event("m", "list", "x", **bodies(responseObject={"kind": "SecretList", "items": [{"data": {"a": VALUE}}]})),
        event("m", "create", "pods", **bodies(requestObject={"spec": {"containers": [{"name": "a", "env": ENV}]}})),
        event(
            "m",
            "patch",
            "pods",
            **bodies(requestObject=[{"op": "replace", "path": "/spec/containers/0/env/0/value", "value": VALUE}]),
        ),
        event(
            "m",
            "patch",
            "pods",
            **bodies(requestObject=[{"op": "add", "path": "/spec/containers/0", "value": {"name": "x", "env": ENV}}]),
        ),
        event(
            "m",
            "patch",
            "deployments",
            **bodies(
                requestObject=[
                    {
                        "op": "add",
                        "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
                        "value": VALUE,
                    }
                ]
            ),
        ),
        event("m", "create", "databases", **bodies(requestObject={"spec": {"adminPassword": VALUE}})),
    ],
    ids=lambda found: f"{found['verb']} {(found['objectRef'] or {}).get('resource')}",
)
def test_what_is_secret_is_taken_out_and_its_place_is_named(found: dict[str, Any]) -> None:
    assert VALUE in json.dumps(found)
    copy, taken = redact_audit_event(found)
    assert VALUE not in json.dumps(copy)
    assert taken
    for path in taken:
        value: Any = copy
        for part in path:
            value = value[int(part)] if isinstance(value, list) else value[part]
        assert value == "[redacted]"
    # Who did what to what is what the event is kept for.
    for key in ("user", "verb", "objectRef", "requestURI", "stageTimestamp"):
        assert copy[key] == found[key]


def test_what_names_a_secret_and_what_an_attacker_writes_stays() -> None:
    pod = {
        "metadata": {"ownerReferences": [{"kind": "ConfigMap", "name": "c", "uid": "1"}]},
        "spec": {
            "containers": [{"command": ["sh", "-c", "curl evil"], "env": [ENV[1]]}],
            "volumes": [{"secret": {"secretName": "db"}}],
        },
    }
    found = event("m", "create", "pods", **bodies(requestObject=pod))
    assert redact_audit_event(found) == (found, [])


def test_a_change_of_who_may_enter_the_cluster_stays() -> None:
    body = {"kind": "ConfigMap", "data": {"mapUsers": "- userarn: arn:aws:iam::123456789012:user/mallory"}}
    where: Any = {"namespace": "kube-system", "name": "aws-auth"}
    found = event("m", "update", "configmaps", **where, **bodies(requestObject=body, responseObject=body))
    assert redact_audit_event(found) == (found, [])
    for other in ({**where, "namespace": "shop"}, {**where, "name": "aws-auth2"}):
        copy, taken = redact_audit_event(event("m", "update", "configmaps", **other, **bodies(requestObject=body)))
        assert (copy["requestObject"], taken) == ("[redacted]", [("requestObject",)])


@pytest.mark.parametrize("kind", [None, 3, ["Secret"], {"a": 1}])
def test_a_kind_that_is_none_breaks_nothing(kind: Any) -> None:
    found = event("m", "create", "x", **bodies(requestObject={"kind": kind, "op": 1, "path": None, "value": 2}))
    assert redact_audit_event(found) == (found, [])


def test_credentials_leave_records_of_cloudtrail() -> None:
    record = {
        "eventName": "AssumeRole",
        "responseElements": {"credentials": {"accessKeyId": "ASIA1", "sessionToken": VALUE, "secretAccessKey": VALUE}},
        "requestParameters": {"newPassword": VALUE, "environment": [{"name": "K", "value": VALUE}], "password": ""},
    }
    copy, taken = redact_record(record)
    assert VALUE not in json.dumps(copy) and "ASIA1" in json.dumps(copy)
    assert len(taken) == 4


def test_an_entry_lists_so_many_and_counts_the_others() -> None:
    redactions = Redactions()
    for line in range(150):
        redactions.add(line, [("requestObject",), ("a/b", "c")])
    assert redactions.listed[:2] == ("/0/requestObject", "/0/a~1b/c")
    assert pointer_parts(redactions.listed[199]) == ["99", "a/b", "c"]
    assert redactions.listed[200:] == ("and 100 more, marked [redacted] in the artefact",)
