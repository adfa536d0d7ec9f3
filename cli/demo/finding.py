"""The findings of the demo: a published capture of a real one, rewritten to mean what the demo has created, and others.

The capture tells of a privileged container that a service account started, which opens every path there is. The demo's
container is not privileged, and its scene is about pods alone, so its type says that somebody ran a command in a pod.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devstack.demo_workload import DemoPod, DemoWorkload
    from devstack.stack import StackInfo

_CAPTURE = "privileged-container.get-findings.json"
_SOURCE = "aws-samples/cdk-eks-blueprints-patterns, MIT-0"
SEVERITY = 8.0
"""The capture has 5, at which a person would have to approve containment as well."""
_TYPE = "Execution:Kubernetes/AnomalousBehavior.ExecInPod"


def finding_about(
    pod: DemoPod, workload: DemoWorkload, info: StackInfo, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The capture with the identities, names and times of what was created here, in the shape of GetFindings.

    Args:
        pod: The pod that it accuses.
        workload: The pod's workload.
        info: The stack.
        say: Told each rewritten value, so that nobody takes the demo's finding for the published one.
    """
    captured = json.loads(files("cli.captures").joinpath(_CAPTURE).read_text(encoding="utf-8"))["Findings"][0]
    finding: dict[str, Any] = copy.deepcopy(captured)
    now = datetime.now(UTC)
    seen = now - timedelta(minutes=2)
    arn = f"arn:aws:guardduty:{info.region}:{info.account}:detector/{info.detector_id}/finding/"
    finding_id = uuid.uuid4().hex
    finding |= {
        "Id": finding_id,
        "Arn": arn + finding_id,
        "AccountId": info.account,
        "Region": info.region,
        "Severity": SEVERITY,
        "Type": _TYPE,
        "CreatedAt": _time(seen + timedelta(seconds=50)),
        "UpdatedAt": _time(now),
        "Title": "A command was executed inside a pod in an anomalous way.",
        "Description": f"A command was executed inside a pod of EKS Cluster {info.cluster} in an anomalous way.",
    }
    finding["Service"] |= {
        "DetectorId": info.detector_id,
        "EventFirstSeen": _time(seen),
        "EventLastSeen": _time(seen + timedelta(seconds=1)),
    }
    call = finding["Service"]["Action"]["KubernetesApiCallAction"]
    call["RequestUri"] = f"/api/v1/namespaces/{workload.namespace}/pods/{pod.name}/exec"
    cluster_arn = f"arn:aws:eks:{info.region}:{info.account}:cluster/{info.cluster}"
    finding["Resource"]["EksClusterDetails"] |= {"Name": info.cluster, "Arn": cluster_arn}
    details = finding["Resource"]["KubernetesDetails"]
    caller = details.pop("KubernetesUserDetails")["Username"]
    accused = details["KubernetesWorkloadDetails"]
    accused |= {"Name": pod.name, "Uid": pod.uid, "Namespace": workload.namespace}
    repository, _, digest = workload.image.partition("@")
    container = {"Name": workload.deployment, "Image": workload.image, "ImagePrefix": ""}
    accused["Containers"] = [container | {"SecurityContext": {"Privileged": False}}]
    if say is not None:
        say(f"the finding is a published capture ({_SOURCE}), rewritten to mean what was just created:")
        for what, before, after in (
            ("pod", "argocd/privileged-pod", f"{workload.namespace}/{pod.name}, uid {pod.uid}"),
            ("image", "centos", f"{repository.rpartition('/')[2]}@{digest[:19]}…"),
            ("type", captured["Type"], _TYPE),
            ("caller", caller, "nobody, so that only the path of pods opens"),
            ("cluster", "guardduty-blueprint", info.cluster),
            ("severity", f"{captured['Severity']}", f"{SEVERITY:g}"),
            ("last seen", captured["Service"]["EventLastSeen"], _time(seen + timedelta(seconds=1))),
            ("finding id", captured["Id"], finding_id),
        ):
            say(f"  {what:<11} {before} -> {after}")
    return finding


def made_up(
    info: StackInfo,
    type_: str,
    *,
    severity: float = SEVERITY,
    user: dict[str, Any] | None = None,
    workload: dict[str, Any] | None = None,
    access_key: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A finding of any type in the shape of GetFindings, about what the demo has created; nobody published it.

    Args:
        info: The stack.
        type_: The finding type.
        severity: At 7 and above containment begins by itself.
        user: `KubernetesUserDetails`.
        workload: `KubernetesWorkloadDetails`.
        access_key: `AccessKeyDetails`.
    """
    now = datetime.now(UTC)
    finding_id = uuid.uuid4().hex
    details = {"KubernetesUserDetails": user, "KubernetesWorkloadDetails": workload}
    resource: dict[str, Any] = {
        "ResourceType": "EKSCluster",
        "EksClusterDetails": {
            "Name": info.cluster,
            "Arn": f"arn:aws:eks:{info.region}:{info.account}:cluster/{info.cluster}",
        },
        "KubernetesDetails": {k: v for k, v in details.items() if v is not None},
    }
    if access_key is not None:
        resource["AccessKeyDetails"] = access_key
    return {
        "SchemaVersion": "2.0",
        "AccountId": info.account,
        "Region": info.region,
        "Partition": "aws",
        "Id": finding_id,
        "Arn": f"arn:aws:guardduty:{info.region}:{info.account}:detector/{info.detector_id}/finding/{finding_id}",
        "Type": type_,
        "Severity": severity,
        "Title": "A finding that the demo made up.",
        "Description": "A finding that the demo made up.",
        "CreatedAt": _time(now - timedelta(minutes=1)),
        "UpdatedAt": _time(now),
        "Resource": resource,
        "Service": {
            "ServiceName": "guardduty",
            "DetectorId": info.detector_id,
            "Archived": False,
            "Count": 1,
            "EventFirstSeen": _time(now - timedelta(minutes=2)),
            "EventLastSeen": _time(now - timedelta(minutes=2)),
        },
    }


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
