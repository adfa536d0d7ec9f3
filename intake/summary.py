"""How an incident introduces itself in the Temporal UI: summary, details, search attributes and priority at its start.

They are also what is left to show when no worker is up, so they say what a person needs to find the finding.
"""

from __future__ import annotations

import re
from datetime import datetime

from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes

from contracts.names import CLUSTER, FINDING_ID, FINDING_TYPE, SEVERITY, STATE
from contracts.states import IncidentState
from findings.model import Finding, SeverityBand
from findings.subject import subject_of

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&])")
_PRIORITY = {SeverityBand.CRITICAL: 1, SeverityBand.HIGH: 2, SeverityBand.MEDIUM: 3, SeverityBand.LOW: 4}
_LOWEST_PRIORITY = 5
_LONGEST_SUMMARY = 200


def printable(text: str, limit: int = 200) -> str:
    """One line without control or direction characters, at most `limit` long."""
    line = "".join(c if c.isprintable() else " " for c in text[:limit])
    return " ".join(line.split())


def escaped(text: str) -> str:
    """Text from outside as literal Markdown."""
    return _SPECIAL.sub(r"\\\1", printable(text))


def about(finding: Finding) -> str:
    """What the finding is about, in a few words: the workload, the node, else the user."""
    workload = finding.workload
    if workload is not None and workload.name:
        kind = workload.kind.value.removesuffix("s") if workload.kind else "workload"
        return printable(
            f"{kind} {workload.namespace}/{workload.name}" if workload.namespace else f"{kind} {workload.name}"
        )
    if finding.instance_id:
        return printable(f"instance {finding.instance_id}")
    subject = subject_of(finding)
    return printable(f"{subject.kind.value} {subject.name}") if subject.name else "no named resource"


def static_summary(finding: Finding) -> str:
    """One printable line of at most 200 characters."""
    sample = " (sample)" if finding.sample else ""
    text = f"{finding.type}{sample} · severity {finding.severity:g} · {about(finding)}"
    return printable(text, _LONGEST_SUMMARY)


def static_details(finding: Finding, received: datetime, requested_by: str) -> str:
    """Markdown for the UI; whatever the finding brought is escaped."""
    cluster = finding.cluster.name if finding.cluster else "-"
    rows = {
        "Finding": finding.id,
        "Type": finding.type,
        "Severity": f"{finding.severity:g} ({finding.band.value})",
        "Account, region": f"{finding.account}, {finding.region}",
        "Cluster": cluster,
        "About": about(finding),
        "Title": finding.title,
        "Last seen": f"{finding.last_seen:%Y-%m-%d %H:%M:%S} UTC" if finding.last_seen else "-",
        "Received": f"{received:%Y-%m-%d %H:%M:%S} UTC, as {finding.source.value}, from {requested_by or 'unknown'}",
    }
    return "\n".join(f"- **{name}**: {escaped(text) or '-'}" for name, text in rows.items())


def search_attributes(finding: Finding) -> TypedSearchAttributes:
    """What incidents are found by. Unencrypted on the server, so identity and severity only."""
    pairs: list[SearchAttributePair[str] | SearchAttributePair[float]] = [
        SearchAttributePair(FINDING_ID, finding.id),
        SearchAttributePair(FINDING_TYPE, printable(finding.type)),
        SearchAttributePair(STATE, IncidentState.ASSESSING.value),
        SearchAttributePair(SEVERITY, finding.severity),
    ]
    if finding.cluster is not None and finding.cluster.name:
        pairs.append(SearchAttributePair(CLUSTER, printable(finding.cluster.name)))
    return TypedSearchAttributes(pairs)


def priority(finding: Finding) -> Priority:
    """Critical findings first; samples last."""
    return Priority(priority_key=_LOWEST_PRIORITY if finding.sample else _PRIORITY[finding.band])
