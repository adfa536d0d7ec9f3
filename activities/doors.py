"""What the activities act through: made once a worker, injected, never created at import."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client

from clients.aws import Aws
from clients.kubernetes import Kubernetes
from evidence.store import EvidenceStore
from settings import Settings


@dataclass(frozen=True)
class Doors:
    """The clients of one installation."""

    settings: Settings
    kubernetes: Kubernetes
    bindings: Kubernetes
    """The same cluster with the identity that edits bindings: it alone holds `bind` (deploy/rbac.yaml)."""
    aws: Aws
    store: EvidenceStore
    temporal: Client
