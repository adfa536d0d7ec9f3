"""What a repeat of a finding says that its running incident does not know yet."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client, WorkflowHandle

from contracts.incidents import IncidentInput
from findings.model import Finding
from intake.summary import about

_RPC_TIMEOUT = timedelta(seconds=10)


async def what_changed(client: Client, handle: WorkflowHandle[object, object], finding: Finding) -> str:
    """What of severity and targets differs from the finding that the incident began with; empty when nothing does.

    The beginning is read from the history, which needs no worker.
    """
    begun = await _input_of(client, handle)
    if begun is None:
        return ""
    changes = []
    if begun.finding.severity != finding.severity:
        changes.append(f"severity {begun.finding.severity:g} became {finding.severity:g}")
    if _targets(begun.finding) != _targets(finding):
        changes.append(f"it is about {about(finding)} now")
    return "; ".join(changes)


def _targets(finding: Finding) -> tuple[object, ...]:
    w, user = finding.workload, finding.user
    return (
        (w.kind, w.namespace, w.name, w.uid) if w else None,
        user.username if user else None,
        finding.instance_id,
        finding.cluster.name if finding.cluster else None,
    )


async def _input_of(client: Client, handle: WorkflowHandle[object, object]) -> IncidentInput | None:
    async for event in handle.fetch_history_events(page_size=1, rpc_timeout=_RPC_TIMEOUT):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        try:
            (begun,) = await client.data_converter.decode(payloads, [IncidentInput])
        except (ValueError, RuntimeError):
            # Another version or a codec that we lack wrote it; then the hour alone decides.
            return None
        return begun if isinstance(begun, IncidentInput) else None
    return None
