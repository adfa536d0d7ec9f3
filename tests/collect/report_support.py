"""An incident in which every text from outside is the same given word, so that a test can look for it everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from activities.report.known import KnownContainer
from contracts.activities import Assessment
from contracts.common import EvidenceState, Failure, PodTarget, PodTargets, Timings
from contracts.incidents import DecisionRecord, GateView, IncidentView, StepStatus
from contracts.states import Containment, GateState, IncidentState, StepState
from evidence.entry import Entry, EntrySubject, Outcome
from findings.model import ApiCall, Cluster, Finding, Process
from findings.subject import Subject, SubjectKind
from findings.workload import Container, Volume, VolumeMount, Workload
from plans.model import Change, FindingSummary, Gate, Path, Plan, ResourceRef, Step, Verdict
from plans.observed import ClusterFacts, Provenance

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def finding_with(word: str) -> Finding:
    container = Container(
        name=word, image=word, privileged=True, volume_mounts=(VolumeMount(name="host", mount_path=word),)
    )
    return Finding(
        id="finding-1",
        type=word or "x",
        severity=8.0,
        account="123456789012",
        region="us-east-1",
        title=word,
        description=word,
        first_seen=AT - timedelta(minutes=9),
        last_seen=AT - timedelta(minutes=6),
        cluster=Cluster(name=word),
        workload=Workload(name=word, containers=(container,), volumes=(Volume(name="host", host_path="/proc"),)),
        api_call=ApiCall(verb=word, request_uri=word, user_agent=word),
        process=Process(name=word, executable_path=word, executable_sha256=word),
        remote_ips=(word, word),
        domain=word,
        threats=(word,),
    )


def incident_with(word: str) -> IncidentView:
    pod = ResourceRef(kind=word, namespace=word, name=word, uid=word)
    record = DecisionRecord(by=word, decision=word, reason=word, at=AT, gate=word, note=word)
    step = Step(
        step=word,
        path=Path.POD,
        action=word,
        gate=Gate.ERADICATE,
        decision=Verdict.APPROVAL,
        reason=word,
        undo=word,
    )
    plan = Plan(
        finding=FindingSummary(id=word, type=word, severity=8, account=word, region=word, cluster=word, sample=False),
        subject=Subject(kind=SubjectKind.SERVICE_ACCOUNT, name=word, username=word, groups=(word,)),
        paths=(Path.POD,),
        steps=(step,),
        warnings=(word,),
    )
    return IncidentView(
        incident=word or "i",
        run_id=word,
        finding_id=word,
        finding_type=word,
        severity=8.0,
        cluster=word,
        state=IncidentState.AWAITING_APPROVAL,
        containment=Containment.VERIFIED,
        paths=(Path.POD, Path.IMAGE),
        plan=plan,
        pods=PodTargets(count=1, inline=(PodTarget(namespace=word, name=word, uid=word, node=word, workload=pod),)),
        steps=(StepStatus(step=word, state=StepState.PLANNED, detail=word),),
        gates=(
            GateView(
                gate=Gate.ERADICATE,
                state=GateState.WAITING,
                digest=word,
                approved_by=(word,),
                decisions=(record,),
                needs_image=True,
            ),
        ),
        changes=(Change(step=word, resource=pod, summary=word, before={word: None}, after={word: word}),),
        evidence=EvidenceState(store=word, artefacts=2, bytes=7, manifests=1, manifest_sha256=word),
        failures=(Failure(step=word, target=word, code=word, message=word),),
        reasons=(word,),
        proposals=(word,),
        rejected=(record,),
        notes=(word,),
        timings=Timings(received=AT, contained=AT + timedelta(milliseconds=412)),
    )


def assessment_with(word: str) -> Assessment:
    plan = incident_with(word).plan
    assert plan is not None
    return Assessment(
        plan=plan,
        provenance=Provenance(confirmed=True, reason=word),
        cluster=ClusterFacts(enforces_policies=None, cni=word),
    )


def entries_with(word: str) -> list[Entry]:
    subject = EntrySubject(kind=word, namespace=word, name=word, uid=word)
    return [
        Entry(key=word, sha256=word, size=1, kind=f"{word} k", subject=subject, collected_at=AT, reason=word),
        Entry(kind=f"{word} k", subject=subject, collected_at=AT, outcome=Outcome.FAILED, reason=word),
    ]


def known_with(word: str) -> list[KnownContainer]:
    subject = EntrySubject(kind="Pod", namespace=word, name=word, uid=word)
    return [KnownContainer(subject, word, word, word, word, (word,), (word,))]
