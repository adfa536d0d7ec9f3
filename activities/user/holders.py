"""From the targets of a step to who holds credentials in IAM, and why one of them is left alone."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from activities.assess.policy_file import PolicyFile
from activities.user.principals import subjects_in
from contracts.steps import StepRequest
from findings.model import AccessKey
from findings.subject import Subject, SubjectKind
from plans.causes import is_protected
from plans.model import TargetKind
from plans.situation import words
from settings import Settings

USER: Final = "user"
ROLE: Final = "role"
_IAM_NAME: Final = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}", re.ASCII)
_BEHIND_A_NAME: Final = (SubjectKind.CLUSTER_ADMIN, SubjectKind.UNRESOLVED)
KEYLESS: Final = ("root", "federateduser")
"""Types of users, in lower case, whose credentials IAM cannot end."""


class Holder(NamedTuple):
    """An IAM user or role, under its own name, without path.

    Attributes:
        kind: `USER` or `ROLE`.
        name: As the finding or CloudTrail writes it.
        key_id: The access key of the finding, or "".
        refused: Why nothing is done about it, one sentence, or "". `kind` and `name` may then be empty.
    """

    kind: str
    name: str
    key_id: str = ""
    refused: str = ""

    def __str__(self) -> str:
        """`IAM user alice`, fit for a sentence."""
        return f"IAM {self.kind} {words(self.name)}" if self.name else "the identity"


class Holders:
    """Knows the account, and what the policy protects."""

    def __init__(self, settings: Settings) -> None:
        self._account = settings.account
        self._policy = PolicyFile(settings.policy)

    def of(self, request: StepRequest) -> tuple[Holder, ...]:
        """The holders among a step's targets, each once; service accounts are none."""
        found = [self._holder(s, request.finding.access_key) for s in subjects_in(request)]
        return tuple(dict.fromkeys(found))

    def protected(self, *names: str) -> bool:
        """Whether the policy in force protects an identity under one of its names."""
        return is_protected(self._policy.current()[0], names)

    def _holder(self, subject: Subject, key: AccessKey | None) -> Holder:
        named = words(subject.name)
        if subject.user_type.lower() in KEYLESS:
            return Holder("", "", refused=f"{named} is {subject.user_type}, whose credentials IAM cannot end.")
        if subject.account and subject.account != self._account:
            return Holder("", "", refused=f"{named} belongs to the account {subject.account}, out of reach.")
        kind, name = _kind_of(subject), subject.name
        behind = subject.kind in _BEHIND_A_NAME
        if behind:
            if key is None or key.access_key_id != subject.access_key_id or not key.user_name:
                return Holder("", "", refused=f"The finding does not say which IAM identity stands behind {named}.")
            kind, name = _kind_behind(key), key.user_name
        if not kind or _IAM_NAME.fullmatch(name) is None:
            return Holder("", "", refused=f"{words(name)} is not the name of an IAM user or role.")
        if behind and self.protected(name):
            # The plan did not know this name, so nobody who approved it has seen it.
            return Holder(kind, name, refused=f"Protected: the principal {words(name)}, which is behind {named}.")
        return Holder(kind, name, subject.access_key_id)


def accounts_at(request: StepRequest) -> tuple[tuple[str, str], ...]:
    """Namespace and name of each service account among the step's targets."""
    accounts = (t for t in request.step.targets if t.kind is TargetKind.SERVICE_ACCOUNT)
    return tuple(dict.fromkeys((t.namespace, t.name) for t in accounts))


def _kind_of(subject: Subject) -> str:
    return {SubjectKind.IAM_USER: USER, SubjectKind.IAM_ROLE: ROLE}.get(subject.kind, "")


def _kind_behind(key: AccessKey) -> str:
    by_type = {"iamuser": USER, "assumedrole": ROLE, "role": ROLE}.get(key.user_type.lower(), "")
    by_id = {"AIDA": USER, "AROA": ROLE}.get(key.principal_id[:4], "")
    return by_type or by_id or (USER if key.access_key_id.startswith("AKIA") else "")
