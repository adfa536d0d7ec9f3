"""Command lines to copy: what approves or denies a gate, with this tool and with the plain `temporal` one."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta

from cli.signature import whoami
from cli.text import iso
from contracts.incidents import Decision, GateView, IncidentView
from contracts.names import Handler
from contracts.states import Verb
from contracts.steps import TaskView

COPIED_VALIDITY = timedelta(hours=1)
"""A line that somebody copies is used a little later; one that this tool sends itself is valid for ten minutes."""


def approve_command(view: IncidentView, gate: GateView) -> str:
    """The exact command that approves a gate."""
    image = " --image REPOSITORY@sha256:DIGEST" if gate.needs_image else ""
    return f'firebreak approve {shlex.quote(view.finding_id)} {gate.gate.value} --reason "WHY"{image}'


def suppress_command(finding_id: str) -> str:
    """The command that shows the suppression rule of a finding."""
    return f"firebreak suppress {shlex.quote(finding_id)}"


def task_command(view: IncidentView, task: TaskView) -> str:
    """The exact command that says that a task is done."""
    return f'firebreak task done {shlex.quote(view.finding_id)} {shlex.quote(task.task.id)} --reason "WHAT"'


def signal_line(view: IncidentView, gate: GateView, now: datetime | None = None) -> str:
    """The line for the day when this tool is missing.

    Reason and image are left empty on purpose: a decision without a reason is recorded and not counted, so a line that
    was pasted unread opens nothing.
    """
    decision = {
        "incident": view.incident,
        "gate": gate.gate.value,
        "digest": gate.digest,
        "nonce": gate.nonce,
        "decision": Verb.APPROVE.value,
        "by": whoami(),
        "reason": "",
        "expires": iso(((now or datetime.now(UTC)) + COPIED_VALIDITY).replace(microsecond=0)),
    }
    if gate.needs_image:
        decision["image"] = ""
    # The field names come from the message itself, so that a renamed one cannot pass unnoticed.
    Decision.model_validate(decision)
    return (
        f"temporal workflow signal --workflow-id {shlex.quote(view.incident)} --name {Handler.APPROVE.value} "
        f"--input {shlex.quote(json.dumps(decision))}"
    )
