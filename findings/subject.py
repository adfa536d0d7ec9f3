"""Whom a finding is about: the identity that would be acted on (guide G2, G3 as corrected, U1, U2, U5, U6).

The username decides first, because it is what the API server authenticated; the access key only says which IAM
credentials stood behind it. With impersonation the impersonator is the subject, and the impersonated name is kept
beside it.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from findings.base import Frozen
from findings.model import AccessKey, Finding, KubernetesUser

# Case and dots are wider than Kubernetes allows for a namespace, because sample findings carry
# "GeneratedFindingKubernetesWorkloadNamespace"; nothing that separates or climbs a path is let through.
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?"
_SERVICE_ACCOUNT: Final = re.compile(rf"system:serviceaccount:(?P<namespace>{_NAME}):(?P<name>{_NAME})")
_NODE: Final = re.compile(rf"system:node:(?P<name>{_NAME})")
_ARN: Final = re.compile(
    r"arn:aws[a-z0-9-]*:(?P<service>iam|sts)::(?P<account>\d{12}):"
    r"(?:(?P<root>root)|(?P<type>user|role|assumed-role|federated-user)/(?P<rest>[A-Za-z0-9+=,.@_/-]{1,600}))"
)
_MAIL: Final = re.compile(r"[^\s@]{1,200}@[^\s@.]+(?:\.[^\s@.]+)+")
RESERVED: Final = ("system:", "eks:", "aws:", "amazon:", "iam:")
"""How the names begin that EKS keeps for its own components; access entries may not use them.

https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
"""


class SubjectKind(StrEnum):
    """What kind of identity a finding is about; the words of ``plan --json``.

    ``unresolved`` is a name that only the cluster can place: an aws-auth row, an access entry, an OIDC user, or a
    name that imitates a reserved one. ``system`` is never touched. ``none`` means that the finding names nobody.
    """

    SERVICE_ACCOUNT = "service-account"
    IAM_USER = "iam-user"
    IAM_ROLE = "iam-role"
    CLUSTER_ADMIN = "cluster-admin"
    OIDC_USER = "oidc-user"
    NODE = "node"
    ANONYMOUS = "anonymous"
    SYSTEM = "system"
    UNRESOLVED = "unresolved"
    NONE = "none"


class Subject(Frozen):
    """The identity that a finding is about.

    Attributes:
        kind: What it is.
        name: The name within its kind: the service account's, IAM user's, role's or node's own name, else the
            username. An IAM user keeps its bare name and its path only in ``principal_arn``.
        namespace: Of a service account.
        username: The Kubernetes username exactly as the API server saw it, for RBAC subjects, aws-auth and entries.
        groups: The Kubernetes groups.
        principal_arn: The IAM ARN, if the username is one; for an assumed role the sts ARN with the session.
        account: The AWS account in ``principal_arn``.
        session_name: The role session.
        access_key_id, principal_id, user_type: From accessKeyDetails. ``user_type`` Root and FederatedUser are kind
            ``iam-user``, yet have no key to switch off: for them there is a task (U5).
        impersonated, impersonated_groups: Whom the subject impersonated; never acted on.
    """

    kind: SubjectKind
    name: str = ""
    namespace: str = ""
    username: str = ""
    groups: tuple[str, ...] = ()
    principal_arn: str = ""
    account: str = ""
    session_name: str = ""
    access_key_id: str = ""
    principal_id: str = ""
    user_type: str = ""
    impersonated: str = ""
    impersonated_groups: tuple[str, ...] = ()


def subject_of(finding: Finding) -> Subject:
    """The identity that a finding is about; of an attack sequence, the first one it names.

    Never fails: a finding without an identity has a subject of kind ``none``.
    """
    return subjects_of(finding)[0]


def subjects_of(finding: Finding) -> tuple[Subject, ...]:
    """Every identity that a finding is about, each once: more than one only for an attack sequence.

    Returns:
        At least one subject; the only one is of kind ``none`` when the finding names nobody.
    """
    found = [_identify(finding.user, finding.access_key)]
    if finding.sequence is not None:
        for actor in finding.sequence.actors:
            key = AccessKey(
                access_key_id=actor.credential_uid,
                principal_id=actor.user_uid,
                user_name=actor.user_name,
                user_type=actor.user_type,
            )
            # An actor's name may be a Kubernetes username or an IAM name, so it is offered as both.
            found.append(_identify(KubernetesUser(username=actor.user_name), key))
        for resource in finding.sequence.resources_of("ACCESS_KEY"):
            key = AccessKey(
                access_key_id=resource.uid if resource.uid.startswith(("AKIA", "ASIA")) else "",
                principal_id=resource.principal_id,
                user_name=resource.user_name,
                user_type=resource.user_type,
            )
            found.append(_identify(None, key))
    named = tuple(dict.fromkeys(s for s in found if s.kind is not SubjectKind.NONE))
    return named or (Subject(kind=SubjectKind.NONE),)


def _identify(user: KubernetesUser | None, key: AccessKey | None) -> Subject:
    """Apply the order of G3: username, ARN, access key, e-mail, plain name."""
    user = user or KubernetesUser()
    name = user.username
    subject = _from_username(user) or _from_arn(name) or _from_access_key(key) or _from_name(name)
    impersonated = user.impersonated
    return subject.model_copy(
        update={
            "username": user.username,
            "groups": user.groups,
            # The credentials behind a service account's call belong to no IAM identity of its own, so a key is kept
            # only where the subject is, or may turn out to be, an IAM identity.
            **(_key_details(key, subject) if key is not None else {}),
            "impersonated": impersonated.username if impersonated else "",
            "impersonated_groups": impersonated.groups if impersonated else (),
        }
    )


def _from_username(user: KubernetesUser) -> Subject | None:
    """The identities that Kubernetes and EKS themselves name.

    A username that begins like a service account or node but is malformed is ``unresolved``: an aws-auth row or a
    client certificate can carry any word, and such a word must not lead to an innocent service account.
    """
    name = user.username
    if match := _SERVICE_ACCOUNT.fullmatch(name):
        return Subject(kind=SubjectKind.SERVICE_ACCOUNT, name=match["name"], namespace=match["namespace"])
    if match := _NODE.fullmatch(name):
        return Subject(kind=SubjectKind.NODE, name=match["name"])
    if name == "system:anonymous" or (not name and "system:unauthenticated" in user.groups):
        return Subject(kind=SubjectKind.ANONYMOUS, name="system:anonymous")
    if name == "kubernetes-admin":
        return Subject(kind=SubjectKind.CLUSTER_ADMIN, name=name)
    if name.startswith(("system:serviceaccount:", "system:node:")):
        return Subject(kind=SubjectKind.UNRESOLVED, name=name)
    if name.startswith(RESERVED):
        return Subject(kind=SubjectKind.SYSTEM, name=name)
    return None


def _from_arn(username: str) -> Subject | None:
    """An IAM principal whose ARN is the username, the default of access entries.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    match = _ARN.fullmatch(username)
    if match is None:
        return None
    subject = _principal_of(match)
    if subject is None:
        return None
    return subject.model_copy(update={"principal_arn": username, "account": match["account"]})


def _principal_of(match: re.Match[str]) -> Subject | None:
    """The principal that a well-formed ARN names; None for a combination that IAM does not write."""
    if match["root"]:
        return Subject(kind=SubjectKind.IAM_USER, name="root", user_type="Root") if match["service"] == "iam" else None
    parts = match["rest"].split("/")
    if not all(parts):
        return None
    match (match["service"], match["type"], len(parts)):
        case ("iam", "user", _):
            return Subject(kind=SubjectKind.IAM_USER, name=parts[-1], user_type="IAMUser")
        case ("iam", "role", _):
            return Subject(kind=SubjectKind.IAM_ROLE, name=parts[-1], user_type="Role")
        case ("sts", "assumed-role", 2):
            role, session = parts
            return Subject(kind=SubjectKind.IAM_ROLE, name=role, session_name=session, user_type="AssumedRole")
        case ("sts", "federated-user", 1):
            return Subject(kind=SubjectKind.IAM_USER, name=parts[0], user_type="FederatedUser")
        case _:
            return None


def _from_access_key(key: AccessKey | None) -> Subject | None:
    """The IAM identity of accessKeyDetails.

    Where ``userType`` is missing or unknown, the unique id's prefix says it (AIDA a user, AROA a role), then the key's
    (only users have AKIA keys); else the identity is unresolved. An AWS service is never touched, and an identity of
    another account is out of reach.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    """
    if key is None or not any((key.access_key_id, key.principal_id, key.user_name, key.user_type)):
        return None
    kinds = {
        "iamuser": SubjectKind.IAM_USER,
        "root": SubjectKind.IAM_USER,
        "federateduser": SubjectKind.IAM_USER,
        "assumedrole": SubjectKind.IAM_ROLE,
        "role": SubjectKind.IAM_ROLE,
        "awsservice": SubjectKind.SYSTEM,
        "awsaccount": SubjectKind.UNRESOLVED,
    }
    kind = kinds.get(key.user_type.lower())
    if kind is None and key.principal_id.startswith("AROA"):
        kind = SubjectKind.IAM_ROLE
    if kind is None and (key.principal_id.startswith("AIDA") or key.access_key_id.startswith("AKIA")):
        kind = SubjectKind.IAM_USER
    if kind is None and not any((key.access_key_id, key.principal_id, key.user_name)):
        return None
    name = "root" if key.user_type.lower() == "root" else key.user_name or key.principal_id or key.access_key_id
    return Subject(kind=kind or SubjectKind.UNRESOLVED, name=name)


def _from_name(username: str) -> Subject:
    """What is left without any IAM credentials: an OIDC user, or a name that only the cluster can place.

    EKS prefixes an OIDC username with the issuer's address unless its claim is the e-mail or a prefix is configured.
    https://docs.aws.amazon.com/eks/latest/userguide/authenticate-oidc-identity-provider.html
    """
    if not username:
        return Subject(kind=SubjectKind.NONE)
    issued = username.startswith("https://") and "#" in username
    # A name that was cut stands for no user.
    known = len(username) < 1024 and (issued or _MAIL.fullmatch(username) is not None)
    return Subject(kind=SubjectKind.OIDC_USER if known else SubjectKind.UNRESOLVED, name=username)


def _key_details(key: AccessKey, subject: Subject) -> dict[str, str]:
    """What of accessKeyDetails belongs to the subject."""
    iam = (SubjectKind.IAM_USER, SubjectKind.IAM_ROLE, SubjectKind.CLUSTER_ADMIN, SubjectKind.UNRESOLVED)
    if subject.kind not in iam:
        return {}
    session = key.principal_id.partition(":")[2] if subject.kind is not SubjectKind.IAM_USER else ""
    return {
        "access_key_id": key.access_key_id,
        "principal_id": key.principal_id,
        "user_type": subject.user_type or key.user_type,
        "session_name": subject.session_name or session,
    }
