"""EC2 Auto Scaling: which group an instance is of, its protection, and its end with a replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clients.aws.errors import translated
from clients.aws.sdk import Service

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

JsonObject = dict[str, Any]


class AutoScaling(Service):
    """The groups of one account and region."""

    @property
    def _client(self) -> AutoScalingClient:
        client: AutoScalingClient = self._sdk.client("autoscaling")
        return client

    def instance(self, instance_id: str) -> JsonObject | None:
        """The instance as its group knows it, or None when it is in no group."""
        with translated("autoscaling:DescribeAutoScalingInstances"):
            answer = self._client.describe_auto_scaling_instances(InstanceIds=[instance_id])
        return next((dict(i) for i in answer["AutoScalingInstances"] if i["InstanceId"] == instance_id), None)

    def protect_from_scale_in(self, group: str, instance_id: str, protected: bool) -> None:
        """Switch the protection from scale-in; it stops no replacement for bad health."""
        with self._changing("autoscaling:SetInstanceProtection"):
            self._client.set_instance_protection(
                AutoScalingGroupName=group, InstanceIds=[instance_id], ProtectedFromScaleIn=protected
            )

    def replace(self, instance_id: str) -> None:
        """Terminate an instance and keep the desired capacity, so that its group starts another."""
        with self._changing("autoscaling:TerminateInstanceInAutoScalingGroup"):
            self._client.terminate_instance_in_auto_scaling_group(
                InstanceId=instance_id, ShouldDecrementDesiredCapacity=False
            )
