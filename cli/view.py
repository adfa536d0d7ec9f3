"""The JSON documents of incidents: keys are promises (design: CLI contract; docs/reference/cli.md)."""

from __future__ import annotations

from pydantic import JsonValue

from cli.collection import Collection
from cli.reading import Brief, Reading
from cli.step_screen import SUBJECTS, targets_of
from cli.text import iso
from contracts.incidents import DecisionRecord, GateView, IncidentView
from contracts.states import GateState
from contracts.steps import TaskView
from plans.model import Change, TargetKind


def incident_document(reading: Reading) -> dict[str, JsonValue]:
    """What `show --json` and `start --wait --json` print."""
    document = _from_view(reading.view) if reading.view else _from_brief(reading.brief)
    document["open"] = reading.open
    document["source"] = reading.source.value
    document["note"] = reading.note
    held = reading.held
    document["collection"] = [_collection(c) for c in reading.collections]
    document["paused"] = {"by": held.by, "reason": held.reason, "at": held.at} if held else None
    return document


def brief_document(brief: Brief) -> dict[str, JsonValue]:
    """One incident of `list --json`."""
    return {
        "incident": brief.incident,
        "finding_id": brief.finding_id,
        "finding_type": brief.finding_type,
        "severity": brief.severity,
        "cluster": brief.cluster,
        "state": brief.state,
        "gates": [*brief.gates],
        "open": brief.open,
        "started": iso(brief.started),
        "closed": iso(brief.closed),
    }


def change_document(change: Change, undone: bool) -> dict[str, JsonValue]:
    """One change of an incident."""
    return {"step": change.step, "resource": str(change.resource), "summary": change.summary, "undone": undone}


def _from_view(view: IncidentView) -> dict[str, JsonValue]:
    undone = set(view.undone)
    return {
        "incident": view.incident,
        "finding_id": view.finding_id,
        "finding_type": view.finding_type,
        "severity": view.severity,
        "cluster": view.cluster,
        "state": view.state.value,
        "containment": view.containment.value,
        "paths": [path.value for path in view.paths],
        "targets": _targets(view),
        "steps": [{"step": s.step, "state": s.state.value, "detail": s.detail} for s in view.steps],
        "gates": [_gate(gate) for gate in view.gates],
        "changes": [change_document(change, change.key in undone) for change in view.changes],
        "evidence": {
            "store": view.evidence.store,
            "artefacts": view.evidence.artefacts,
            "manifest_sha256": view.evidence.manifest_sha256,
        },
        "failures": [{"step": f.step, "target": f.target, "code": f.code, "message": f.message} for f in view.failures],
        "timings": {
            "received": iso(view.timings.received),
            "contained": iso(view.timings.contained),
            "finished": iso(view.timings.finished),
        },
        "reasons": [*view.reasons],
        "proposals": [*view.proposals],
        "rejected": [_decision(record) for record in view.rejected],
        "notes": [*view.notes],
        "tasks": [task_document(task) for task in view.tasks],
        "previews": {step: [*said] for step, said in view.previews.items()},
        "report": view.report_key or None,
    }


def _collection(found: Collection) -> dict[str, JsonValue]:
    said = found.progress
    return {
        "step": found.step,
        "wave": said.wave.lower() or None,
        "waves": [wave.lower() for wave in said.waves],
        "pods": said.pods,
        "nodes": said.nodes,
        "parts": said.parts,
        "artefacts": said.artefacts,
        "bytes": said.bytes,
        "failures": said.failures,
    }


def _targets(view: IncidentView) -> dict[str, JsonValue]:
    """What the incident acts on; the targets of steps that are never carried out are not among it."""
    targets = targets_of(view)
    pods = (*view.pods.inline, *view.image_pods.inline)
    return {
        "pods": [{"namespace": p.namespace, "name": p.name, "uid": p.uid, "node": p.node} for p in pods],
        "pod_count": view.pods.count + view.image_pods.count,
        "nodes": [{"name": t.name, "uid": t.uid} for t in targets if t.kind is TargetKind.NODE],
        "images": [{"name": t.name} for t in targets if t.kind is TargetKind.IMAGE],
        "subjects": [
            {"kind": t.kind.value, "namespace": t.namespace, "name": t.name} for t in targets if t.kind in SUBJECTS
        ],
    }


def _gate(gate: GateView) -> dict[str, JsonValue]:
    return {
        "gate": gate.gate.value,
        "state": gate.state.value,
        "deadline": iso(gate.deadline),
        "decisions": [_decision(record) for record in gate.decisions],
        "approvals": gate.approvals,
        "approved_by": [*gate.approved_by],
        "steps": [*gate.steps],
        "needs_image": gate.needs_image,
        "digest": gate.digest,
        "nonce": gate.nonce,
    }


def task_document(view: TaskView) -> dict[str, JsonValue]:
    """One task of an incident."""
    return {
        "task": view.task.id,
        "step": view.task.step,
        "text": view.task.text,
        "owner": view.task.owner,
        "done": view.done,
        "by": view.by,
        "reason": view.reason,
        "at": iso(view.at),
    }


def _decision(record: DecisionRecord) -> dict[str, JsonValue]:
    return {
        "by": record.by,
        "decision": record.decision,
        "reason": record.reason,
        "at": iso(record.at),
        "counted": record.counted,
        "note": record.note,
        "channel": record.channel,
        "proven": record.proven,
    }


def _from_brief(brief: Brief) -> dict[str, JsonValue]:
    """The same keys with what is known without a worker; None where that is nothing."""
    gates: list[JsonValue] = [
        {"gate": gate, "state": GateState.WAITING.value, "deadline": None, "decisions": []} for gate in brief.gates
    ]
    return {
        "incident": brief.incident,
        "finding_id": brief.finding_id,
        "finding_type": brief.finding_type,
        "severity": brief.severity,
        "cluster": brief.cluster,
        "state": brief.state,
        "containment": None,
        "paths": [],
        "targets": {"pods": [], "pod_count": None, "nodes": [], "images": [], "subjects": []},
        "steps": [],
        "gates": gates,
        "changes": [],
        "evidence": {"store": None, "artefacts": None, "manifest_sha256": None},
        "failures": [],
        "timings": {"received": iso(brief.started), "contained": None, "finished": iso(brief.closed)},
        "reasons": [],
        "proposals": [],
        "rejected": [],
        "notes": [],
        "tasks": [],
        "previews": {},
        "report": None,
    }
