"""What a trust policy says of a service account, and which revocations are ours: tables, without any service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from activities.user.documents import other_subjects, revoke_document, revoked_before, trusted_provider

ISSUER = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"
ME = "system:serviceaccount:shop:web"
ALLOW: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"Federated": PROVIDER},
    "Action": "sts:AssumeRoleWithWebIdentity",
}


def when(**operators: Any) -> dict[str, Any]:
    return {op: {f"{ISSUER}:sub": value} for op, value in operators.items()}


@pytest.mark.parametrize(
    ("statement", "in_"),
    [
        ({"Condition": when(StringEquals=ME)}, True),
        ({"Condition": when(StringEquals=["system:serviceaccount:shop:api", ME])}, True),
        ({"Condition": when(StringEquals="system:serviceaccount:shop:api")}, False),
        ({"Condition": when(StringEquals="system:serviceaccount:shop:*")}, False),
        ({"Condition": when(StringLike="system:serviceaccount:shop:*")}, True),
        ({"Condition": when(StringLike="system:serviceaccount:shop:w?b")}, True),
        ({"Condition": when(StringLike="system:serviceaccount:[s]hop:web")}, False),
        ({"Condition": when(StringEqualsIgnoreCase=ME.upper())}, True),
        ({"Condition": when(**{"ForAnyValue:StringEquals": "x"})}, False),
        ({"Condition": when(StringEqualsIfExists=ME)}, True),
        ({"Condition": when(StringNotLike="x")}, True),
        ({"Condition": when(StringEquals=ME, StringLike="other:*")}, False),
        ({"Condition": {"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com"}}}, True),
        ({}, True),
        ({"Action": ["sts:TagSession", "sts:AssumeRoleWith*"]}, True),
        ({"Action": "*"}, True),
        ({"Action": "sts:AssumeRole"}, False),
        ({"Effect": "Deny"}, False),
        ({"Principal": {"Federated": PROVIDER + "2"}}, False),
        ({"Principal": {"Service": "pods.eks.amazonaws.com"}}, False),
        ({"Principal": "*"}, False),
    ],
)
def test_whether_a_statement_lets_the_account_in(statement: dict[str, Any], in_: bool) -> None:
    one = {**ALLOW, **statement}
    for document in ({"Statement": [one]}, {"Statement": one}):
        assert trusted_provider(document, ISSUER, ME) == (PROVIDER if in_ else "")


@pytest.mark.parametrize("document", [{}, {"Statement": None}, {"Statement": "x"}, {"Statement": [None, "x"]}])
def test_a_document_without_statements_lets_nobody_in(document: dict[str, Any]) -> None:
    assert trusted_provider(document, ISSUER, ME) == ""
    assert other_subjects(document, ISSUER, ME) == ()


def test_who_else_is_let_in() -> None:
    document = {"Statement": [{**ALLOW, "Condition": when(StringEquals=[ME, "a"], StringLike="b*")}]}
    assert other_subjects(document, ISSUER, ME) == ("a", "b*")


def test_only_an_unchanged_document_of_ours_says_a_moment() -> None:
    moment = datetime(2026, 11, 25, 1, 2, 3, 999_999, tzinfo=UTC)
    document = revoke_document(moment)
    assert revoked_before(document) == "2026-11-25T01:02:04Z"
    changed: list[Any] = [None, {}, {"Statement": []}, {**document, "Id": "x"}, {**document, "Version": "2008-10-17"}]
    for field, value in (("Sid", "x"), ("Action", "s3:*"), ("Effect", "Allow"), ("Condition", {})):
        changed.append({**document, "Statement": [{**document["Statement"][0], field: value}]})
    changed.append({**document, "Statement": [*document["Statement"], {"Effect": "Allow"}]})
    assert [revoked_before(d) for d in changed] == [""] * len(changed)
