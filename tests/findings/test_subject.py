"""Whom a finding is about (guide G3 as corrected)."""

from __future__ import annotations

from typing import Any

import pytest

from findings.model import AccessKey, Finding, ImpersonatedUser, KubernetesUser
from findings.reader import read_findings
from findings.subject import Subject, SubjectKind, subject_of, subjects_of
from tests.findings import builders as b

K = SubjectKind
SSO = "AWSReservedSSO_Admin_0123456789abcdef"


def subject(username: str | None, key: dict[str, Any] | None = None, **user: Any) -> Subject:
    return subject_of(
        Finding(
            id="x",
            type="T:Kubernetes/X",
            severity=5,
            account=b.ACCOUNT,
            region=b.REGION,
            user=None if username is None else KubernetesUser(username=username, **user),
            access_key=None if key is None else AccessKey(**key),
        )
    )


IAM = {"access_key_id": "AKIAX", "principal_id": "AIDAX", "user_name": "alice", "user_type": "IAMUser"}
ROLE = {"access_key_id": "ASIAX", "principal_id": "AROAX:sess", "user_name": "deployer", "user_type": "AssumedRole"}


@pytest.mark.parametrize(
    ("username", "kind", "name", "namespace"),
    [
        ("system:serviceaccount:shop:web", K.SERVICE_ACCOUNT, "web", "shop"),
        ("system:serviceaccount:shop:web.v1", K.SERVICE_ACCOUNT, "web.v1", "shop"),
        ("system:node:ip-10-0-1-2.eu-central-1.compute.internal", K.NODE,
         "ip-10-0-1-2.eu-central-1.compute.internal", ""),
        ("system:anonymous", K.ANONYMOUS, "system:anonymous", ""),
        ("kubernetes-admin", K.CLUSTER_ADMIN, "kubernetes-admin", ""),
        ("system:kube-scheduler", K.SYSTEM, "system:kube-scheduler", ""),
        ("eks:node-manager", K.SYSTEM, "eks:node-manager", ""),
        ("system:serviceaccounts:shop", K.SYSTEM, "system:serviceaccounts:shop", ""),
        # What imitates a service account or a node is neither.
        ("system:serviceaccount:shop", K.UNRESOLVED, "system:serviceaccount:shop", ""),
        ("system:serviceaccount:shop:", K.UNRESOLVED, "system:serviceaccount:shop:", ""),
        ("system:serviceaccount::web", K.UNRESOLVED, "system:serviceaccount::web", ""),
        ("system:serviceaccount:shop:web:x", K.UNRESOLVED, "system:serviceaccount:shop:web:x", ""),
        ("system:serviceaccount:../x:web", K.UNRESOLVED, "system:serviceaccount:../x:web", ""),
        ("system:serviceaccount:shop:web\n", K.UNRESOLVED, "system:serviceaccount:shop:web\n", ""),
        ("system:serviceaccount:shop:$(id)", K.UNRESOLVED, "system:serviceaccount:shop:$(id)", ""),
        ("system:node:", K.UNRESOLVED, "system:node:", ""),
        ("system:node:a/b", K.UNRESOLVED, "system:node:a/b", ""),
        ("xsystem:serviceaccount:shop:web", K.UNRESOLVED, "xsystem:serviceaccount:shop:web", ""),
        ("System:ServiceAccount:shop:web", K.UNRESOLVED, "System:ServiceAccount:shop:web", ""),
        ("kubernetes-admin2", K.UNRESOLVED, "kubernetes-admin2", ""),
        ("alice@example.com", K.OIDC_USER, "alice@example.com", ""),
        ("corp:alice@example.com", K.OIDC_USER, "corp:alice@example.com", ""),
        ("https://issuer.example.com#42", K.OIDC_USER, "https://issuer.example.com#42", ""),
        ("alice@host", K.UNRESOLVED, "alice@host", ""),
        ("a@b@example.com", K.UNRESOLVED, "a@b@example.com", ""),
        ("alice", K.UNRESOLVED, "alice", ""),
        ("", K.NONE, "", ""),
        (None, K.NONE, "", ""),
    ],
)  # fmt: skip
def test_username_alone(username: str | None, kind: SubjectKind, name: str, namespace: str) -> None:
    found = subject(username)
    assert (found.kind, found.name, found.namespace) == (kind, name, namespace)
    assert found.username == (username or "")


@pytest.mark.parametrize(
    ("arn", "kind", "name", "session", "user_type"),
    [
        ("arn:aws:iam::111122223333:user/alice", K.IAM_USER, "alice", "", "IAMUser"),
        ("arn:aws:iam::111122223333:user/division/ops/alice", K.IAM_USER, "alice", "", "IAMUser"),
        ("arn:aws-us-gov:iam::111122223333:role/path/deployer", K.IAM_ROLE, "deployer", "", "Role"),
        ("arn:aws-cn:sts::111122223333:assumed-role/deployer/ci@x.io", K.IAM_ROLE, "deployer", "ci@x.io",
         "AssumedRole"),
        (f"arn:aws:sts::111122223333:assumed-role/{SSO}/a", K.IAM_ROLE, SSO, "a", "AssumedRole"),
        ("arn:aws:iam::111122223333:root", K.IAM_USER, "root", "", "Root"),
        ("arn:aws:sts::111122223333:federated-user/bob", K.IAM_USER, "bob", "", "FederatedUser"),
    ],
)  # fmt: skip
def test_username_that_is_an_arn(arn: str, kind: SubjectKind, name: str, session: str, user_type: str) -> None:
    found = subject(arn)
    assert (found.kind, found.name, found.session_name, found.user_type) == (kind, name, session, user_type)
    assert (found.principal_arn, found.account) == (arn, "111122223333")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::111122223333:assumed-role/deployer/ci",
        "arn:aws:sts::111122223333:assumed-role/deployer",
        "arn:aws:sts::111122223333:assumed-role/deployer/ci/x",
        "arn:aws:sts::111122223333:root",
        "arn:aws:iam::1111:user/alice",
        "arn:aws:iam::111122223333:user/",
        "arn:aws:iam::111122223333:user/a//b",
        "arn:aws:iam::111122223333:user/a b",
        "arn:aws:s3:::bucket",
        "arn:aws:iam::111122223333:user/alice\n",
    ],
)
def test_a_word_that_is_only_like_an_arn_names_no_principal(arn: str) -> None:
    found = subject(arn)
    assert (found.kind, found.principal_arn, found.account) == (K.UNRESOLVED, "", "")


@pytest.mark.parametrize(
    ("key", "kind", "name"),
    [
        (IAM, K.IAM_USER, "alice"),
        (ROLE, K.IAM_ROLE, "deployer"),
        ({**ROLE, "user_type": "Role"}, K.IAM_ROLE, "deployer"),
        ({"user_type": "Root", "user_name": "Root", "access_key_id": "AKIAX"}, K.IAM_USER, "root"),
        ({"user_type": "FederatedUser", "user_name": "bob"}, K.IAM_USER, "bob"),
        ({"user_type": "AWSService", "user_name": "eks.amazonaws.com"}, K.SYSTEM, "eks.amazonaws.com"),
        ({"user_type": "AWSAccount", "principal_id": "AIDAX"}, K.UNRESOLVED, "AIDAX"),
        ({"principal_id": "AROAX:s", "user_name": "r"}, K.IAM_ROLE, "r"),
        ({"principal_id": "AIDAX", "user_name": "u"}, K.IAM_USER, "u"),
        ({"access_key_id": "AKIAX", "user_name": "u"}, K.IAM_USER, "u"),
        ({"access_key_id": "ASIAX", "user_name": "u"}, K.UNRESOLVED, "u"),
        ({"access_key_id": "foo", "principal_id": "foo", "user_name": "foo", "user_type": "foo"}, K.UNRESOLVED, "foo"),
        ({"user_type": "foo"}, K.NONE, ""),
        ({}, K.NONE, ""),
    ],
)
def test_access_key_without_a_telling_username(key: dict[str, Any], kind: SubjectKind, name: str) -> None:
    assert (subject(None, key).kind, subject(None, key).name) == (kind, name)
    if kind is not K.NONE:
        # The IAM credentials outrank a plain name and an e-mail address, which may be a role session.
        for username in ("ops", "alice@example.com"):
            found = subject(username, key)
            assert (found.kind, found.name, found.username) == (kind, name, username)


def test_the_username_outranks_the_access_key() -> None:
    for username, kind in [
        ("system:serviceaccount:shop:web", K.SERVICE_ACCOUNT),
        ("system:node:n1", K.NODE),
        ("system:anonymous", K.ANONYMOUS),
        ("system:kube-proxy", K.SYSTEM),
    ]:
        found = subject(username, IAM)
        assert (found.kind, found.access_key_id, found.principal_id) == (kind, "", "")


def test_the_cluster_admin_carries_its_iam_identity() -> None:
    found = subject("kubernetes-admin", ROLE)
    assert (found.kind, found.access_key_id, found.user_type) == (K.CLUSTER_ADMIN, "ASIAX", "AssumedRole")
    assert (found.principal_id, found.session_name) == ("AROAX:sess", "sess")


def test_an_arn_takes_the_key_of_the_same_caller() -> None:
    found = subject("arn:aws:sts::111122223333:assumed-role/deployer/ci", ROLE)
    assert (found.name, found.session_name, found.access_key_id) == ("deployer", "ci", "ASIAX")


def test_anonymous_by_group_alone() -> None:
    assert subject("", groups=("system:unauthenticated",)).kind is K.ANONYMOUS
    assert subject("alice", groups=("system:unauthenticated",)).kind is K.UNRESOLVED


def test_the_impersonator_is_the_subject_and_both_are_told() -> None:
    other = ImpersonatedUser(username="system:serviceaccount:kube-system:admin", groups=("system:masters",))
    found = subject("alice", IAM, impersonated=other, groups=("ops",))
    assert (found.kind, found.name, found.groups) == (K.IAM_USER, "alice", ("ops",))
    assert found.impersonated == "system:serviceaccount:kube-system:admin"
    assert found.impersonated_groups == ("system:masters",)


def test_a_cut_name_is_nobody() -> None:
    for start in ("system:serviceaccount:shop:", "arn:aws:iam::111122223333:user/", "https://issuer#", "a@example."):
        (finding,) = read_findings(b.dumps(b.detail(user_details=b.user(start + "a" * 2000))))
        assert subject_of(finding).kind is K.UNRESOLVED


def test_an_attack_sequence_names_its_actors() -> None:
    (finding,) = read_findings(b.dumps(b.attack_sequence()))
    found = subject_of(finding)
    assert (found.kind, found.name, found.session_name) == (K.IAM_ROLE, "deployer", "ci")
    assert found.access_key_id == "ASIAIOSFODNN7EXAMPLE"
    # The second actor is a process: not an identity.
    assert subjects_of(finding) == (found,)


def test_kinds_are_the_words_of_the_contract() -> None:
    assert {k.value for k in SubjectKind} == {
        "service-account", "iam-user", "iam-role", "cluster-admin", "oidc-user",
        "node", "anonymous", "system", "unresolved", "none",
    }  # fmt: skip
