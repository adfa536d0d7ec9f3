"""Whether GuardDuty itself stands behind a finding (design: Plan, gates, policy; Provenance).

Whoever can write to the queue can make up a finding, or change a real one. So GuardDuty is asked with our own
credentials, and where it knows the finding, its copy is what the plan is made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from clients.aws import Aws
from errors import FirebreakError, InputError
from findings.model import Finding
from findings.reader import read_findings
from findings.subject import subjects_of
from findings.text import cleaned
from plans.observed import Provenance
from plans.routing import named_images, named_workloads
from settings import Settings


class Confirmation(NamedTuple):
    """What GuardDuty said.

    Attributes:
        provenance: Whether the finding may act on its own, and why.
        finding: GuardDuty's own copy, or None when it gave none.
        notes: Where the received copy says something else, a sentence each.
    """

    provenance: Provenance
    finding: Finding | None = None
    notes: tuple[str, ...] = ()


def confirm(
    aws: Aws,
    settings: Settings,
    received: Finding,
    max_age: int,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Confirmation:
    """Ask GuardDuty for the finding. Never fails: without an answer a finding is unconfirmed, and a person decides.

    Args:
        aws: The door to AWS.
        settings: Names the account, region and cluster that findings must come from, and the detector.
        received: The finding as it was received.
        max_age: Of the activity, in seconds.
        now: The clock, UTC.
    """
    try:
        detector = settings.detector_id or aws.guardduty.detector_id()
        raw = aws.guardduty.finding(detector, received.id)
        if raw is None:
            unknown = f"the detector {detector} in {aws.region} does not know its id"
            return Confirmation(_unconfirmed(contradiction(received, settings) or unknown))
        confirmed = parsed(raw)
    except InputError as error:
        return Confirmation(_unconfirmed(f"its answer could not be used ({error.message})"))
    except FirebreakError as error:
        return Confirmation(_unconfirmed(f"it could not be asked ({error.code}: {error.message})"))
    notes = tuple(differences(received, confirmed))
    if reason := out_of_scope(confirmed, settings) or _stale(confirmed, max_age, now()):
        return Confirmation(_unconfirmed(reason), confirmed, notes)
    said = f"GuardDuty returned it from {confirmed.account} in {confirmed.region}."
    return Confirmation(Provenance(confirmed=True, reason=said), confirmed, notes)


def out_of_scope(finding: Finding, settings: Settings) -> str:
    """Why a finding is not for certain about this installation's account, region and cluster, or "".

    A setting that is missing fits nothing: an installation that does not know its own cluster cannot tell another's.
    """
    for what, found, expected in _scope(finding, settings):
        if not expected:
            return f"this installation does not say which {what} it is for (FIREBREAK_{what.upper()})"
        if not found:
            return f"it names no {what}"
    return contradiction(finding, settings)


def contradiction(finding: Finding, settings: Settings) -> str:
    """Why a finding is about another account, region or cluster than this installation's, or ""."""
    for what, found, expected in _scope(finding, settings):
        if found and expected and found != expected:
            return f"it is about the {what} {cleaned(found, 100)}, not {expected}"
    return ""


def _scope(finding: Finding, settings: Settings) -> tuple[tuple[str, str, str], ...]:
    return (
        ("account", finding.account, settings.account),
        ("region", finding.region, settings.region),
        ("cluster", finding.cluster.name if finding.cluster is not None else "", settings.cluster),
    )


def differences(received: Finding, confirmed: Finding) -> list[str]:
    """Where the copy that was received says something else than GuardDuty, in what a plan rests on."""
    notes = []
    for what, ours, theirs in (
        ("account", received.account, confirmed.account),
        ("region", received.region, confirmed.region),
        ("cluster", _cluster(received), _cluster(confirmed)),
        ("severity", received.severity, confirmed.severity),
        ("type", received.type, confirmed.type),
        ("workload", _words(named_workloads(received)), _words(named_workloads(confirmed))),
        ("subject", _words(subjects_of(received)), _words(subjects_of(confirmed))),
        ("image", _words(named_images(received)), _words(named_images(confirmed))),
        ("sample mark", received.sample, confirmed.sample),
    ):
        if ours != theirs:
            notes.append(
                f"The finding that was received has another {what} than GuardDuty's own copy, which is used: "
                f"{cleaned(str(ours), 120)} instead of {cleaned(str(theirs), 120)}."
            )
    return notes


def _cluster(finding: Finding) -> str:
    return finding.cluster.name if finding.cluster is not None else "none"


def _words(things: tuple[Any, ...]) -> str:
    """The identities of workloads, subjects or images, in an order of their own."""
    return ", ".join(sorted(_word(t) for t in things)) or "none"


def _word(thing: Any) -> str:
    if isinstance(thing, str):
        return thing
    place = f"{thing.namespace}/{thing.name}" if thing.namespace else thing.name
    return " ".join(p for p in (thing.kind.value, place, getattr(thing, "uid", "")) if p)


def _stale(finding: Finding, max_age: int, now: datetime) -> str:
    if finding.archived:
        return "it is archived there"
    last = finding.last_activity
    if last is None:
        return "it does not say when the activity was last seen"
    if now - last > timedelta(seconds=max_age):
        return f"the activity was last seen at {last:%Y-%m-%d %H:%M} UTC, more than {max_age // 3600} h ago"
    return ""


def parsed(raw: dict[str, Any]) -> Finding:
    """GuardDuty's own copy of a finding, read.

    Raises:
        InputError: It is no finding.
    """
    # The SDK decodes some members into datetimes; the reader reads what a service would write.
    text = json.dumps({"Findings": [raw]}, default=lambda value: value.isoformat())
    return read_findings(text)[0]


def _unconfirmed(reason: str) -> Provenance:
    return Provenance(confirmed=False, reason=f"{reason[0].upper()}{reason[1:]}.")
