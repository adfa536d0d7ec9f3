"""The catalogue of finding types."""

from __future__ import annotations

import re

import pytest

from findings.catalogue import Feature, TypeStatus, entries, lookup
from findings.model import SeverityBand

SENSITIVE_MOUNT = "Persistence:Kubernetes/AnomalousBehavior.WorkloadDeployed!ContainerWithSensitiveMount"


def test_every_entry_is_whole() -> None:
    names = [name for e in entries() for name in (e.type, *e.aliases)]
    assert len(names) == len(set(names)) == 88
    for entry in entries():
        assert re.fullmatch(r"[A-Za-z]+:(Kubernetes|Runtime|EKS|ECS|EC2|Container)/[A-Za-z0-9.!&]+", entry.type)
        assert entry.source.startswith("https://docs.aws.amazon.com/guardduty/latest/ug/")
        assert entry.paths
        assert not set(entry.paths) & set(entry.conditional)
        assert entry.in_scope is ("triage" not in entry.paths)
        assert not re.search(r"[`*\\]|seed", entry.title + entry.note)
        assert lookup(entry.type) is entry
        if entry.successor:
            assert lookup(entry.successor) is not None


@pytest.mark.parametrize(
    ("name", "paths", "conditional", "severity"),
    [
        ("PrivilegeEscalation:Kubernetes/PrivilegedContainer", ("user", "pod", "image", "node"), (), "Medium"),
        (SENSITIVE_MOUNT, ("user", "pod", "image"), ("node",), "High"),
        ("Policy:Kubernetes/AnonymousAccessGranted", ("configuration",), ("user",), "High"),
        ("PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleBindingCreated", ("user", "configuration"), (),
         "Medium"),
        ("Execution:Runtime/ReverseShell", ("pod",), ("image",), "High"),
        ("Execution:Runtime/NewBinaryExecuted", ("pod",), ("image",), "Medium"),
        ("PrivilegeEscalation:Runtime/RuncContainerEscape", ("pod", "node"), ("image",), "High"),
        ("Execution:Runtime/SuspiciousTool", ("pod",), ("image",), None),
        ("Execution:EC2/MaliciousFile", ("triage",), (), None),
        ("AttackSequence:EKS/CompromisedCluster", ("user", "pod", "image", "node", "configuration"), (), "Critical"),
    ],
)  # fmt: skip
def test_entries(name: str, paths: tuple[str, ...], conditional: tuple[str, ...], severity: str | None) -> None:
    entry = lookup(name)
    assert entry is not None
    assert (entry.paths, entry.conditional) == (paths, conditional)
    assert entry.severity == (SeverityBand(severity) if severity else None)


def test_flags() -> None:
    flagged = {e.type for e in entries() if e.secrets}
    assert flagged == {"CredentialAccess:Kubernetes/AnomalousBehavior.SecretsAccessed"}
    assert {e.type for e in entries() if e.aws_credentials} == {
        "AttackSequence:EKS/CompromisedCluster",
        "UnauthorizedAccess:Runtime/MetadataDNSRebind",
    }
    assert {e.type for e in entries() if e.status is TypeStatus.RETIRED} == {
        "Persistence:Kubernetes/ContainerWithSensitiveMount",
        "PrivilegeEscalation:Kubernetes/PrivilegedContainer",
    }
    assert sum(not e.in_scope for e in entries()) == 7
    assert sum(e.feature is Feature.RUNTIME_MONITORING for e in entries()) == 42


def test_a_former_name_leads_to_the_type_of_today() -> None:
    former = "PrivilegeEscalation:Kubernetes/AnomalousBehavior.WorkloadDeployed!ContainerWithSensitiveMount"
    entry = lookup(former)
    assert entry is not None
    assert entry.type == SENSITIVE_MOUNT


@pytest.mark.parametrize("name", ["", "New:Kubernetes/Type", "execution:runtime/reverseshell", "Execution:Runtime"])
def test_an_unknown_type_is_no_error(name: str) -> None:
    assert lookup(name) is None
