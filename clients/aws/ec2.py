"""EC2: the machines behind nodes, their network interfaces and groups, and the roles that they carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clients.aws.errors import translated
from clients.aws.sdk import Service
from errors import TargetGone

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

JsonObject = dict[str, Any]


class Ec2(Service):
    """The instances of one account and region. What does not exist is TargetGone."""

    @property
    def _client(self) -> EC2Client:
        client: EC2Client = self._sdk.client("ec2")
        return client

    # Instances

    def instance(self, instance_id: str) -> JsonObject:
        """One instance as EC2 describes it; terminated ones for about an hour after their end."""
        with translated("ec2:DescribeInstances"):
            answer = self._client.describe_instances(InstanceIds=[instance_id])
        for reservation in answer["Reservations"]:
            for instance in reservation["Instances"]:
                return dict(instance)
        raise TargetGone(f"EC2 knows no instance {instance_id}")

    def termination_protected(self, instance_id: str) -> bool:
        """Whether the API refuses to terminate the instance."""
        with translated("ec2:DescribeInstanceAttribute"):
            answer = self._client.describe_instance_attribute(InstanceId=instance_id, Attribute="disableApiTermination")
        return bool(answer["DisableApiTermination"].get("Value"))

    def protect_from_termination(self, instance_id: str, protected: bool) -> None:
        """Switch the protection; impossible for Spot instances, and nothing to Auto Scaling."""
        with self._changing("ec2:ModifyInstanceAttribute"):
            self._client.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": protected})

    def tag(self, resource_id: str, key: str, value: str | None) -> None:
        """Set one tag, or take it away."""
        if value is None:
            with self._changing("ec2:DeleteTags"):
                self._client.delete_tags(Resources=[resource_id], Tags=[{"Key": key}])
            return
        with self._changing("ec2:CreateTags"):
            self._client.create_tags(Resources=[resource_id], Tags=[{"Key": key, "Value": value}])

    def terminate(self, instance_id: str) -> None:
        """End an instance; its volumes marked DeleteOnTermination go with it."""
        with self._changing("ec2:TerminateInstances"):
            self._client.terminate_instances(InstanceIds=[instance_id])

    def console_output(self, instance_id: str) -> JsonObject:
        """The last console output that EC2 kept, up to 64 KB, base64-decoded by the SDK."""
        with translated("ec2:GetConsoleOutput"):
            answer = self._client.get_console_output(InstanceId=instance_id)
        return {k: answer.get(k) for k in ("InstanceId", "Output", "Timestamp")}

    # Network

    def interfaces(self, instance_id: str) -> list[JsonObject]:
        """The network interfaces attached to an instance, the primary one first."""
        with translated("ec2:DescribeNetworkInterfaces"):
            answer = self._client.describe_network_interfaces(
                Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
            )
        found = [dict(i) for i in answer["NetworkInterfaces"]]
        return sorted(found, key=lambda i: int((i.get("Attachment") or {}).get("DeviceIndex") or 0))

    def interface(self, interface_id: str) -> JsonObject:
        """One network interface."""
        with translated("ec2:DescribeNetworkInterfaces"):
            answer = self._client.describe_network_interfaces(NetworkInterfaceIds=[interface_id])
        if not answer["NetworkInterfaces"]:
            raise TargetGone(f"EC2 knows no network interface {interface_id}")
        return dict(answer["NetworkInterfaces"][0])

    def set_groups(self, interface_id: str, groups: Sequence[str]) -> None:
        """Replace the security groups of one interface; one with several interfaces must be changed one by one."""
        with self._changing("ec2:ModifyNetworkInterfaceAttribute"):
            self._client.modify_network_interface_attribute(NetworkInterfaceId=interface_id, Groups=list(groups))

    def groups(self, group_ids: Sequence[str]) -> list[JsonObject]:
        """Security groups by id."""
        with translated("ec2:DescribeSecurityGroups"):
            answer = self._client.describe_security_groups(GroupIds=list(group_ids))
        return [dict(g) for g in answer["SecurityGroups"]]

    def group_named(self, vpc_id: str, name: str) -> JsonObject | None:
        """The security group of a name in a VPC, where names are unique."""
        with translated("ec2:DescribeSecurityGroups"):
            answer = self._client.describe_security_groups(
                Filters=[{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": [name]}]
            )
        return next((dict(g) for g in answer["SecurityGroups"]), None)

    def create_group(self, vpc_id: str, name: str, description: str, tags: Mapping[str, str]) -> str:
        """Make a security group; EC2 gives it a rule that lets everything out. Returns its id."""
        with self._changing("ec2:CreateSecurityGroup"):
            answer = self._client.create_security_group(
                GroupName=name,
                Description=description,
                VpcId=vpc_id,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": _tags(tags)}],
            )
        return answer["GroupId"]

    def allow(self, group_id: str, *, ingress: Iterable[JsonObject] = (), egress: Iterable[JsonObject] = ()) -> None:
        """Add rules."""
        inward: Any = list(ingress)
        outward: Any = list(egress)
        if inward:
            with self._changing("ec2:AuthorizeSecurityGroupIngress"):
                self._client.authorize_security_group_ingress(GroupId=group_id, IpPermissions=inward)
        if outward:
            with self._changing("ec2:AuthorizeSecurityGroupEgress"):
                self._client.authorize_security_group_egress(GroupId=group_id, IpPermissions=outward)

    def revoke(self, group_id: str, *, ingress: Iterable[JsonObject] = (), egress: Iterable[JsonObject] = ()) -> None:
        """Take rules away."""
        inward: Any = list(ingress)
        outward: Any = list(egress)
        if inward:
            with self._changing("ec2:RevokeSecurityGroupIngress"):
                self._client.revoke_security_group_ingress(GroupId=group_id, IpPermissions=inward)
        if outward:
            with self._changing("ec2:RevokeSecurityGroupEgress"):
                self._client.revoke_security_group_egress(GroupId=group_id, IpPermissions=outward)

    # Volumes

    def volumes(self, instance_id: str) -> list[JsonObject]:
        """The volumes attached to an instance."""
        with translated("ec2:DescribeVolumes"):
            answer = self._client.describe_volumes(
                Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
            )
        return [dict(v) for v in answer["Volumes"]]

    def snapshots(self, tag: tuple[str, str]) -> list[JsonObject]:
        """Our own snapshots with one tag."""
        with translated("ec2:DescribeSnapshots"):
            pages = self._client.get_paginator("describe_snapshots").paginate(
                OwnerIds=["self"], Filters=[{"Name": f"tag:{tag[0]}", "Values": [tag[1]]}]
            )
            return [dict(s) for page in pages for s in page["Snapshots"]]

    def snapshot_all(self, instance_id: str, description: str, tags: Mapping[str, str]) -> None:
        """Begin snapshots of all volumes of an instance, of one moment."""
        with self._changing("ec2:CreateSnapshots"):
            self._client.create_snapshots(
                InstanceSpecification={"InstanceId": instance_id},
                Description=description,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": _tags(tags)}],
            )

    def snapshot(self, volume_id: str, description: str, tags: Mapping[str, str]) -> None:
        """Begin a snapshot of one volume."""
        with self._changing("ec2:CreateSnapshot"):
            self._client.create_snapshot(
                VolumeId=volume_id,
                Description=description,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": _tags(tags)}],
            )

    # Instance profiles

    def profile(self, instance_id: str) -> JsonObject | None:
        """The association of an instance with its profile, or None."""
        with translated("ec2:DescribeIamInstanceProfileAssociations"):
            answer = self._client.describe_iam_instance_profile_associations(
                Filters=[{"Name": "instance-id", "Values": [instance_id]}]
            )
        going = ("disassociating", "disassociated")
        found = [dict(a) for a in answer["IamInstanceProfileAssociations"] if a.get("State") not in going]
        return found[0] if found else None

    def give_profile(self, instance_id: str, arn: str) -> None:
        """Associate an instance that has none with a profile; asks for iam:PassRole of its role."""
        with self._changing("ec2:AssociateIamInstanceProfile"):
            self._client.associate_iam_instance_profile(InstanceId=instance_id, IamInstanceProfile={"Arn": arn})

    def take_profile(self, association_id: str) -> None:
        """Take the profile away; credentials that were issued stay valid until they expire."""
        with self._changing("ec2:DisassociateIamInstanceProfile"):
            self._client.disassociate_iam_instance_profile(AssociationId=association_id)


def _tags(tags: Mapping[str, str]) -> Any:
    return [{"Key": k, "Value": v} for k, v in tags.items()]
