"""An incident as it might be: a compromised image in some pods, their nodes, a role, and people who decide."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.report.facts import Facts, gather
from activities.report.known import KnownContainer
from contracts.activities import Assessment
from contracts.changes import deny_all_change, quarantine_change
from contracts.common import EvidenceState, Failure, PodTarget, PodTargets, Timings
from contracts.incidents import DecisionRecord, GateView, IncidentView, StepStatus
from contracts.states import Containment, GateState, IncidentState, StepState
from contracts.steps import Task, TaskView
from evidence.entry import Entry, EntrySubject, Outcome
from findings.model import Cluster, Finding, Process
from findings.subject import Subject, SubjectKind
from findings.workload import Container, Workload
from plans.model import (
    Change,
    FindingSummary,
    Gate,
    GateTerms,
    Path,
    Plan,
    ResourceRef,
    Step,
    Target,
    TargetKind,
    Verdict,
)
from plans.observed import ClusterFacts, Provenance

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/checkout"
OLD, FIXED = f"{IMAGE}@sha256:{'1a' * 32}", f"{IMAGE}@sha256:{'b7' * 32}"
DEPLOYMENT = ResourceRef(kind="Deployment", namespace="shop", name="checkout", uid="dep-1")
ROLE = ResourceRef(kind="RolePolicy", name="shop-checkout-reader")


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def pods_of(number: int, nodes: int) -> PodTargets:
    return PodTargets(
        count=number,
        inline=tuple(
            PodTarget(
                namespace="shop",
                name=f"checkout-7d9f8b6c5-{hashlib.sha256(str(n).encode()).hexdigest()[:5]}",
                uid=f"0b7e4c1d-9f2a-4835-a0d7-c49ab1f8{n:04d}",
                node=f"ip-10-0-{n % nodes}-117.ec2.internal",
                workload=DEPLOYMENT,
            )
            for n in range(number)
        ),
    )


def finding() -> Finding:
    container = Container(name="checkout", image=f"{IMAGE}:2.4.1", privileged=False)
    return Finding(
        id="f2c3859c6e1644c7a225e5c876c39bb2",
        type="Execution:Runtime/ReverseShell",
        severity=8.0,
        account="123456789012",
        region="us-east-1",
        title="A process in a container opened a reverse shell.",
        description="The process nc in the pod of checkout connected its input and output to 198.51.100.7.",
        created_at=later(-240),
        first_seen=later(-540),
        last_seen=later(-360),
        cluster=Cluster(name="shop-production"),
        workload=Workload(name="checkout", namespace="shop", containers=(container,)),
        process=Process(name="nc", executable_path="/usr/bin/nc", executable_sha256="9c" * 32),
        remote_ips=("198.51.100.7",),
    )


def _step(path: Path, action: str, gate: Gate | None, targets: tuple[Target, ...], undo: str) -> Step:
    decision = Verdict.AUTO if gate in (None, Gate.CONTAIN) else Verdict.APPROVAL
    reasons = {
        None: "It only reads.",
        Gate.CONTAIN: "The gate contain opens by itself from severity 7; this finding has 8.",
    }
    return Step(
        step=f"{path.value}.{action}", path=path, action=action, targets=targets, target_count=len(targets), gate=gate,
        decision=decision, reason=reasons.get(gate, f"The gate {gate} needs an approval by default."), undo=undo,
    )  # fmt: skip


def plan(pods: PodTargets) -> Plan:
    on = tuple(
        Target(kind=TargetKind.POD, namespace=p.namespace, name=p.name, uid=p.uid, node=p.node) for p in pods.inline
    )
    account = (Target(kind=TargetKind.SERVICE_ACCOUNT, namespace="shop", name="checkout"),)
    workload = (Target(kind=TargetKind.WORKLOAD, namespace="shop", name="checkout", uid="dep-1"),)
    image = (Target(kind=TargetKind.IMAGE, name=OLD),)
    again = "The old pod template is recorded; a failed rollout puts it back, and so does `firebreak release`."
    return Plan(
        finding=FindingSummary(
            id=finding().id, type=finding().type, severity=8.0, account="123456789012", region="us-east-1",
            cluster="shop-production", sample=False,
        ),
        subject=Subject(
            kind=SubjectKind.SERVICE_ACCOUNT, name="checkout", namespace="shop",
            username="system:serviceaccount:shop:checkout", groups=("system:serviceaccounts",),
        ),
        paths=(Path.USER, Path.POD, Path.IMAGE),
        steps=(
            _step(Path.USER, "revoke_sessions", Gate.CREDENTIALS, account, "Sessions that ended by then stay ended."),
            _step(Path.POD, "quarantine", Gate.CONTAIN, on, "`firebreak release` takes both labels off."),
            _step(Path.POD, "collect", None, on, "Nothing to undo: it only reads."),
            _step(Path.POD, "redeploy", Gate.ERADICATE, workload, again),
            _step(Path.POD, "delete", Gate.ERADICATE, on, "Nothing brings a deleted pod back."),
            _step(Path.IMAGE, "block", Gate.CONTAIN, image, "`firebreak release` removes the admission policy."),
            _step(Path.IMAGE, "deny_repository", Gate.TERMINATE, image, "`firebreak release` puts the policy back."),
        ),
        gates=(
            GateTerms(gate=Gate.CONTAIN, decision=Verdict.AUTO),
            GateTerms(gate=Gate.CREDENTIALS, decision=Verdict.APPROVAL, approvals=2),
            GateTerms(gate=Gate.ERADICATE, decision=Verdict.APPROVAL),
            GateTerms(gate=Gate.TERMINATE, decision=Verdict.APPROVAL),
        ),
        warnings=("The Service shop/checkout would be left without ready endpoints.",),
    )  # fmt: skip


def decisions() -> tuple[DecisionRecord, ...]:
    return (
        DecisionRecord(by="mallory", decision="approve", reason="go", at=later(200), gate="eradicate",
                       note="the decision names another plan digest: look at the plan again", channel="signal"),
        DecisionRecord(by="ada@laptop", decision="approve", at=later(310), gate="eradicate", counted=True,
                       reason="image rebuilt without the vulnerable library, OPS-81"),
    )  # fmt: skip


def changes(pods: PodTargets) -> tuple[Change, ...]:
    container = "/spec/template/spec/containers/0"
    return (
        deny_all_change("shop", "pod.quarantine"),
        Change(
            step="pod.quarantine",
            resource=ResourceRef(kind="NetworkPolicy", namespace="shop", name="allow-checkout", uid="np-1"),
            summary="selector leaves out quarantined pods",
            before={"/spec/podSelector/matchExpressions": None},
            after={"/spec/podSelector/matchExpressions": [{"key": "firebreak.dev/quarantined"}]},
        ),
        *(quarantine_change(p, "pod.quarantine") for p in pods.inline),
        Change(
            step="user.revoke_sessions", resource=ROLE, summary="sessions from before now are denied",
            before={"AWSRevokeOlderSessions": None}, after={"AWSRevokeOlderSessions": {"Effect": "Deny"}},
        ),
        Change(
            step="pod.redeploy", resource=DEPLOYMENT, summary=f"image of checkout becomes {FIXED}",
            before={f"{container}/name": "checkout", f"{container}/image": OLD},
            after={f"{container}/name": "checkout", f"{container}/image": FIXED},
        ),
    )  # fmt: skip


def view(number: int = 3, nodes: int = 2, **changed: Any) -> IncidentView:
    """The incident while the last approvals and a task are still missing."""
    pods = pods_of(number, nodes)
    made = changes(pods)
    task = Task(id="user.rotate_secrets-1a2b3c4d", step="user.rotate_secrets", owner="shop",
                text="Issue a new password for the database user of Secret shop/checkout-db.")  # fmt: skip
    states = {
        "user.revoke_sessions": (StepState.DONE, "sessions of 1 role revoked"),
        "pod.quarantine": (StepState.DONE, f"{number} pods verified"),
        "pod.collect": (StepState.DONE, "11 artefacts collected"),
        "pod.redeploy": (StepState.DONE, "1 of 1 workloads have the new template."),
        "pod.delete": (StepState.FAILED, "1 pod does not end: its node does not answer"),
        "image.block": (StepState.DONE, "the image is refused at admission"),
        "image.deny_repository": (StepState.PLANNED, ""),
    }
    fields: dict[str, Any] = {
        "incident": f"gd/123456789012/us-east-1/{finding().id}",
        "run_id": "01a20f98-e762-7ee3-9743-a0858d648241",
        "finding_id": finding().id,
        "finding_type": finding().type,
        "severity": 8.0,
        "cluster": "shop-production",
        "state": IncidentState.AWAITING_APPROVAL,
        "containment": Containment.VERIFIED,
        "paths": (Path.USER, Path.POD, Path.IMAGE),
        "plan": plan(pods),
        "pods": pods,
        "steps": tuple(StepStatus(step=s, state=state, detail=text) for s, (state, text) in states.items()),
        "gates": (
            GateView(gate=Gate.CONTAIN, state=GateState.OPEN, digest="sha256:" + "0c" * 32),
            GateView(
                gate=Gate.CREDENTIALS, state=GateState.OPEN, digest="sha256:" + "1d" * 32, approvals=2,
                approved_by=("grace", "linus"), steps=("user.revoke_sessions",),
                decisions=tuple(
                    DecisionRecord(by=by, decision="approve", reason=f"{by} has read the preview", at=later(seconds),
                                   gate="credentials", counted=True)
                    for by, seconds in (("grace", 420), ("linus", 450))
                ),
            ),
            GateView(
                gate=Gate.ERADICATE, state=GateState.OPEN, digest="sha256:" + "2e" * 32, approved_by=("ada@laptop",),
                decisions=decisions(), steps=("pod.redeploy", "pod.delete"), needs_image=True,
            ),
            GateView(gate=Gate.TERMINATE, state=GateState.WAITING, digest="sha256:" + "3f" * 32, nonce="n-1",
                     deadline=later(86_400), steps=("image.deny_repository",)),
        ),
        "changes": made,
        "undone": (made[1].key,),
        "evidence": EvidenceState(store="s3://firebreak-evidence", artefacts=6, bytes=91_234, manifests=3,
                                  manifest_sha256="75" * 32),
        "failures": (Failure(step="pod.delete", target="Pod shop/checkout-7d9f8b6c5-6b86b", code="Unavailable",
                             message="the kubelet of its node does not answer"),),
        "proposals": ("terminate node ip-10-0-0-117.ec2.internal, which does not answer",),
        "rejected": (DecisionRecord(by="", decision="approve", reason="", at=later(130), gate="everything",
                                    note="no gate 'everything' in this incident"),),
        "notes": ("GuardDuty reported the finding again, 3 times in all.", "pod.delete failed; gate eradicate waits"),
        "tasks": (TaskView(task=task), TaskView(task=task.model_copy(update={"id": "user.rotate_secrets-99999999"}),
                                                done=True, by="grace", reason="new key in the vault", at=later(500))),
        "previews": {"image.deny_repository": ("RepositoryPolicy shop/checkout: nobody may pull any more",
                                               "3 other workloads run images of the repository")},
        "timings": Timings(received=AT, contained=later(0.412)),
    }  # fmt: skip
    return IncidentView(**(fields | changed))


def entries() -> list[Entry]:
    subject = EntrySubject(kind="Pod", namespace="shop", name="checkout-7d9f8b6c5-5feca", uid="uid-0")
    kinds = ("container-log", "events", "pod-manifest", "containers", "changes")
    kept = [
        Entry(
            key=f"pods/uid-0/{kind}.json", sha256=hashlib.sha256(kind.encode()).hexdigest(), size=1_200 + n, kind=kind,
            source="GET /api/v1/namespaces/shop/pods/checkout-7d9f8b6c5-5feca", subject=subject,
            collected_at=later(2 + n),
            redactions=("/spec/containers/0/env/0/value",) if kind == "pod-manifest" else (),
        )
        for n, kind in enumerate(kinds)
    ]  # fmt: skip
    failed = Entry(kind="container-log-previous", subject=subject, collected_at=later(4), outcome=Outcome.FAILED,
                   reason="the node did not answer")  # fmt: skip
    return [*kept, failed]


def known() -> list[KnownContainer]:
    pod = EntrySubject(kind="Pod", namespace="shop", name="checkout-7d9f8b6c5-5feca", uid="uid-0")
    return [
        KnownContainer(pod, "checkout", "container", f"{IMAGE}:2.4.1", OLD, ("runAsUser 0",), ("/var/log at /log",))
    ]


def assessment(seen: IncidentView) -> Assessment:
    assert seen.plan is not None
    reason = "GuardDuty returned it from 123456789012 in us-east-1."
    return Assessment(
        plan=seen.plan,
        provenance=Provenance(confirmed=True, reason=reason),
        cluster=ClusterFacts(enforces_policies=True, cni="Amazon VPC CNI"),
    )


def facts(seen: IncidentView | None = None) -> Facts:
    seen = seen or view()
    return gather(seen, finding(), assessment(seen), entries(), known())
