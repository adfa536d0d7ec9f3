"""IAM: access keys of users, inline policies and trust of roles. IAM is global, and answers are eventually consistent.

Every document comes decoded, as the SDK gives it. Source: https://docs.aws.amazon.com/IAM/latest/APIReference/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from clients.aws.errors import translated
from clients.aws.sdk import Service
from errors import TargetGone

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import RoleTypeDef, UserTypeDef
    from mypy_boto3_sts import STSClient

Document = dict[str, Any]
"""A policy, decoded."""


class Iam(Service):
    """The identities of one account. Where a user, role or key does not exist: TargetGone."""

    @property
    def _client(self) -> IAMClient:
        client: IAMClient = self._sdk.client("iam")
        return client

    def caller_arn(self) -> str:
        """Who we are: the ARN of the user, or of the assumed role with its session."""
        client: STSClient = self._sdk.client("sts")
        with translated("sts:GetCallerIdentity"):
            return client.get_caller_identity()["Arn"]

    def is_caller(self, kind: str, name: str) -> bool:
        """Whether we ourselves act as a `user` or `role`: who takes away our own credentials can undo nothing more."""
        word, *parts = self.caller_arn().rpartition(":")[2].split("/")
        own = parts[0] if word == "assumed-role" else parts[-1] if parts else ""
        return own.lower() == name.lower() and word == ("assumed-role" if kind == "role" else "user")

    # Access keys

    def access_keys(self, user: str) -> dict[str, str]:
        """The status of each access key of a user, by its id: Active or Inactive."""
        with translated("iam:ListAccessKeys"):
            pages = self._client.get_paginator("list_access_keys").paginate(UserName=user)
            return {k["AccessKeyId"]: k["Status"] for page in pages for k in page["AccessKeyMetadata"]}

    def key_owner(self, key_id: str) -> str:
        """The user whose key it is."""
        with translated("iam:GetAccessKeyLastUsed"):
            owner = self._client.get_access_key_last_used(AccessKeyId=key_id).get("UserName", "")
        if not owner:
            raise TargetGone(f"iam:GetAccessKeyLastUsed: IAM knows no user with the key {key_id}")
        return owner

    def set_key_status(self, user: str, key_id: str, status: str) -> None:
        """Switch a key on (Active) or off (Inactive)."""
        with self._changing("iam:UpdateAccessKey"):
            self._client.update_access_key(
                UserName=user, AccessKeyId=key_id, Status=cast(Literal["Active", "Inactive"], status)
            )

    def delete_access_key(self, user: str, key_id: str) -> None:
        """Delete a key for good."""
        with self._changing("iam:DeleteAccessKey"):
            self._client.delete_access_key(UserName=user, AccessKeyId=key_id)

    # Users and roles

    def user(self, name: str) -> UserTypeDef:
        """One user."""
        with translated("iam:GetUser"):
            return self._client.get_user(UserName=name)["User"]

    def role(self, name: str) -> RoleTypeDef:
        """One role, its trust policy in `AssumeRolePolicyDocument`."""
        with translated("iam:GetRole"):
            return self._client.get_role(RoleName=name)["Role"]

    def roles(self) -> Iterator[RoleTypeDef]:
        """All roles of the account, with their trust policies."""
        with translated("iam:ListRoles"):
            for page in self._client.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1000}):
                yield from page["Roles"]

    def set_trust(self, role: str, document: Mapping[str, Any]) -> None:
        """Replace the trust policy of a role."""
        with self._changing("iam:UpdateAssumeRolePolicy"):
            self._client.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))

    # Inline policies

    def role_policy(self, role: str, policy: str) -> Document | None:
        """An inline policy of a role; None when the role has none of that name."""
        try:
            with translated("iam:GetRolePolicy"):
                answer = self._client.get_role_policy(RoleName=role, PolicyName=policy)
        except TargetGone:
            # IAM gives the same answer for a role that does not exist.
            self.role(role)
            return None
        return cast(Document, answer["PolicyDocument"])

    def put_role_policy(self, role: str, policy: str, document: Mapping[str, Any]) -> None:
        """Create or replace an inline policy of a role."""
        with self._changing("iam:PutRolePolicy"):
            self._client.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))

    def delete_role_policy(self, role: str, policy: str) -> None:
        """Delete an inline policy of a role."""
        with self._changing("iam:DeleteRolePolicy"):
            self._client.delete_role_policy(RoleName=role, PolicyName=policy)

    def user_policy(self, user: str, policy: str) -> Document | None:
        """An inline policy of a user; None when the user has none of that name."""
        try:
            with translated("iam:GetUserPolicy"):
                answer = self._client.get_user_policy(UserName=user, PolicyName=policy)
        except TargetGone:
            self.user(user)
            return None
        return cast(Document, answer["PolicyDocument"])

    def put_user_policy(self, user: str, policy: str, document: Mapping[str, Any]) -> None:
        """Create or replace an inline policy of a user."""
        with self._changing("iam:PutUserPolicy"):
            self._client.put_user_policy(UserName=user, PolicyName=policy, PolicyDocument=json.dumps(document))

    def delete_user_policy(self, user: str, policy: str) -> None:
        """Delete an inline policy of a user."""
        with self._changing("iam:DeleteUserPolicy"):
            self._client.delete_user_policy(UserName=user, PolicyName=policy)
