"""Which IAM roles the pods of a service account can take, and who else takes them (guide U6, P9).

Three ways lead from an account to a role: a Pod Identity association, a role whose trust policy lets the cluster's
tokens in, and the annotation, which only says which role the pods will ask for. A stolen token asks for any role that
trusts it, so the trust policies are what counts.
Source: https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from activities.doors import Doors
from activities.user.documents import account_subject, other_subjects, trusted_provider
from clients.aws.iam import Document
from clients.paths import list_path, object_path
from errors import TargetGone
from plans.situation import words

ANNOTATION: Final = "eks.amazonaws.com/role-arn"
_ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/(?:[!-~]+/)?([A-Za-z0-9+=,.@_-]{1,64})", re.ASCII)
_MOST_ASSOCIATIONS: Final = 100


class Role(NamedTuple):
    """A role that an account can take.

    Attributes:
        name: Without path.
        arn: As the association or annotation says, or "".
        provider: The identity provider through which its trust policy lets the account in, or "".
        associated: Whether a Pod Identity association gives it.
        shared: Who else takes it, as far as the cluster and the trust policy say.
        foreign: Whether it is a role of another account.
    """

    name: str
    arn: str = ""
    provider: str = ""
    associated: bool = False
    shared: tuple[str, ...] = ()
    foreign: bool = False


class Found(NamedTuple):
    """The roles of one service account. `issuer` is the cluster's, without `https://`."""

    issuer: str
    roles: tuple[Role, ...]


class AccountRoles:
    """Looks roles of service accounts up."""

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes
        self._eks = doors.aws.eks
        self._iam = doors.aws.iam
        self._cluster = doors.settings.cluster
        self._account = doors.settings.account

    def of(self, namespace: str, name: str) -> Found:
        """The roles of a service account, whether it still exists or not.

        Raises:
            FirebreakError: EKS or IAM refuses, or does not answer.
        """
        issuer = self._issuer()
        subject = account_subject(namespace, name)
        found: dict[str, Role] = {}
        for arn in self._associated(namespace, name):
            found[_name(arn)] = self._role(arn)._replace(associated=True)
        annotated = self._annotated(namespace, name)
        if annotated and _name(annotated) not in found:
            found[_name(annotated)] = self._role(annotated)
        for role_name, trust in self._trusts() if issuer else ():
            provider = trusted_provider(trust, issuer, subject)
            if provider:
                others = tuple(f"whoever is {words(o)}" for o in other_subjects(trust, issuer, subject))
                role = found.get(role_name, Role(role_name))
                found[role_name] = role._replace(provider=provider, shared=others)
        return Found(issuer, self._with_others(namespace, name, found))

    def associated(self, namespace: str, name: str) -> bool:
        """Whether Pod Identity still gives the account a role."""
        return bool(self._eks.pod_identities(self._cluster, namespace=namespace, account=name))

    def _issuer(self) -> str:
        cluster = self._eks.cluster(self._cluster)
        return cluster.get("identity", {}).get("oidc", {}).get("issuer", "").removeprefix("https://")

    def _associated(self, namespace: str, name: str) -> Iterator[str]:
        for association in self._eks.pod_identities(self._cluster, namespace=namespace, account=name):
            yield self._eks.pod_identity(self._cluster, association["associationId"])["roleArn"]

    def _annotated(self, namespace: str, name: str) -> str:
        try:
            account = self._kubernetes.get(object_path("ServiceAccount", namespace, name))
        except TargetGone:
            return ""
        arn = str((account["metadata"].get("annotations") or {}).get(ANNOTATION, ""))
        return arn if _ROLE_ARN.fullmatch(arn) else ""

    def _role(self, arn: str) -> Role:
        match = _ROLE_ARN.fullmatch(arn)
        return Role(_name(arn), arn, foreign=match is None or match[1] != self._account)

    def _trusts(self) -> Iterator[tuple[str, Document]]:
        for role in self._iam.roles():
            document = role.get("AssumeRolePolicyDocument")
            if isinstance(document, dict):
                yield role["RoleName"], dict(document)

    def _with_others(self, namespace: str, name: str, found: dict[str, Role]) -> tuple[Role, ...]:
        """The roles, each with the other service accounts of the cluster that take it."""
        if not found:
            return ()
        users: dict[str, list[str]] = {}
        for who, arn in (*self._annotations(), *self._associations()):
            if who != f"{namespace}/{name}":
                users.setdefault(_name(arn), []).append(f"the service account {words(who)}")
        return tuple(
            r._replace(shared=tuple(dict.fromkeys((*users.get(r.name, ()), *r.shared)))) for r in found.values()
        )

    def _annotations(self) -> Iterator[tuple[str, str]]:
        for account in self._kubernetes.items(list_path("ServiceAccount")):
            metadata = account["metadata"]
            arn = (metadata.get("annotations") or {}).get(ANNOTATION)
            if arn:
                yield f"{metadata['namespace']}/{metadata['name']}", str(arn)

    def _associations(self) -> Iterator[tuple[str, str]]:
        """Each association costs a call of its own, so no more than a hundred are asked for."""
        for association in self._eks.pod_identities(self._cluster)[:_MOST_ASSOCIATIONS]:
            try:
                described = self._eks.pod_identity(self._cluster, association["associationId"])
            except TargetGone:
                continue
            yield f"{described['namespace']}/{described['serviceAccount']}", described["roleArn"]


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
