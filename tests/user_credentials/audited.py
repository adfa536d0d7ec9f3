"""The audit log of a cluster with events in it, and evidence about identities collected from it as a worker would."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.collect.audit import Limits
from activities.doors import Doors
from activities.seal import Sealing
from activities.user.evidence import SubjectEvidenceActivities
from contracts.activities import SealRequest
from contracts.common import EvidenceState, IncidentKey
from contracts.steps import StepOutcome
from devstack.aws import audit
from evidence.document import read_line
from evidence.entry import Entry
from evidence.store import read_bytes
from findings.model import Finding, KubernetesUser
from tests.user_credentials.support import Json, about_user, incident, request

COLLECT = "user.collect"
QUICK = Limits(patience=0)


@dataclass
class Log:
    """The audit log of a cluster of its own, so that no other test writes into it."""

    client: Any
    cluster: str

    def write(self, *events: Json | str, at: datetime | None = None, stream: str = audit.STREAM) -> None:
        # Findings of these tests are five minutes old.
        lines = [e if isinstance(e, str) else audit.line_of(e) for e in events]
        self.put([(at or datetime.now(UTC) - timedelta(minutes=4), line) for line in lines], stream)

    def put(self, lines: Iterable[tuple[datetime, str]], stream: str = audit.STREAM) -> None:
        audit.write(self.client, self.cluster, lines, stream)


def new_cluster(eks: Any, name: str = "", *, on: bool = True) -> str:
    """A cluster whose audit log is on or off."""
    name = name or f"c-{secrets.token_hex(4)}"
    where = {"subnetIds": ["subnet-1", "subnet-2"]}
    role = "arn:aws:iam::123456789012:role/cluster"
    eks.create_cluster(name=name, roleArn=role, resourcesVpcConfig=where, **({"logging": audit.ON} if on else {}))
    return name


def in_cluster(doors: Doors, cluster: str) -> Doors:
    """The same doors in an installation of another cluster."""
    return dataclasses.replace(doors, settings=doors.settings.model_copy(update={"cluster": cluster}))


def about_name(username: str) -> Finding:
    """A finding about somebody of whom only the name is known."""
    finding = about_user("x", "")
    return finding.model_copy(update={"user": KubernetesUser(username=username), "access_key": None})


@dataclass
class Collected:
    """What one collection has left."""

    doors: Doors
    key: IncidentKey
    outcome: StepOutcome

    @property
    def entries(self) -> list[Entry]:
        assert self.outcome.entries is not None
        listed = read_bytes(self.doors.store, self.outcome.entries.key)
        return [e for e in map(read_line, listed.splitlines()) if e.kind != "entry-list"]

    def entry(self, kind: str = "audit-events") -> Entry:
        (found,) = [e for e in self.entries if e.kind == kind]
        return found

    def data(self, kind: str = "audit-events") -> bytes:
        return read_bytes(self.doors.store, f"{self.key.evidence_prefix}/{self.entry(kind).key}")

    def events(self, kind: str = "audit-events") -> list[Json]:
        return [json.loads(line) for line in self.data(kind).splitlines()]

    def sealed(self) -> EvidenceState:
        assert self.outcome.entries is not None
        asked = SealRequest(incident=self.key, phase="collect", entries=(self.outcome.entries,))
        return ActivityEnvironment().run(Sealing(self.doors).seal_evidence, asked)


def collect(
    doors: Doors, finding: Finding, *accounts: tuple[str, str], limits: Limits | None = None, key: Any = None
) -> Collected:
    """Carry `user.collect` out."""
    key = key or incident()
    room = SubjectEvidenceActivities(doors, limits)
    asked = request(COLLECT, finding, key, *accounts)
    return Collected(doors, key, ActivityEnvironment().run(room.collect_subject, asked))
