"""Findings for tests, in every shape, from one description of what happened.

``detail`` builds a finding in GuardDuty's wire spelling; the others wrap or translate it. Every builder returns plain
JSON values that a test may change before it serialises them with ``dumps``.
"""

from __future__ import annotations

import copy
import json
from typing import Any

Json = dict[str, Any]

ACCOUNT, REGION, CLUSTER = "111122223333", "eu-central-1", "payments"
DETECTOR, FINDING_ID = "94c3858788bc1444ceedab472bab5d7e", "f2c3859c6ca25b3057d13470a992bbd7"
POD_UID = "33a3c89e-3280-474d-b8cb-fdf03394fc15"
PRIVILEGED = "PrivilegeEscalation:Kubernetes/AnomalousBehavior.WorkloadDeployed!PrivilegedContainer"
UNSET: Any = object()


def user(username: str = "system:serviceaccount:shop:web", **more: Any) -> Json:
    return {"username": username, "uid": "u-1", "groups": ["system:authenticated"], "sessionName": [], **more}


def workload(name: str = "web-0", type_: str = "pods", namespace: str = "shop", **more: Any) -> Json:
    container = {"name": "app", "image": "nginx:1.27", "imagePrefix": "", "securityContext": {"privileged": True}}
    return {
        "name": name,
        "type": type_,
        "uid": POD_UID,
        "namespace": namespace,
        "serviceAccountName": "web",
        "hostNetwork": False,
        "containers": [container],
        "volumes": None,
        **more,
    }


def access_key(**more: Any) -> Json:
    return {
        "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "principalId": "AIDACKCEVSQ6C2EXAMPLE",
        "userName": "alice",
        "userType": "IAMUser",
        **more,
    }


def api_call_action(**more: Any) -> Json:
    call = {
        "requestUri": "/api/v1/namespaces/shop/pods",
        "verb": "create",
        "resource": "pods",
        "subresource": "",
        "namespace": "shop",
        "resourceName": "",
        "sourceIPs": ["198.51.100.7"],
        "userAgent": "kubectl/v1.33.0",
        "remoteIpDetails": {"ipAddressV4": "198.51.100.7"},
        "statusCode": 201,
        **more,
    }
    return {"actionType": "KUBERNETES_API_CALL", "kubernetesApiCallAction": call}


def detail(
    type_: str = PRIVILEGED,
    *,
    id_: str = FINDING_ID,
    severity: float = 8,
    user_details: Any = UNSET,
    workload_details: Any = UNSET,
    key_details: Json | None = None,
    cluster: str = CLUSTER,
    account: str = ACCOUNT,
    region: str = REGION,
    resource: Json | None = None,
    service: Json | None = None,
    **more: Any,
) -> Json:
    """A finding as EventBridge carries it in ``detail``.

    ``resource`` and ``service`` replace members of the defaults; ``more`` replaces top-level members. A user or
    workload of None is written as null, as GuardDuty does.
    """
    base: Json = {
        "schemaVersion": "2.0",
        "accountId": account,
        "region": region,
        "partition": "aws",
        "id": id_,
        "arn": f"arn:aws:guardduty:{region}:{account}:detector/{DETECTOR}/finding/{id_}",
        "type": type_,
        "resource": {
            "resourceType": "EKSCluster",
            "eksClusterDetails": {
                "name": cluster,
                "arn": f"arn:aws:eks:{region}:{account}:cluster/{cluster}",
                "vpcId": "vpc-02b68c9ddc1d403ab",
                "status": "ACTIVE",
                "tags": [],
                "createdAt": 1.636625755218e9,
            },
            "kubernetesDetails": {
                "kubernetesUserDetails": user() if user_details is UNSET else user_details,
                "kubernetesWorkloadDetails": workload() if workload_details is UNSET else workload_details,
            },
            **({"accessKeyDetails": key_details} if key_details is not None else {}),
            **(resource or {}),
        },
        "service": {
            "serviceName": "guardduty",
            "detectorId": DETECTOR,
            "action": api_call_action(),
            "resourceRole": "TARGET",
            "additionalInfo": {"value": "{}", "type": "default"},
            "evidence": None,
            "eventFirstSeen": "2026-01-02T03:04:05.000Z",
            "eventLastSeen": "2026-01-02T03:05:05.500Z",
            "archived": False,
            "count": 3,
            **(service or {}),
        },
        "severity": severity,
        "createdAt": "2026-01-02T03:06:00.000Z",
        "updatedAt": "2026-01-02T03:07:00.000Z",
        "title": "A workload was launched with a privileged container in an anomalous way.",
        "description": "A privileged container was launched on EKS cluster payments.",
    }
    return copy.deepcopy({**base, **more})


def eventbridge_event(finding: Json | None = None, **more: Any) -> Json:
    """The EventBridge event around a finding."""
    return {
        "version": "0",
        "id": "cd2d702e-ab31-411b-9344-793ce56b1bc7",
        "detail-type": "GuardDuty Finding",
        "source": "aws.guardduty",
        "account": ACCOUNT,
        "time": "2026-01-02T03:10:00Z",
        "region": REGION,
        "resources": [],
        "detail": detail() if finding is None else finding,
        **more,
    }


def pascal(value: Any) -> Any:
    """A finding in boto3's spelling: null members left out, first letters raised, irregular names as botocore's."""
    if isinstance(value, list):
        return [pascal(item) for item in value]
    if not isinstance(value, dict):
        return value
    raised = {("SourceIps" if k == "sourceIPs" else k[:1].upper() + k[1:]): v for k, v in value.items()}
    return {k: pascal(v) for k, v in raised.items() if v is not None}


def get_findings(*found: Json) -> Json:
    """A GetFindings response."""
    return {"Findings": [pascal(f) for f in (found or (detail(),))], "ResponseMetadata": {"HTTPStatusCode": 200}}


def flatten(value: Any, path: str) -> Json:
    """Security Hub's flat keys: ``a/b`` for members, ``a.0_`` for items, a string for every leaf."""
    if isinstance(value, dict) and value:
        return {k: v for key, inner in value.items() for k, v in flatten(inner, f"{path}/{key}").items()}
    if isinstance(value, list) and value:
        return {k: v for i, inner in enumerate(value) for k, v in flatten(inner, f"{path}.{i}_").items()}
    if isinstance(value, bool):
        return {path: str(value).lower()}
    return {path: "[]" if value == [] else "" if value in (None, {}) else str(value)}


def asff(finding: Json | None = None, **more: Any) -> Json:
    """A finding as Security Hub keeps it; ``more`` replaces top-level members."""
    source = detail() if finding is None else finding
    eks = source["resource"]["eksClusterDetails"]
    tactic, _, rest = source["type"].partition(":")
    resources: list[Json] = [
        {
            "Type": "AwsEksCluster",
            "Id": eks["arn"],
            "Partition": "aws",
            "Region": source["region"],
            "Details": {
                "AwsEksCluster": {"Arn": eks["arn"], "Name": eks["name"], "ClusterStatus": "ACTIVE"},
                "Other": flatten(source["resource"]["kubernetesDetails"], "kubernetesDetails"),
            },
        }
    ]
    if key := source["resource"].get("accessKeyDetails"):
        details = {
            "AccessKeyId": key["accessKeyId"],
            "PrincipalId": key["principalId"],
            "PrincipalName": key["userName"],
            "PrincipalType": key["userType"],
        }
        resources.append(
            {
                "Type": "AwsIamAccessKey",
                "Id": f"AWS::IAM::AccessKey:{key['accessKeyId']}",
                "Details": {"AwsIamAccessKey": details},
            }
        )
    return {
        "SchemaVersion": "2018-10-08",
        "ProductArn": f"arn:aws:securityhub:{source['region']}::product/aws/guardduty",
        "ProductName": "GuardDuty",
        "CompanyName": "Amazon",
        "Id": source["arn"],
        "AwsAccountId": source["accountId"],
        "Region": source["region"],
        "Types": [f"TTPs/{tactic}/{tactic}:{rest.replace('/', '-', 1)}"],
        "CreatedAt": source["createdAt"],
        "UpdatedAt": source["updatedAt"],
        "Title": source["title"],
        "Description": source["description"],
        "Severity": {"Product": source["severity"], "Normalized": round(source["severity"] * 10), "Label": "HIGH"},
        "ProductFields": {
            **flatten(source["service"], "aws/guardduty/service"),
            "aws/securityhub/ProductName": "GuardDuty",
        },
        "Resources": resources,
        "RecordState": "ACTIVE",
        "Sample": False,
        **more,
    }


def security_hub_event(*found: Json, **more: Any) -> Json:
    """The EventBridge event of Security Hub around ASFF findings."""
    return {
        "version": "0",
        "id": "aa998ee8-921b-4cca-579a-ccc83010dd34",
        "detail-type": "Security Hub Findings - Imported",
        "source": "aws.securityhub",
        "account": ACCOUNT,
        "region": REGION,
        "detail": {"findings": list(found or (asff(),))},
        **more,
    }


def attack_sequence(**more: Any) -> Json:
    """An attack sequence in the wire spelling: nothing in ``resource``, everything in the sequence."""
    arn = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{CLUSTER}"
    sequence = {
        "uid": "seq-1",
        "description": "A sequence of actions.",
        "actors": [
            {
                "id": "actor-1",
                "user": {
                    "name": "deployer",
                    "uid": "AROACKCEVSQ6C2EXAMPLE:ci",
                    "type": "AssumedRole",
                    "credentialUid": "ASIAIOSFODNN7EXAMPLE",
                    "account": {"uid": ACCOUNT, "account": "shop"},
                },
                "session": {"uid": "ci", "issuer": "sts"},
            },
            {"id": "actor-2", "process": {"name": "xmrig", "path": "/tmp/xmrig", "sha256": "ab" * 32}},  # noqa: S108
        ],
        "resources": [
            {"uid": arn, "name": CLUSTER, "resourceType": "EKS_CLUSTER", "data": {"eksCluster": {"arn": arn}}},
            {
                "uid": "workload-1",
                "name": "web",
                "resourceType": "KUBERNETES_WORKLOAD",
                "data": {"kubernetesWorkload": {"namespace": "shop", "type": "DEPLOYMENTS", "containerUids": ["c-1"]}},
            },
            {
                "uid": "c-1",
                "resourceType": "CONTAINER",
                "data": {"container": {"image": "nginx", "imageUid": "i-1"}},
            },
        ],
        "signals": [
            {
                "uid": "sig-1",
                "type": "FINDING",
                "name": "Execution:Runtime/ReverseShell",
                "severity": 8.0,
                "firstSeenAt": 1767323045,
                "lastSeenAt": "2026-01-02T03:05:05Z",
                "count": 1,
                "createdAt": 1767323045,
                "updatedAt": 1767323045,
                "resourceUids": ["workload-1"],
                "actorIds": ["actor-2"],
            }
        ],
    }
    return detail(
        "AttackSequence:EKS/CompromisedCluster",
        severity=9.0,
        resource={"eksClusterDetails": None, "kubernetesDetails": None, "resourceType": "AttackSequence"},
        service={"action": {}, "detection": {"sequence": sequence}, "featureName": "Correlation"},
        **more,
    )


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()
