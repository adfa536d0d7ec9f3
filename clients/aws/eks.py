"""EKS: who may enter a cluster (access entries, identity providers), and which roles its pods get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clients.aws.errors import translated
from clients.aws.sdk import Service

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_eks.type_defs import (
        AccessEntryTypeDef,
        AccessScopeTypeDef,
        AssociatedAccessPolicyTypeDef,
        ClusterTypeDef,
        OidcIdentityProviderConfigRequestTypeDef,
        OidcIdentityProviderConfigTypeDef,
        PodIdentityAssociationSummaryTypeDef,
        PodIdentityAssociationTypeDef,
    )


class Eks(Service):
    """The clusters of one account and region. Where a cluster or a resource of it does not exist: TargetGone."""

    @property
    def _client(self) -> EKSClient:
        client: EKSClient = self._sdk.client("eks")
        return client

    def cluster(self, name: str) -> ClusterTypeDef:
        """One cluster: its platform version, issuer and authentication mode."""
        with translated("eks:DescribeCluster"):
            return self._client.describe_cluster(name=name)["cluster"]

    # Access entries

    def access_entries(self, cluster: str, policy_arn: str = "") -> Iterator[str]:
        """The principals that have an entry, or those whose entry has a policy."""
        extra = {"associatedPolicyArn": policy_arn} if policy_arn else {}
        with translated("eks:ListAccessEntries"):
            pages = self._client.get_paginator("list_access_entries").paginate(clusterName=cluster, **extra)  # type: ignore[arg-type]
            for page in pages:
                yield from page["accessEntries"]

    def access_entry(self, cluster: str, principal_arn: str) -> AccessEntryTypeDef:
        """The entry of a principal."""
        with translated("eks:DescribeAccessEntry"):
            return self._client.describe_access_entry(clusterName=cluster, principalArn=principal_arn)["accessEntry"]

    def set_groups(self, cluster: str, principal_arn: str, groups: list[str]) -> None:
        """Replace the Kubernetes groups of an entry."""
        with self._changing("eks:UpdateAccessEntry"):
            self._client.update_access_entry(clusterName=cluster, principalArn=principal_arn, kubernetesGroups=groups)

    def access_policies(self, cluster: str, principal_arn: str) -> list[AssociatedAccessPolicyTypeDef]:
        """The access policies that are associated with an entry."""
        with translated("eks:ListAssociatedAccessPolicies"):
            pages = self._client.get_paginator("list_associated_access_policies").paginate(
                clusterName=cluster, principalArn=principal_arn
            )
            return [policy for page in pages for policy in page["associatedAccessPolicies"]]

    def associate_policy(self, cluster: str, principal_arn: str, policy_arn: str, scope: AccessScopeTypeDef) -> None:
        """Associate an access policy, or give the one that is associated another scope."""
        with self._changing("eks:AssociateAccessPolicy"):
            self._client.associate_access_policy(
                clusterName=cluster, principalArn=principal_arn, policyArn=policy_arn, accessScope=scope
            )

    def disassociate_policy(self, cluster: str, principal_arn: str, policy_arn: str) -> None:
        """Take an access policy from an entry."""
        with self._changing("eks:DisassociateAccessPolicy"):
            self._client.disassociate_access_policy(
                clusterName=cluster, principalArn=principal_arn, policyArn=policy_arn
            )

    # Identity providers

    def identity_providers(self, cluster: str) -> list[str]:
        """The names of the OIDC configurations; EKS knows no other type so far."""
        with translated("eks:ListIdentityProviderConfigs"):
            pages = self._client.get_paginator("list_identity_provider_configs").paginate(clusterName=cluster)
            return [c["name"] for page in pages for c in page["identityProviderConfigs"] if c["type"] == "oidc"]

    def identity_provider(self, cluster: str, name: str) -> OidcIdentityProviderConfigTypeDef:
        """One OIDC configuration, with its status."""
        with translated("eks:DescribeIdentityProviderConfig"):
            answer = self._client.describe_identity_provider_config(
                clusterName=cluster, identityProviderConfig={"type": "oidc", "name": name}
            )
        return answer["identityProviderConfig"]["oidc"]

    def associate_provider(
        self, cluster: str, oidc: OidcIdentityProviderConfigRequestTypeDef, tags: Mapping[str, str]
    ) -> None:
        """Associate an OIDC provider; it takes some minutes, and `identity_provider` says how far it is."""
        with self._changing("eks:AssociateIdentityProviderConfig"):
            self._client.associate_identity_provider_config(clusterName=cluster, oidc=oidc, tags=tags)

    def disassociate_provider(self, cluster: str, name: str) -> None:
        """Disassociate an OIDC provider, which shuts out everybody who signs in through it; in the background too."""
        with self._changing("eks:DisassociateIdentityProviderConfig"):
            self._client.disassociate_identity_provider_config(
                clusterName=cluster, identityProviderConfig={"type": "oidc", "name": name}
            )

    # Pod Identity

    def pod_identities(
        self, cluster: str, *, namespace: str = "", account: str = ""
    ) -> list[PodIdentityAssociationSummaryTypeDef]:
        """The associations of a cluster, of a namespace, or of one service account."""
        asked = {k: v for k, v in (("namespace", namespace), ("serviceAccount", account)) if v}
        with translated("eks:ListPodIdentityAssociations"):
            pages = self._client.get_paginator("list_pod_identity_associations").paginate(clusterName=cluster, **asked)  # type: ignore[arg-type]
            return [a for page in pages for a in page["associations"]]

    def pod_identity(self, cluster: str, association_id: str) -> PodIdentityAssociationTypeDef:
        """One association, with its role."""
        with translated("eks:DescribePodIdentityAssociation"):
            return self._client.describe_pod_identity_association(clusterName=cluster, associationId=association_id)[
                "association"
            ]

    def create_pod_identity(
        self,
        cluster: str,
        *,
        namespace: str,
        account: str,
        role_arn: str,
        tags: Mapping[str, str],
        more: Mapping[str, Any] | None = None,
    ) -> PodIdentityAssociationTypeDef:
        """Give the pods of a service account a role; `more` is what else the association said when it was described.

        Raises:
            Conflict: They have one.
        """
        with self._changing("eks:CreatePodIdentityAssociation"):
            return self._client.create_pod_identity_association(
                clusterName=cluster,
                namespace=namespace,
                serviceAccount=account,
                roleArn=role_arn,
                tags=tags,
                **(more or {}),
            )["association"]

    def delete_pod_identity(self, cluster: str, association_id: str) -> None:
        """Take the role from the pods of a service account; credentials that they hold live on until they expire."""
        with self._changing("eks:DeletePodIdentityAssociation"):
            self._client.delete_pod_identity_association(clusterName=cluster, associationId=association_id)
