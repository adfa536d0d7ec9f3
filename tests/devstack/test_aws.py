"""The stand-in for AWS through boto3, as the product talks to it."""

import copy
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from devstack.aws import audit
from devstack.aws.prepare import EVIDENCE_BUCKET, put_findings
from devstack.stack import StackInfo
from devstack.state import StackError

pytestmark = pytest.mark.stack

DETECTOR_ERROR = "The request is rejected because the input detectorId is not owned by the current account."


def client(stack: StackInfo, service: str) -> Any:
    variables = stack.environment()
    # Typed as Any, because the stubs know only names of services that are written out.
    session: Any = boto3.session.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )
    config = Config(retries={"total_max_attempts": 1})
    return session.client(service, endpoint_url=variables["AWS_ENDPOINT_URL"], config=config)


@pytest.fixture
def guardduty(stack: StackInfo) -> Any:
    return client(stack, "guardduty")


def finding(**changes: Any) -> dict[str, Any]:
    identifier = secrets.token_hex(16)
    return {
        "accountId": "123456789012",
        "arn": f"arn:aws:guardduty:us-east-1:123456789012:detector/d/finding/{identifier}",
        "createdAt": "2026-01-05T09:15:00.000Z",
        "updatedAt": "2026-01-05T09:20:00.000Z",
        "id": identifier,
        "region": "us-east-1",
        "resource": {"resourceType": "EKSCluster", "eksClusterDetails": {"name": "firebreak-demo"}},
        "schemaVersion": "2.0",
        "service": {"archived": False, "count": 1, "additionalInfo": {"value": "{}", "type": "default"}},
        "severity": 8,
        "type": "Execution:Runtime/ReverseShell",
        **changes,
    }


def put(stack: StackInfo, *findings: dict[str, Any]) -> dict[str, list[str]]:
    return put_findings(stack.aws_endpoint, region=stack.region, detector_id=stack.detector_id, findings=findings)


def test_get_findings_returns_what_was_put(stack: StackInfo, guardduty: Any) -> None:
    one, two = finding(), finding(severity=5.5)
    assert put(stack, one, two) == {"stored": [one["id"], two["id"]], "dropped": []}
    answer = guardduty.get_findings(DetectorId=stack.detector_id, FindingIds=[two["id"], one["id"], "unknown"])
    assert [item["Id"] for item in answer["Findings"]] == [two["id"], one["id"]]
    got = answer["Findings"][1]
    assert got["Service"]["AdditionalInfo"] == {"Value": "{}", "Type": "default"}
    assert got["Resource"]["EksClusterDetails"]["Name"] == "firebreak-demo"
    ordered = guardduty.get_findings(
        DetectorId=stack.detector_id,
        FindingIds=[one["id"], two["id"]],
        SortCriteria={"AttributeName": "severity", "OrderBy": "ASC"},
    )
    assert [item["Severity"] for item in ordered["Findings"]] == [5.5, 8]


def test_boto3_s_own_shape_can_be_put_back(stack: StackInfo, guardduty: Any) -> None:
    one = finding()
    put(stack, one)
    [got] = guardduty.get_findings(DetectorId=stack.detector_id, FindingIds=[one["id"]])["Findings"]
    got = {**copy.deepcopy(got), "Id": secrets.token_hex(16)}
    put(stack, got)
    [again] = guardduty.get_findings(DetectorId=stack.detector_id, FindingIds=[got["Id"]])["Findings"]
    assert again == got


def test_bad_requests_are_refused_as_guardduty_does(stack: StackInfo, guardduty: Any) -> None:
    with pytest.raises(guardduty.exceptions.BadRequestException, match=DETECTOR_ERROR):
        guardduty.get_findings(DetectorId="0" * 32, FindingIds=["x"])
    with pytest.raises(guardduty.exceptions.BadRequestException, match="parameter findingIds has an invalid value"):
        guardduty.get_findings(DetectorId=stack.detector_id, FindingIds=[str(n) for n in range(51)])
    with pytest.raises(guardduty.exceptions.BadRequestException, match="parameter maxResults"):
        guardduty.list_findings(DetectorId=stack.detector_id, MaxResults=51)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"[]", "not an object"),
        (b"{}", "Missing required parameter"),
        (b'{"findingIds": "x"}', "findingIds: expected a list, found str"),
        (b'{"findingIds": [1]}', "Invalid type for parameter FindingIds"),
        (b'{"findingIds": ["x"], "findings": []}', "findings: unknown to GetFindingsRequest"),
    ],
)
def test_requests_that_no_client_would_send_are_refused(stack: StackInfo, body: bytes, reason: str) -> None:
    scope = "Credential=key/20260105/us-east-1/guardduty/aws4_request"
    url = f"{stack.aws_endpoint}/detector/{stack.detector_id}/findings/get"
    answer = urllib3.request(
        "POST", url, body=body, headers={"Authorization": f"AWS4-HMAC-SHA256 {scope}"}, retries=False
    )
    assert answer.status == 400
    assert answer.headers["x-amzn-ErrorType"] == "BadRequestException"
    assert reason in answer.json()["message"]


def test_a_finding_of_the_wrong_shape_is_not_stored(stack: StackInfo) -> None:
    with pytest.raises(StackError, match=r"Invalid type for parameter Severity"):
        put(stack, finding(severity="high"))
    incomplete = finding()
    del incomplete["schemaVersion"]
    with pytest.raises(StackError, match="SchemaVersion"):
        put(stack, incomplete)
    with pytest.raises(StackError, match="detectorId"):
        put_findings(stack.aws_endpoint, region=stack.region, detector_id="unknown", findings=[finding()])
    # GuardDuty's event has fields that its API does not return. They are left out, and it is said.
    assert put(stack, finding(partitionOfTheFuture="x"))["dropped"] == ["partitionOfTheFuture"]


def test_list_findings_filters_and_pages(stack: StackInfo, guardduty: Any) -> None:
    kind = f"Test:Kubernetes/{secrets.token_hex(4)}"
    findings = [finding(type=kind, severity=n, updatedAt=f"2026-01-05T10:0{n}:00.000Z") for n in range(1, 6)]
    put(stack, *findings)
    ids = [item["id"] for item in findings]

    def listed(**criteria: dict[str, Any]) -> list[str]:
        criterion = {"type": {"Eq": [kind]}, **criteria}
        return list(
            guardduty.list_findings(DetectorId=stack.detector_id, FindingCriteria={"Criterion": criterion})[
                "FindingIds"
            ]
        )

    assert listed() == ids
    assert listed(severity={"Gte": 4}) == ids[3:]
    assert listed(updatedAt={"GreaterThan": 1767607380000}) == ids[3:], "times are milliseconds since the epoch"
    assert listed(id={"Neq": [ids[0]]}) == ids[1:]

    pages = guardduty.get_paginator("list_findings").paginate(
        DetectorId=stack.detector_id,
        FindingCriteria={"Criterion": {"type": {"Eq": [kind]}}},
        SortCriteria={"AttributeName": "severity", "OrderBy": "DESC"},
        PaginationConfig={"PageSize": 2},
    )
    assert [page["FindingIds"] for page in pages] == [ids[:2:-1], ids[2:0:-1], ids[:1]]

    guardduty.archive_findings(DetectorId=stack.detector_id, FindingIds=ids[:2])
    assert listed(**{"service.archived": {"Eq": ["false"]}}) == ids[2:]
    guardduty.unarchive_findings(DetectorId=stack.detector_id, FindingIds=ids[:1])
    assert listed(**{"service.archived": {"Eq": ["true"]}}) == ids[1:2]
    with pytest.raises(guardduty.exceptions.BadRequestException):
        guardduty.archive_findings(DetectorId=stack.detector_id, FindingIds=["unknown"])


def test_the_evidence_bucket_locks_objects(stack: StackInfo) -> None:
    s3: Any = client(stack, "s3")
    assert stack.evidence == f"s3://{EVIDENCE_BUCKET}"
    lock = s3.get_object_lock_configuration(Bucket=EVIDENCE_BUCKET)["ObjectLockConfiguration"]
    assert lock["ObjectLockEnabled"] == "Enabled"
    assert s3.get_bucket_versioning(Bucket=EVIDENCE_BUCKET)["Status"] == "Enabled"
    key = f"first/{secrets.token_hex(4)}"
    s3.put_object(Bucket=EVIDENCE_BUCKET, Key=key, Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=EVIDENCE_BUCKET, Key=key, Body=b"y", IfNoneMatch="*")


def test_everything_else_is_moto_s(stack: StackInfo, guardduty: Any) -> None:
    assert guardduty.list_detectors()["DetectorIds"] == [stack.detector_id]
    sts: Any = client(stack, "sts")
    assert sts.get_caller_identity()["Account"] == stack.account
    eks: Any = client(stack, "eks")
    assert eks.describe_cluster(name=stack.cluster)["cluster"]["status"] == "ACTIVE"
    assert urllib3.request("GET", f"{stack.aws_endpoint}/_firebreak/nothing", retries=False).status == 404


def test_nodes_are_instances_of_the_account(stack: StackInfo, admin: Any) -> None:
    nodes = admin.request("GET", "/api/v1/nodes")["items"]
    ec2: Any = client(stack, "ec2")
    ids = [node["spec"]["providerID"].rsplit("/", 1)[1] for node in nodes]
    reservations = ec2.describe_instances(InstanceIds=ids)["Reservations"]
    addresses = {i["PrivateIpAddress"] for reservation in reservations for i in reservation["Instances"]}
    internal = {a["address"] for node in nodes for a in node["status"]["addresses"] if a["type"] == "InternalIP"}
    assert addresses == internal


def test_the_cluster_has_an_audit_log_that_an_attack_can_be_written_into(stack: StackInfo) -> None:
    eks, logs = client(stack, "eks"), client(stack, "logs")
    (setup,) = eks.describe_cluster(name=stack.cluster)["cluster"]["logging"]["clusterLogging"]
    assert setup["enabled"] and "audit" in setup["types"]
    at = datetime.now(UTC) - timedelta(minutes=1)
    lines = [audit.line_of(audit.event(f"user-{n}", "get", "pods", name="p")) for n in range(2)]
    audit.write(logs, stack.cluster, [(at, line) for line in lines])
    asked = {
        "logGroupName": audit.group_of(stack.cluster),
        "logStreamNamePrefix": "kube-apiserver-audit-",
        "startTime": int(at.timestamp() * 1000),
    }
    found = {e["message"] for e in logs.filter_log_events(**asked)["events"]}
    assert set(lines) <= found
    # What the documentation says of it: moto answers a JSON pattern with everything.
    pattern = '{ ($.user.username = "user-0") }'
    assert {e["message"] for e in logs.filter_log_events(**asked, filterPattern=pattern)["events"]} == found
