"""The cluster's audit log in CloudWatch Logs, as EKS writes it: moto keeps it, and whoever plays an attack writes it.

The API server of the stack writes no audit log of its own. moto takes no account of JSON filter patterns: it answers
with every event of the group, as AWS does to an empty pattern.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

STREAM = "kube-apiserver-audit-f1f1a0d5a1f7c3c8a4c7a3c1e2d4b6f0"
"""EKS ends the name with a number of its own for each API server."""
ON: Any = {"clusterLogging": [{"types": ["api", "audit"], "enabled": True}]}
"""For CreateCluster and UpdateClusterConfig."""


def group_of(cluster: str) -> str:
    """The log group of a cluster."""
    return f"/aws/eks/{cluster}/cluster"


def make_log(logs: Any, cluster: str) -> None:
    """The group and one stream of the audit log."""
    logs.create_log_group(logGroupName=group_of(cluster))
    logs.create_log_stream(logGroupName=group_of(cluster), logStreamName=STREAM)


def write(logs: Any, cluster: str, events: Iterable[tuple[datetime, str]], stream: str = STREAM) -> None:
    """Put lines into the log, each with its time; within 14 days, as CloudWatch takes them."""
    lines = sorted(((int(at.timestamp() * 1000), line) for at, line in events), key=lambda one: one[0])
    logs.put_log_events(
        logGroupName=group_of(cluster),
        logStreamName=stream,
        logEvents=[{"timestamp": at, "message": line} for at, line in lines],
    )


def event(
    username: str,
    verb: str,
    resource: str,
    *,
    namespace: str = "",
    name: str = "",
    subresource: str = "",
    at: datetime | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One event of an audit log, of the level Metadata unless `more` holds bodies.

    Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
    """
    moment = f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    about = {"resource": resource, "namespace": namespace, "name": name, "subresource": subresource, "apiVersion": "v1"}
    parts = ["", "api", "v1", *(["namespaces", namespace] if namespace else []), resource, name, subresource]
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": str(uuid.uuid4()),
        "stage": "ResponseComplete",
        "requestURI": "/".join(parts[:1] + [p for p in parts[1:] if p]),
        "verb": verb,
        "user": {"username": username, "groups": ["system:authenticated"]},
        "sourceIPs": ["198.51.100.7"],
        "userAgent": "kubectl/v1.35.0",
        "objectRef": {k: v for k, v in about.items() if v},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": moment,
        "stageTimestamp": moment,
        **more,
    }


def line_of(found: Mapping[str, Any]) -> str:
    """An event as the API server writes it."""
    return json.dumps(found, separators=(",", ":"))
