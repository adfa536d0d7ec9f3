"""The door to AWS: one account and region, its services side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clients.aws.autoscaling import AutoScaling
from clients.aws.cloudtrail import CloudTrail
from clients.aws.detective import Detective
from clients.aws.ec2 import Ec2
from clients.aws.ecr import Ecr
from clients.aws.eks import Eks
from clients.aws.guardduty import GuardDuty
from clients.aws.iam import Iam
from clients.aws.logs import Logs
from clients.aws.sdk import Sdk
from clients.aws.secrets_manager import SecretsManager

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Aws:
    """The services of one account and region that Firebreak asks. Safe to share between threads."""

    def __init__(self, *, region: str = "", timeout: tuple[float, float] = (3, 15)) -> None:
        """Prepare; nothing is asked yet.

        Args:
            region: The region; that of the environment when empty.
            timeout: Seconds to connect, and seconds between two reads.

        Raises:
            InputError: The environment names no region, or a profile that does not exist.
        """
        self._open(Sdk(region, timeout), None)
        # Every incident asks GuardDuty first, and should not wait for its client to be made.
        self._sdk.client("guardduty")

    def _open(self, sdk: Sdk, before_change: Callable[[], None] | None) -> None:
        self._sdk = sdk
        self.cloudtrail = CloudTrail(sdk, before_change)
        self.detective = Detective(sdk, before_change)
        self.autoscaling = AutoScaling(sdk, before_change)
        self.ec2 = Ec2(sdk, before_change)
        self.ecr = Ecr(sdk, before_change)
        self.eks = Eks(sdk, before_change)
        self.guardduty = GuardDuty(sdk, before_change)
        self.iam = Iam(sdk, before_change)
        self.logs = Logs(sdk, before_change)
        self.secrets_manager = SecretsManager(sdk, before_change)

    def guarded_by(self, before_change: Callable[[], None]) -> Aws:
        """The same account, credentials and connections, with a guard before every change (the pause switch)."""
        guarded = Aws.__new__(Aws)
        guarded._open(self._sdk, before_change)
        return guarded

    @property
    def region(self) -> str:
        """The region in which the services are asked."""
        return self._sdk.region

    @property
    def s3(self) -> S3Client:
        """The S3 client, for the evidence store, which translates the errors of its own calls."""
        client: S3Client = self._sdk.client("s3")
        return client
