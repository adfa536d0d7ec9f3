"""The catalogue of finding types: what AWS documents of each, and which paths it opens (guide G5).

The data stand in ``catalogue.json``; each entry names the AWS page it was taken from. Evidence inside a finding
outranks its type, and a type that is not here opens a triage incident: AWS adds types without notice.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import TypeAdapter

from findings.base import Frozen
from findings.model import SeverityBand

PathName = Literal["configuration", "user", "pod", "image", "node", "triage"]
"""The ways a finding can be remediated (guide G1); ``triage`` is for what only a person can sort out."""


class TypeStatus(StrEnum):
    """Whether GuardDuty still writes the type. Retired types still arrive from archives and exports."""

    ACTIVE = "active"
    RETIRED = "retired"


class Feature(StrEnum):
    """The part of GuardDuty that writes the type."""

    EKS_AUDIT_LOGS = "eks-audit-logs"
    RUNTIME_MONITORING = "runtime-monitoring"
    MALWARE_PROTECTION = "malware-protection"
    ATTACK_SEQUENCE = "attack-sequence"


class CatalogueEntry(Frozen):
    """What is known of a finding type.

    Attributes:
        type: The type as AWS writes it today.
        severity: The documented default; None where AWS says that it varies. The finding's own severity counts.
        paths: The paths that the type opens by itself.
        conditional: Paths that it opens only if the finding's evidence says so, e.g. the image of a drifted container.
        secrets: Whether the secrets that the subject could read are to be rotated.
        aws_credentials: Whether AWS credentials (of the node or of the actors) are to be treated too.
        in_scope: False for a type that is not about an EKS workload by itself; it opens triage.
        successor: The type that replaced a retired one.
        aliases: Former names of the same type.
        source: The AWS page.
    """

    type: str
    title: str
    status: TypeStatus
    severity: SeverityBand | None
    feature: Feature
    paths: tuple[PathName, ...]
    conditional: tuple[PathName, ...] = ()
    secrets: bool = False
    aws_credentials: bool = False
    in_scope: bool = True
    note: str = ""
    successor: str = ""
    aliases: tuple[str, ...] = ()
    source: str


def lookup(finding_type: str) -> CatalogueEntry | None:
    """The entry of a type, by its name or a former one; None for a type that the catalogue does not know."""
    return _by_name().get(finding_type)


@cache
def entries() -> tuple[CatalogueEntry, ...]:
    """All entries, sorted by type."""
    text = resources.files("findings").joinpath("catalogue.json").read_bytes()
    return TypeAdapter(tuple[CatalogueEntry, ...]).validate_json(text)


@cache
def _by_name() -> dict[str, CatalogueEntry]:
    return {name: entry for entry in entries() for name in (entry.type, *entry.aliases)}
