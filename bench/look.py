"""`python -m bench.look WAY`: find pods in one way, as a process of its own, and say how long it took and what it held.

account   Firebreak's own identification of a finding that names a service account and no workload
image     raw pages of all pods, each pod's images compared: what Firebreak's client allows
typed     the typed client of Kubernetes: all pods, each one's service account compared
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import kubernetes.client
import kubernetes.config

from activities.assess.identify import identify_pods
from activities.assess.reading import Reader
from bench.processes import peak_memory
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import list_path
from findings.reader import read_findings

NAMESPACE = "crowd"
ACCOUNT = "suspect"
IMAGE = "registry.example/suspect/service@sha256:" + "5d" * 32
_PLACES = (
    ("spec", "containers", "image"),
    ("spec", "initContainers", "image"),
    ("status", "containerStatuses", "imageID"),
    ("status", "initContainerStatuses", "imageID"),
)


def by_account() -> int:
    """What `assess` does for a finding about a service account."""
    [finding] = read_findings(json.dumps(_finding()))
    with ThreadPoolExecutor(4) as pool:
        return len(identify_pods(Reader(Kubernetes.from_environment(), pool), finding, lambda: None).pods)


def by_image() -> int:
    """Every pod of the cluster, a page at a time."""
    pods = Kubernetes.from_environment().items(list_path("Pod"))
    return sum(map(_uses_image, pods))


def typed() -> int:
    """The obvious way in Python."""
    kubernetes.config.load_kube_config(os.environ["KUBECONFIG"])  # type: ignore[no-untyped-call]
    pods = kubernetes.client.CoreV1Api().list_pod_for_all_namespaces().items
    meant = (NAMESPACE, ACCOUNT)
    return sum((p.metadata.namespace, p.spec.service_account_name) == meant for p in pods if p.metadata and p.spec)


def _uses_image(pod: JsonObject) -> bool:
    return any(c.get(field) == IMAGE for part, key, field in _PLACES for c in (pod.get(part) or {}).get(key) or ())


def _finding() -> JsonObject:
    account, region, cluster = (os.environ[f"FIREBREAK_{name}"] for name in ("ACCOUNT", "REGION", "CLUSTER"))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    user = {"Username": f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}", "Groups": ["system:serviceaccounts"]}
    return {
        "AccountId": account,
        "Arn": f"arn:aws:guardduty:{region}:{account}:detector/d/finding/look",
        "CreatedAt": now,
        "UpdatedAt": now,
        "Id": "look",
        "Region": region,
        "Partition": "aws",
        "SchemaVersion": "2.0",
        "Severity": 8,
        "Title": "A look.",
        "Description": "A look.",
        "Type": "CredentialAccess:Kubernetes/MaliciousIPCaller",
        "Resource": {
            "ResourceType": "EKSCluster",
            "EksClusterDetails": {
                "Name": cluster,
                "Arn": f"arn:aws:eks:{region}:{account}:cluster/{cluster}",
            },
            "KubernetesDetails": {"KubernetesUserDetails": user},
        },
        "Service": {
            "Archived": False,
            "Count": 1,
            "DetectorId": "d",
            "EventFirstSeen": now,
            "EventLastSeen": now,
            "ServiceName": "guardduty",
        },
    }


_WAYS: dict[str, Callable[[], int]] = {"account": by_account, "image": by_image, "typed": typed}

if __name__ == "__main__":
    way = _WAYS[sys.argv[1]]
    if way is not typed:
        # As the worker does; see there.
        gc.collect()
        gc.freeze()
    begun = time.perf_counter()
    found = way()
    seconds = time.perf_counter() - begun
    print(json.dumps({"found": found, "seconds": seconds, "peak_bytes": peak_memory(os.getpid())}))
