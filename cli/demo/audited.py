"""What the audit log has of an attack of the demo: the stack's API server writes none, so it is made up to the finding.

Secrets were listed by whoever called, and a command was run in the pod that is accused, with the finding's own times.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.demo.account import service

if TYPE_CHECKING:
    from devstack.stack import StackInfo

_SOMEBODY = "kubernetes-admin"
"""Who ran the command where the finding does not say it."""


def write_attack(info: StackInfo, finding: dict[str, Any]) -> None:
    """Write the events into the cluster's audit log."""
    from devstack.aws import audit

    at = datetime.fromisoformat(finding["Service"]["EventFirstSeen"])
    details = finding["Resource"].get("KubernetesDetails") or {}
    caller = (details.get("KubernetesUserDetails") or {}).get("Username", "")
    accused = details.get("KubernetesWorkloadDetails") or {}
    events = [audit.event(caller, "list", "secrets", at=at)] if caller else []
    if accused.get("Type") == "pods":
        where = {"namespace": accused["Namespace"], "name": accused["Name"]}
        events.append(audit.event(caller or _SOMEBODY, "create", "pods", subresource="exec", at=at, **where))
    if events:
        audit.write(service("logs"), info.cluster, [(at, audit.line_of(e)) for e in events])
