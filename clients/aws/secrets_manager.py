"""Secrets Manager: whether a secret is rotated by itself, and its rotation now. Values are never asked for.

Rotating is asynchronous: AWS starts a Lambda function or the service that owns the secret, and the new version becomes
the current one when that is done. The request's token is the new version's id, so that asking twice rotates once.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clients.aws.errors import translated
from clients.aws.sdk import Service

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class SecretState(NamedTuple):
    """What is known of a secret, without its value."""

    arn: str
    name: str
    rotates: bool
    """Whether rotation is set up: without it AWS refuses to rotate."""
    current: str
    """The id of the current version."""


class SecretsManager(Service):
    """The secrets of one account and region. Where one does not exist: TargetGone."""

    @property
    def _client(self) -> SecretsManagerClient:
        client: SecretsManagerClient = self._sdk.client("secretsmanager")
        return client

    def state(self, secret: str) -> SecretState:
        """How a secret stands, by its ARN or name."""
        with translated("secretsmanager:DescribeSecret"):
            found = self._client.describe_secret(SecretId=secret)
        stages = found.get("VersionIdsToStages") or {}
        return SecretState(
            arn=found["ARN"],
            name=found["Name"],
            rotates=bool(found.get("RotationEnabled")),
            current=next((version for version, names in stages.items() if "AWSCURRENT" in names), ""),
        )

    def rotate(self, arn: str, token: str) -> None:
        """Have a new version made and become the current one. Returns before that has happened."""
        with self._changing("secretsmanager:RotateSecret"):
            self._client.rotate_secret(SecretId=arn, ClientRequestToken=token)
