"""What `start` does: hand findings in, and stay with their incidents if asked to."""

from __future__ import annotations

import asyncio
import time

from pydantic import JsonValue
from temporalio.client import Client

from cli.connect import connect
from cli.ending import Code, worst
from cli.findings import Given
from cli.output import Output
from cli.screen import incident_screen
from cli.signature import whoami
from cli.text import clean, iso
from cli.view import incident_document
from cli.watching import wait_until_over
from findings.model import Finding
from intake.start import StartOutcome, StartResult, check_installation, start_incident
from settings import load_settings

_AT_ONCE = 20
_STYLES = {StartResult.STARTED: "bold green", StartResult.CLOSED: "yellow"}


async def start_all(given: Given, output: Output, *, wait: bool, timeout: float | None, act_on_sample: bool) -> Code:
    """Start the incident of each finding; nothing is started unless all of them are this installation's."""
    # Connecting comes first because it may take over the environment of the embedded stack, which the settings read.
    client = await connect(output)
    settings = load_settings()
    for finding in given.findings:
        check_installation(finding, settings)
    deadline = time.monotonic() + timeout if timeout is not None else None
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(finding: Finding) -> tuple[JsonValue, Code]:
        async with turns:
            outcome = await start_incident(
                client, finding, act_on_sample=act_on_sample, requested_by=f"{whoami()} by firebreak start"
            )
        _say(outcome, output)
        if not wait or outcome.refused:
            return outcome_document(outcome), Code.DONE
        return await _stay(client, outcome, output, deadline)

    answers = await asyncio.gather(*(one(finding) for finding in given.findings))
    if output.json:
        output.document([answer for answer, _ in answers] if given.many else answers[0][0])
    return worst(code for _, code in answers)


async def _stay(
    client: Client, outcome: StartOutcome, output: Output, deadline: float | None
) -> tuple[JsonValue, Code]:
    reading, code = await wait_until_over(client, outcome.incident, output, deadline)
    output.show(incident_screen(reading))
    return {**incident_document(reading), "outcome": outcome.result.value, "refused": False}, code


def _say(outcome: StartOutcome, output: Output) -> None:
    output.line(f"{outcome.result.value}: {clean(outcome.message, 400)}", _STYLES.get(outcome.result, ""))
    output.line(f"  {outcome.incident}")
    if outcome.refused and outcome.evidence and outcome.evidence.store:
        output.line(
            f"  its evidence: {clean(outcome.evidence.store)}, see `firebreak evidence list {outcome.finding_id}`"
        )
    elif not outcome.refused:
        output.line(f"  firebreak show {outcome.finding_id}")


def outcome_document(outcome: StartOutcome) -> dict[str, JsonValue]:
    """What `start --json` prints of one finding."""
    evidence = outcome.evidence
    return {
        "incident": outcome.incident,
        "finding_id": outcome.finding_id,
        "run_id": outcome.run_id,
        "outcome": outcome.result.value,
        "refused": outcome.refused,
        "message": outcome.message,
        "previous": {
            "state": outcome.state.value if outcome.state else None,
            "closed": iso(outcome.closed_at),
            "evidence": {
                "store": evidence.store if evidence else None,
                "artefacts": evidence.artefacts if evidence else None,
                "manifest_sha256": evidence.manifest_sha256 if evidence else None,
            },
        }
        if outcome.closed_at
        else None,
    }
