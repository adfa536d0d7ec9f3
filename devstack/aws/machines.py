"""The machines behind the nodes: instances with the role of the nodes, in an Auto Scaling group that replaces them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.client import AutoScalingClient
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_iam.client import IAMClient

GROUP = "eks-demo"
"""The group behind the node group `demo`."""
_IMAGE = "ami-0f1a2b3c4d5e6f708"
_TYPE: Final = "m6i.4xlarge"
_TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, '
    '"Action": "sts:AssumeRole"}]}'
)


@dataclass(frozen=True)
class Instance:
    """The EC2 instance behind one node."""

    instance_id: str
    private_ip: str
    private_dns: str
    zone: str


def make_role(iam: IAMClient, cluster: str) -> str:
    """The role of the nodes with its instance profile; returns the name of both."""
    name = f"{cluster}-node"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_TRUST)
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return name


def run_instances(ec2: EC2Client, cluster: str, count: int, *, spot: bool = False, profile: str = "") -> list[Instance]:
    """Start instances as EKS does for a node group."""
    market = {"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}
    answer = ec2.run_instances(
        ImageId=_IMAGE,
        InstanceType=_TYPE,
        MinCount=count,
        MaxCount=count,
        IamInstanceProfile={"Name": profile or f"{cluster}-node"},
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 80, "VolumeType": "gp3"}}],
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": f"kubernetes.io/cluster/{cluster}", "Value": "owned"},
                    {"Key": "eks:cluster-name", "Value": cluster},
                    {"Key": "eks:nodegroup-name", "Value": "demo"},
                ],
            }
        ],
        **market,  # type: ignore[arg-type]  # The type of an empty dictionary fits none of the keywords.
    )
    return [
        Instance(i["InstanceId"], i["PrivateIpAddress"], i["PrivateDnsName"], i["Placement"]["AvailabilityZone"])
        for i in answer["Instances"]
    ]


def make_group(ec2: EC2Client, scaling: AutoScalingClient, instances: list[Instance]) -> None:
    """Make the group, and let it have the instances that run already."""
    described = ec2.describe_instances(InstanceIds=[instances[0].instance_id])["Reservations"][0]["Instances"][0]
    ec2.create_launch_template(LaunchTemplateName=GROUP, LaunchTemplateData={"ImageId": _IMAGE, "InstanceType": _TYPE})
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        MinSize=0,
        MaxSize=10_000,
        DesiredCapacity=0,
        LaunchTemplate={"LaunchTemplateName": GROUP},
        VPCZoneIdentifier=described["SubnetId"],
    )
    # The API takes twenty at a time.
    ids = [i.instance_id for i in instances]
    for start in range(0, len(ids), 20):
        scaling.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=ids[start : start + 20])
