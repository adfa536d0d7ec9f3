"""The OIDC provider of a cluster: who signs in through it, and how it is disassociated and associated again (guide U2).

EKS cannot revoke one user of a provider: what can be taken away is the user's bindings, or the provider as a whole.

Source: https://docs.aws.amazon.com/eks/latest/userguide/authenticate-oidc-identity-provider.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from pydantic import JsonValue

from activities.changes.kinds import Values, register
from clients.aws.eks import Eks
from errors import TargetGone, Unavailable
from findings.subject import Subject, SubjectKind
from plans.model import Change, ResourceRef
from plans.situation import words

if TYPE_CHECKING:
    from mypy_boto3_eks.type_defs import OidcIdentityProviderConfigRequestTypeDef

KIND: Final = "IdentityProviderConfig"
DELETING: Final = "DELETING"
_ASKED: Final = (
    "identityProviderConfigName",
    "issuerUrl",
    "clientId",
    "usernameClaim",
    "usernamePrefix",
    "groupsClaim",
    "groupsPrefix",
    "requiredClaims",
)
"""What EKS is told when a provider is associated; all of it can be read back."""


class Provider(NamedTuple):
    """One configuration, as EKS describes it."""

    name: str
    arn: str
    issuer: str
    claim: str
    prefix: str
    status: str
    config: dict[str, Any]
    tags: dict[str, str]

    def signs_in(self, subject: Subject) -> bool:
        """Whether the subject's username can come from it: by its prefix, or where there is none by its form."""
        if subject.kind not in (SubjectKind.OIDC_USER, SubjectKind.UNRESOLVED) or subject.access_key_id:
            return False
        if self.prefix:
            return subject.username.startswith(self.prefix) and len(subject.username) > len(self.prefix)
        return subject.kind is SubjectKind.OIDC_USER or self.claim != "email"


def providers_of(eks: Eks, cluster: str) -> list[Provider]:
    """The configurations of a cluster that are not on their way out."""
    found = []
    for name in eks.identity_providers(cluster):
        try:
            provider = read_provider(eks, cluster, name)
        except TargetGone:
            continue
        if provider.status != DELETING:
            found.append(provider)
    return found


def read_provider(eks: Eks, cluster: str, name: str) -> Provider:
    """One configuration.

    Raises:
        TargetGone: There is none of this name.
    """
    oidc = cast(dict[str, Any], eks.identity_provider(cluster, name))
    config = {key: oidc[key] for key in _ASKED if oidc.get(key)}
    if "usernamePrefix" not in config:
        # Left out, EKS would put the issuer in front; this is how one says that there is to be nothing.
        config["usernamePrefix"] = "-"
    return Provider(
        name=name,
        arn=oidc.get("identityProviderConfigArn", ""),
        issuer=oidc.get("issuerUrl", ""),
        claim=oidc.get("usernameClaim", "sub"),
        prefix=oidc.get("usernamePrefix", ""),
        status=oidc.get("status", ""),
        config=config,
        tags=dict(oidc.get("tags") or {}),
    )


def disassociated(provider: Provider, step: str) -> Change:
    """The change that disassociates a provider."""
    return Change(
        step=step,
        resource=ResourceRef(kind=KIND, name=provider.name),
        summary=f"provider {words(provider.issuer)} disassociated: nobody signs in through it any more",
        before={"": cast(JsonValue, {"config": provider.config, "tags": provider.tags})},
        after={"": None},
    )


class ProviderKind:
    """A configuration as a whole. Both ways take EKS some minutes; one on its way out counts as gone."""

    undoable = True

    def __init__(self, eks: Eks, cluster: str) -> None:
        self._eks = eks
        self._cluster = cluster

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """What EKS would have to be told to associate it again; None where it is gone or goes."""
        try:
            provider = read_provider(self._eks, self._cluster, ref.name)
        except TargetGone:
            return dict.fromkeys(fields)
        gone = provider.status == DELETING
        return dict.fromkeys(fields, None if gone else {"config": provider.config, "tags": provider.tags})

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Disassociate, or associate as it was.

        Raises:
            Unavailable: The old one is still on its way out, and EKS knows one at a time: a retry goes on.
        """
        value = new[""]
        if value is None:
            self._eks.disassociate_provider(self._cluster, ref.name)
            return
        try:
            read_provider(self._eks, self._cluster, ref.name)
        except TargetGone:
            oidc = cast("OidcIdentityProviderConfigRequestTypeDef", value["config"])
            self._eks.associate_provider(self._cluster, oidc, value["tags"])
            return
        raise Unavailable(f"{ref} is still being removed; it is associated again when that is done")


register(KIND, lambda doors: ProviderKind(doors.aws.eks, doors.settings.cluster))
