"""Fills the stand-in with the demo's account: detector, evidence bucket, cluster, the instances behind the nodes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import urllib3
from botocore.config import Config

from devstack.aws import audit
from devstack.aws.machines import Instance, make_group, make_role, run_instances
from devstack.processes import Command
from devstack.state import Settings, StackError

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_eks.client import EKSClient
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_s3.client import S3Client

EVIDENCE_BUCKET = "firebreak-evidence"
ADMINISTRATOR = "platform-admin"
"""The role that administers the demo's cluster."""
ACCESS_KEY_ID = "firebreak-devstack"
SECRET_ACCESS_KEY = "firebreak-devstack"  # noqa: S105 - The stand-in checks no signature; botocore needs some text.
_KUBERNETES_VERSION = "1.35"
# moto draws its identifiers from a generator that can be seeded. A stand-in that is started again then has the same
# instances, which the nodes of the cluster name in their providerID.
_SEED = 7


@dataclass(frozen=True)
class Account:
    """What was made in the account."""

    detector_id: str
    instances: list[Instance]


def command(name: str, settings: Settings) -> Command:
    """The command line of the stand-in: this Python, whose path must lead to this package."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    # moto reads these; somebody's shell must not decide how the stand-in behaves.
    environment = {"PYTHONPATH": path, "MOTO_ACCOUNT_ID": settings.account, "PYTHONUNBUFFERED": "1"}
    # Making every image that Amazon ever published takes longer than all the rest.
    environment["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    return Command(name, [sys.executable, "-m", "devstack.aws.server", str(settings.ports.aws)], environment)


def prepare_account(endpoint: str, *, account: str, region: str, cluster: str, nodes: int) -> Account:
    """Make what an account with GuardDuty and one EKS cluster has, in an empty stand-in."""
    session = boto3.session.Session(
        aws_access_key_id=ACCESS_KEY_ID, aws_secret_access_key=SECRET_ACCESS_KEY, region_name=region
    )
    # Without `proxies` botocore would send even this loopback traffic to the proxy of the user's shell.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=30, proxies={})
    urllib3.request("POST", f"{endpoint}/moto-api/seed?a={_SEED}", retries=False)
    ec2: EC2Client = session.client("ec2", endpoint_url=endpoint, config=config)
    make_role(session.client("iam", endpoint_url=endpoint, config=config), cluster)
    instances = run_instances(ec2, cluster, nodes)
    make_group(ec2, session.client("autoscaling", endpoint_url=endpoint, config=config), instances)
    eks: EKSClient = session.client("eks", endpoint_url=endpoint, config=config)
    _create_cluster(eks, ec2, account, cluster)
    _create_administrator(eks, session.client("iam", endpoint_url=endpoint, config=config), account, cluster)
    audit.make_log(session.client("logs", endpoint_url=endpoint, config=config), cluster)
    s3: S3Client = session.client("s3", endpoint_url=endpoint, config=config)
    _create_bucket(s3, region)
    guardduty = session.client("guardduty", endpoint_url=endpoint, config=config)
    detector = guardduty.create_detector(Enable=True, FindingPublishingFrequency="FIFTEEN_MINUTES")
    return Account(str(detector["DetectorId"]), instances)


def put_findings(
    endpoint: str, *, region: str, detector_id: str, findings: Iterable[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Put findings where GetFindings and ListFindings find them; an id that is there already is replaced.

    Args:
        endpoint: The AWS endpoint URL of the stack.
        region: Of the detector.
        detector_id: The detector, which must exist.
        findings: Each in the API's wire form (lower camel case, as in EventBridge's ``detail``) or as boto3 returns it.

    Returns:
        ``stored``, the ids, and ``dropped``, the paths of fields that GuardDuty's API does not know.

    Raises:
        StackError: The stand-in refused; the message names the field.
    """
    body = {"region": region, "detector_id": detector_id, "findings": list(findings)}
    answer = urllib3.request(
        "POST", f"{endpoint}/_firebreak/guardduty/findings", body=json.dumps(body).encode(), retries=False
    )
    content = answer.json()
    if answer.status != 200:
        raise StackError(f"the stand-in refused the findings: {content['message']}")
    return dict(content)


def put_events(endpoint: str, *, region: str, events: Iterable[Mapping[str, Any]]) -> int:
    """Put events where CloudTrail's LookupEvents finds them, each in the shape that it returns.

    Returns:
        How many were stored.

    Raises:
        StackError: The stand-in refused; the message names the field.
    """
    body = {"region": region, "events": list(events)}
    answer = urllib3.request(
        "POST", f"{endpoint}/_firebreak/cloudtrail/events", body=json.dumps(body).encode(), retries=False
    )
    content = answer.json()
    if answer.status != 200:
        raise StackError(f"the stand-in refused the events: {content['message']}")
    return int(content["stored"])


def _create_cluster(eks: EKSClient, ec2: EC2Client, account: str, cluster: str) -> None:
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    eks.create_cluster(
        name=cluster,
        version=_KUBERNETES_VERSION,
        roleArn=f"arn:aws:iam::{account}:role/{cluster}-cluster",
        resourcesVpcConfig={"subnetIds": subnets[:2]},
        logging=audit.ON,
    )
    eks.create_nodegroup(
        clusterName=cluster,
        nodegroupName="demo",
        subnets=subnets[:2],
        nodeRole=f"arn:aws:iam::{account}:role/{cluster}-node",
    )
    # EKS makes the entry of a node group's role itself.
    eks.create_access_entry(
        clusterName=cluster, principalArn=f"arn:aws:iam::{account}:role/{cluster}-node", type="EC2_LINUX"
    )


def _create_administrator(eks: EKSClient, iam: IAMClient, account: str, cluster: str) -> None:
    """Somebody who administers the cluster whoever else is cut off."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName=ADMINISTRATOR,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    arn = f"arn:aws:iam::{account}:role/{ADMINISTRATOR}"
    eks.create_access_entry(clusterName=cluster, principalArn=arn)
    eks.associate_access_policy(
        clusterName=cluster,
        principalArn=arn,
        policyArn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        accessScope={"type": "cluster"},
    )


def _create_bucket(s3: S3Client, region: str) -> None:
    if region == "us-east-1":
        # The one region that S3 refuses as a location constraint.
        s3.create_bucket(Bucket=EVIDENCE_BUCKET, ObjectLockEnabledForBucket=True)
    else:
        s3.create_bucket(
            Bucket=EVIDENCE_BUCKET,
            ObjectLockEnabledForBucket=True,
            CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
        )
    s3.put_bucket_versioning(Bucket=EVIDENCE_BUCKET, VersioningConfiguration={"Status": "Enabled"})
