"""Who stands behind a subject: the IAM principal, and the usernames that a cluster gives it.

Names of users and of roles are unique in an account, whatever their path
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html), and are alike in upper and lower case. So
a principal is known by account, type and name: access entries name it with its path, aws-auth without.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from contracts.steps import StepRequest
from findings.model import AccessKey, Finding
from findings.subject import Subject, SubjectKind, subjects_of
from plans.situation import NEVER_TOUCHED

_ARN: Final = re.compile(
    r"arn:aws[a-z0-9-]*:(?:iam|sts)::(?P<account>\d{12}):"
    r"(?:(?P<root>root)|(?P<kind>user|role|assumed-role)/(?P<rest>[\w+=,.@/-]{1,600}))"
)
_SAME_TYPE: Final = {"iamuser": "user", "role": "role", "assumedrole": "role", "root": "root"}
_PLACEHOLDER: Final = re.compile(r"(\{\{\w+\}\})")
# https://github.com/kubernetes-sigs/aws-iam-authenticator#full-configuration-format: what stands for what.
_RENDERED: Final = {
    "{{AccountID}}": r"\d{12}",
    "{{SessionName}}": r"[\w+=,.-]{1,64}",
    "{{SessionNameRaw}}": r"[\w+=,.@-]{1,64}",
    "{{EC2PrivateDNSName}}": r"[A-Za-z0-9.-]{1,253}",
    "{{AccessKeyID}}": r"[A-Z0-9]{16,128}",
}
_MOST_PLACEHOLDERS: Final = 4
"""More would let somebody who writes a template make matching it take for ever."""
LEAST_LITERAL: Final = 2
"""A template with less text of its own, such as `{{SessionName}}`, fits anybody's name. In a row it can be that; in an
access entry a colon has to stand before it: https://docs.aws.amazon.com/eks/latest/userguide/set-custom-username.html"""
SERVICE_LINKED: Final = "/aws-service-role/"
"""The path of roles that services of AWS made for themselves."""
_PARTITIONS: Final = ("aws", "aws-cn", "aws-us-gov")


class Principal(NamedTuple):
    """An IAM user, role, or the root user of an account; `name` is in lower case, for comparison only."""

    account: str
    kind: str
    name: str

    def __str__(self) -> str:
        """As people say it."""
        return f"{self.kind} {self.name} of {self.account}"


def principal_of(arn: str) -> Principal | None:
    """The principal that an ARN names, of an assumed role the role; None for anything else."""
    match = _ARN.fullmatch(arn.strip())
    if match is None:
        return None
    if match["root"]:
        return Principal(match["account"], "root", "root")
    parts = match["rest"].split("/")
    if not all(parts):
        return None
    if match["kind"] == "assumed-role":
        return Principal(match["account"], "role", parts[0].lower())
    return Principal(match["account"], match["kind"], parts[-1].lower())


def subjects_in(request: StepRequest) -> tuple[Subject, ...]:
    """The identities that a step is about. Those that are never touched are not among them, whoever asks."""
    wanted = {(t.name, t.uid) for t in request.step.targets}
    return tuple(
        s
        for s in subjects_of(request.finding)
        if s.kind not in NEVER_TOUCHED
        and s.kind is not SubjectKind.SERVICE_ACCOUNT
        and (s.name, s.principal_arn) in wanted
    )


def principal_in(subject: Subject, finding: Finding, account: str) -> Principal | None:
    """The IAM principal that the finding names for a subject; None where it names none, or one without a name."""
    if subject.principal_arn:
        return principal_of(subject.principal_arn)
    key = finding.access_key
    if subject.kind in (SubjectKind.CLUSTER_ADMIN, SubjectKind.UNRESOLVED):
        return _of_key(key, account) if key is not None and key.access_key_id == subject.access_key_id else None
    kind = {SubjectKind.IAM_USER: "user", SubjectKind.IAM_ROLE: "role"}.get(subject.kind)
    if kind is None or subject.user_type.lower() == "federateduser":
        return None
    if subject.name in (subject.principal_id, subject.access_key_id):
        # An id where no name is known.
        return None
    return Principal(account, "root" if subject.user_type.lower() == "root" else kind, subject.name.lower())


def _of_key(key: AccessKey, account: str) -> Principal | None:
    kind = _SAME_TYPE.get(key.user_type.lower())
    if kind is None or not key.user_name:
        return None
    return Principal(account, kind, "root" if kind == "root" else key.user_name.lower())


def renders(template: str, username: str) -> bool:
    """Whether a username of an access entry or of aws-auth can have become this one; one without placeholders is it."""
    parts = _PLACEHOLDER.split(template)
    if len(parts) // 2 > _MOST_PLACEHOLDERS:
        return False
    pattern = "".join(_RENDERED.get(part) or re.escape(part) for part in parts)
    return re.fullmatch(pattern, username) is not None


def own_text(template: str) -> int:
    """How many characters of a template are its own."""
    return sum(len(part) for part in _PLACEHOLDER.split(template) if part not in _RENDERED)


def usernames_of(principal: Principal) -> tuple[str, ...]:
    """The usernames that EKS gives a principal when its access entry names none."""
    if principal.kind == "role":
        rest = f"sts::{principal.account}:assumed-role/{principal.name}/{{{{SessionName}}}}"
    elif principal.kind == "user":
        rest = f"iam::{principal.account}:user/{principal.name}"
    else:
        return ()
    return tuple(f"arn:{partition}:{rest}" for partition in _PARTITIONS)
