"""IAM policy documents: the one that ends older sessions, and what a trust policy says of a service account.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html,
https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

REVOKE_POLICY: Final = "AWSRevokeOlderSessions"
"""The name that the IAM console gives it too, so that whoever looks finds one policy and not two."""
_REVOKE_SID: Final = "FirebreakEndsOlderSessions"
_WEB_IDENTITY: Final = "sts:AssumeRoleWithWebIdentity"
_QUALIFIERS: Final = ("forallvalues:", "foranyvalue:")


def revoke_document(now: datetime) -> dict[str, Any]:
    """Denies everything to sessions that were issued until now.

    Sessions carry whole seconds, so the moment is the next one: a session of this very second is refused as well.
    """
    moment = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    older = {"DateLessThan": {"aws:TokenIssueTime": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    statement = {"Sid": _REVOKE_SID, "Effect": "Deny", "Action": ["*"], "Resource": ["*"], "Condition": older}
    return {"Version": "2012-10-17", "Statement": [statement]}


def revoked_before(document: Any) -> str:
    """Until when sessions are refused by a document of ours; "" when it is none, or was edited by anybody."""
    try:
        moment = document["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"]
        ours = revoke_document(datetime.fromisoformat(moment) - timedelta(seconds=1))
    except (KeyError, IndexError, TypeError, ValueError):
        return ""
    return str(moment) if document == ours else ""


def account_subject(namespace: str, name: str) -> str:
    """What a token of a service account says in `sub`."""
    return f"system:serviceaccount:{namespace}:{name}"


def cut_sid(issuer: str, subject: str) -> str:
    """The id of the statement that shuts one service account of one cluster out of a role; letters and digits only."""
    return f"FirebreakCutOff{hashlib.sha256(f'{issuer} {subject}'.encode()).hexdigest()[:20]}"


def cut_statement(provider: str, issuer: str, subject: str) -> dict[str, Any]:
    """Denies the role to one service account, however the rest of the trust policy lets it in.

    Taking its name out would not do: it may be let in by `ns:*`, by a list, or by a statement without a condition.
    """
    return {
        "Sid": cut_sid(issuer, subject),
        "Effect": "Deny",
        "Principal": {"Federated": provider},
        "Action": _WEB_IDENTITY,
        "Condition": {"StringEquals": {f"{issuer}:sub": subject}},
    }


def statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statements of a document; IAM allows a single one to stand without a list."""
    found = document.get("Statement") or []
    return [s for s in (found if isinstance(found, list) else [found]) if isinstance(s, dict)]


def trusted_provider(document: Mapping[str, Any], issuer: str, subject: str) -> str:
    """The identity provider through which a trust policy lets a service account in, or "".

    What is not understood counts as letting it in: a statement too many does no harm, one too few leaves a way.

    Args:
        document: The trust policy.
        issuer: The cluster's, without `https://`.
        subject: `system:serviceaccount:namespace:name`.
    """
    for statement in statements(document):
        if statement.get("Effect") != "Allow" or not _allows_web_identity(statement):
            continue
        provider = next((p for p in _federated(statement) if p.endswith(f":oidc-provider/{issuer}")), "")
        if provider and _lets_in(statement.get("Condition") or {}, f"{issuer}:sub", subject):
            return provider
    return ""


def other_subjects(document: Mapping[str, Any], issuer: str, subject: str) -> tuple[str, ...]:
    """Whom else of the cluster the trust policy names, patterns included."""
    found = [
        value
        for statement in statements(document)
        if statement.get("Effect") == "Allow"
        for conditions in (statement.get("Condition") or {}).values()
        for key, values in conditions.items()
        if key.lower() == f"{issuer}:sub".lower()
        for value in _listed(values)
        if value != subject
    ]
    return tuple(dict.fromkeys(str(v) for v in found))


def _allows_web_identity(statement: Mapping[str, Any]) -> bool:
    return any(_glob(str(action), _WEB_IDENTITY, ignore_case=True) for action in _listed(statement.get("Action")))


def _federated(statement: Mapping[str, Any]) -> Iterator[str]:
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        yield from (str(p) for p in _listed(principal.get("Federated")))


def _lets_in(condition: Mapping[str, Any], key: str, subject: str) -> bool:
    for operator, conditions in condition.items():
        for name, values in conditions.items():
            if name.lower() == key.lower() and not _fulfils(operator, [str(v) for v in _listed(values)], subject):
                return False
    return True


def _fulfils(operator: str, values: list[str], subject: str) -> bool:
    word = operator.lower().removesuffix("ifexists")
    for qualifier in _QUALIFIERS:
        word = word.removeprefix(qualifier)
    if word == "stringequals":
        return subject in values
    if word == "stringequalsignorecase":
        return subject.lower() in [v.lower() for v in values]
    if word == "stringlike":
        return any(_glob(v, subject) for v in values)
    return True


def _glob(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """IAM's wildcards: `*` and `?`, and no others."""
    words = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(words, text, re.IGNORECASE | re.DOTALL if ignore_case else re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]
