"""What the tests of `assess` are made of: findings as GuardDuty returns them, and objects for the cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from findings.model import Finding
from findings.reader import read_findings

JsonObject = dict[str, Any]

ACCOUNT, REGION, CLUSTER = "123456789012", "us-east-1", "firebreak-demo"
KIND = "PrivilegeEscalation:Kubernetes/PrivilegedContainer"
EXEC = "Execution:Kubernetes/ExecInKubeSystemPod"


def raw_finding(
    finding_id: str,
    *,
    workload: JsonObject | None = None,
    user: JsonObject | None = None,
    severity: float = 8,
    finding_type: str = "Execution:Runtime/ReverseShell",
    age: timedelta = timedelta(minutes=5),
    archived: bool = False,
    account: str = ACCOUNT,
    region: str = REGION,
    cluster: str = CLUSTER,
) -> JsonObject:
    """One finding in the shape of GetFindings."""
    seen = (datetime.now(UTC) - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    details: JsonObject = {}
    if workload is not None:
        details["KubernetesWorkloadDetails"] = workload
    if user is not None:
        details["KubernetesUserDetails"] = user
    return {
        "AccountId": account,
        "Arn": f"arn:aws:guardduty:{region}:{account}:detector/d/finding/{finding_id}",
        "CreatedAt": seen,
        "UpdatedAt": seen,
        "Description": "A test.",
        "Id": finding_id,
        "Partition": "aws",
        "Region": region,
        "SchemaVersion": "2.0",
        "Severity": severity,
        "Title": "A test.",
        "Type": finding_type,
        "Resource": {
            "ResourceType": "EKSCluster",
            "EksClusterDetails": {"Name": cluster, "Arn": f"arn:aws:eks:{region}:{account}:cluster/{cluster}"},
            "KubernetesDetails": details,
        },
        "Service": {
            "Archived": archived,
            "Count": 1,
            "DetectorId": "d",
            "EventFirstSeen": seen,
            "EventLastSeen": seen,
            "ServiceName": "guardduty",
        },
    }


def read(raw: JsonObject) -> Finding:
    """The finding as it comes out of the queue."""
    return read_findings(json.dumps({"Findings": [raw]}))[0]


def workload_of(obj: JsonObject, kind: str, *, uid: str | None = None) -> JsonObject:
    """`KubernetesWorkloadDetails` for a live object."""
    metadata = obj["metadata"]
    return {
        "Name": metadata["name"],
        "Namespace": metadata["namespace"],
        "Type": kind,
        "Uid": metadata["uid"] if uid is None else uid,
    }


def account_user(namespace: str, name: str, uid: str = "") -> JsonObject:
    """`KubernetesUserDetails` of a service account."""
    return {"Username": f"system:serviceaccount:{namespace}:{name}", "Uid": uid, "Groups": ["system:serviceaccounts"]}


def pod_spec(**more: Any) -> JsonObject:
    """A pod's spec, which lands on one of the fake nodes."""
    return {"containers": [{"name": "app", "image": "registry.example/app:1"}], **more}


def template(app: str, **more: Any) -> JsonObject:
    """A pod template with the label `app`."""
    return {"metadata": {"labels": {"app": app}}, "spec": pod_spec(**more)}


def eventually(probe: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
    """The first true answer of a probe; the cluster's controllers take a moment."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if answer := probe():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {timeout} s")
