"""The activity `collect_node`: what Kubernetes and EC2 know of a node and its machine (guide N2, design: Evidence).

Where the node itself called, that is in the audit log: its kubelet's calls are among it, which nobody can tell apart.
User data is left out: it holds whatever somebody once had to hide from nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from temporalio import activity

from activities.collect import audit
from activities.collect.audit import log_around
from activities.collect.audit_selection import of_user
from activities.collect.model import Deadline, Found, Task, document
from activities.collect.redact import redact
from activities.node.case import NodeCase, NodeCollection, names_of
from activities.steps import Planner, StepRoom
from clients.kubernetes import JsonObject
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from contracts.words import sized
from errors import TargetGone
from findings.model import Finding
from findings.subject import SubjectKind, subjects_of

_POD_FIELDS: Final = ("containers", "initContainers", "ephemeralContainers")


class NodeEvidenceActivities(StepRoom):
    """Collects evidence about nodes."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"node.collect": lambda _: StepPlan()}

    @activity.defn(name=ActivityName.COLLECT_NODE, no_thread_cancel_exception=True)
    def collect_node(self, request: StepRequest) -> StepOutcome:
        """Collect for every node; what cannot be read is recorded as failed.

        Raises:
            EvidenceError: The store failed; also Unavailable, Forbidden and Throttled.
        """
        result = NodeCollection(self._doors, request).collect(partial(_tasks, request.finding))
        return StepOutcome(
            complete=True,
            summary=f"{result.artefacts} artefacts of {names_of(request)}, {sized(result.bytes)}",
            failures=result.failures,
            entries=result.entries,
            artefacts=result.artefacts,
        )


def _tasks(finding: Finding, case: NodeCase) -> Iterator[Task]:
    yield Task("node.json", "node", lambda deadline: _node(case, deadline))
    yield Task("pods.json", "node-pods", lambda deadline: _pods(case, deadline))
    ec2 = case.doors.aws.ec2
    for file, kind, operation, read in (
        ("instance.json", "instance", "DescribeInstances", lambda: case.instance),
        (
            "interfaces.json",
            "network-interfaces",
            "DescribeNetworkInterfaces",
            lambda: ec2.interfaces(case.instance_id),
        ),
        ("security-groups.json", "security-groups", "DescribeSecurityGroups", lambda: _groups(case)),
        ("volumes.json", "volumes", "DescribeVolumes", lambda: ec2.volumes(case.instance_id)),
        ("console.json", "console-output", "GetConsoleOutput", lambda: ec2.console_output(case.instance_id)),
    ):
        yield Task(file, kind, _of_ec2(case, operation, read))
    for name in (s.username for s in subjects_of(finding) if s.kind is SubjectKind.NODE and s.name == case.target.name):
        run = partial(log_around(case.doors, finding.first_seen, finding.last_activity).find, of_user(name))
        yield Task("audit.jsonl", audit.KIND, run, audit.SECONDS, patient=False)


def _node(case: NodeCase, deadline: Deadline) -> Found:
    deadline.check()
    if case.machine.node is None:
        raise TargetGone(f"the node {case.machine.name} is gone")
    copy, taken = redact(case.machine.node)
    return Found(document(copy), "GET of the node", redactions=taken)


def _pods(case: NodeCase, deadline: Deadline) -> Found:
    """Which pods ran there: names, accounts, images and what they mount of the node."""
    deadline.check()
    return Found(document({"pods": [pod_row(p) for p in case.pods]}), "GET of the pods bound to the node, reduced")


def pod_row(pod: JsonObject) -> JsonObject:
    """What is kept of one pod that is no target itself."""
    spec, status = pod["spec"], pod.get("status") or {}
    paths = [v["hostPath"].get("path") for v in spec.get("volumes") or () if v.get("hostPath")]
    return {
        **{k: pod["metadata"].get(k) for k in ("namespace", "name", "uid", "creationTimestamp", "ownerReferences")},
        "serviceAccount": spec.get("serviceAccountName"),
        "images": [c.get("image") for key in _POD_FIELDS for c in spec.get(key) or ()],
        "imageIDs": [c.get("imageID") for c in status.get("containerStatuses") or ()],
        "hostPaths": paths,
        "host": {k: spec.get(k) for k in ("hostNetwork", "hostPID", "hostIPC") if spec.get(k)},
        "privileged": [
            c["name"]
            for key in _POD_FIELDS
            for c in spec.get(key) or ()
            if (c.get("securityContext") or {}).get("privileged")
        ],
        "phase": status.get("phase"),
        "podIP": status.get("podIP"),
    }


def _of_ec2(case: NodeCase, operation: str, read: Callable[[], object]) -> Callable[[Deadline], Found]:
    def run(deadline: Deadline) -> Found:
        deadline.check()
        case.need_instance()
        # EC2's answers hold times, which JSON has not.
        answer = json.loads(json.dumps(read(), default=str))
        return Found(document({"answer": answer}), f"ec2:{operation} of {case.instance_id}")

    return run


def _groups(case: NodeCase) -> list[JsonObject]:
    interfaces = case.doors.aws.ec2.interfaces(case.instance_id)
    ids = sorted({str(g["GroupId"]) for i in interfaces for g in i.get("Groups") or ()})
    return case.doors.aws.ec2.groups(ids) if ids else []
