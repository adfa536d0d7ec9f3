"""The activities `acquire_lease` and `release_lease`: who may carry out destructive steps on a target now.

A Lease in Firebreak's own namespace stands for each target. It does not expire by time: a step may wait for hours, and
two incidents that rotate the same account at once do harm. It is stale only when Temporal says that the workflow of its
holder is closed, or knows no such workflow.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.doors import Doors
from activities.isolation.fields import patch_operations
from clients.kubernetes import JsonObject
from clients.paths import list_path, object_path
from contracts.activities import LeaseRequest, StepResult
from contracts.names import LABEL_ON, MANAGED_LABEL, ActivityName
from errors import Conflict, TargetGone, Unavailable
from plans.model import ResourceRef

_HOLDER_FIELD = "/spec/holderIdentity"
_ATTEMPTS = 5


class LeaseActivities:
    """Takes and gives back leases."""

    def __init__(self, doors: Doors) -> None:
        self._kubernetes = doors.kubernetes
        self._temporal = doors.temporal
        self._namespace = doors.settings.namespace

    @activity.defn(name=ActivityName.ACQUIRE_LEASE)
    async def acquire_lease(self, request: LeaseRequest) -> StepResult:
        """Take the leases of all resources, or none. Those that this incident has already are left as they are.

        Raises:
            Conflict: Another incident that is still open has one of them; try again later.
            Throttled, Unavailable: The API server or Temporal does not answer.
        """
        taken: list[str] = []
        # In one order for everybody, so that two incidents never wait for each other in a circle.
        wanted = {lease_name(r): r for r in request.resources}
        try:
            for name, resource in sorted(wanted.items()):
                if await self._take(name, resource, request.incident.workflow_id):
                    taken.append(name)
        except BaseException:
            # Also when cancelled: what was taken by this call stands for nothing.
            for name in reversed(taken):
                await asyncio.to_thread(self._drop, name, request.incident.workflow_id)
            raise
        return StepResult(done=len(wanted))

    @activity.defn(name=ActivityName.RELEASE_LEASE)
    async def release_lease(self, request: LeaseRequest) -> StepResult:
        """Give back the leases of the resources that this incident has; others' are left alone.

        Raises:
            Throttled, Unavailable: The API server does not answer.
        """
        dropped = [
            await asyncio.to_thread(self._drop, name, request.incident.workflow_id)
            for name in sorted({lease_name(r) for r in request.resources})
        ]
        return StepResult(done=sum(dropped))

    async def _take(self, name: str, resource: ResourceRef, incident: str) -> bool:
        """Take one lease; True when it was not this incident's before."""
        for _ in range(_ATTEMPTS):
            if await asyncio.to_thread(self._create, name, resource, incident):
                return True
            live = await asyncio.to_thread(self._read, name)
            if live is None:
                continue
            holder = str((live.get("spec") or {}).get("holderIdentity") or "")
            if holder == incident:
                return False
            if holder and not await self._is_closed(holder):
                raise Conflict(f"{resource} is taken by incident {holder}")
            if await asyncio.to_thread(self._take_over, name, live, incident):
                return True
        raise Conflict(f"the lease of {resource} is taken and given back by others again and again")

    async def _is_closed(self, holder: str) -> bool:
        try:
            description = await self._temporal.get_workflow_handle(holder).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return True
            # Not knowing is not the same as closed.
            raise Unavailable(f"Temporal does not say whether {holder} is closed: {error.message}") from error
        return description.status not in (None, WorkflowExecutionStatus.RUNNING)

    def _create(self, name: str, resource: ResourceRef, incident: str) -> bool:
        now = _now()
        body: JsonObject = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name,
                "labels": {MANAGED_LABEL: LABEL_ON},
                # The name is a hash; people want to know whose it is.
                "annotations": {"firebreak.dev/target": str(resource)},
            },
            "spec": {"holderIdentity": incident, "acquireTime": now, "renewTime": now, "leaseTransitions": 0},
        }
        try:
            # A pause holds what changes the cluster, not our own records.
            self._kubernetes.create(list_path("Lease", self._namespace), body, control=True)
        except Conflict:
            return False
        return True

    def _read(self, name: str) -> JsonObject | None:
        try:
            return self._kubernetes.get(object_path("Lease", self._namespace, name))
        except TargetGone:
            return None

    def _take_over(self, name: str, live: JsonObject, incident: str) -> bool:
        spec = live.get("spec") or {}
        values = {
            _HOLDER_FIELD: incident,
            "/spec/acquireTime": _now(),
            "/spec/leaseTransitions": (spec.get("leaseTransitions") or 0) + 1,
        }
        try:
            self._kubernetes.patch(
                object_path("Lease", self._namespace, name), patch_operations(live, values), control=True
            )
        except (Conflict, TargetGone):
            return False
        return True

    def _drop(self, name: str, incident: str) -> bool:
        live = self._read(name)
        if live is None or (live.get("spec") or {}).get("holderIdentity") != incident:
            return False
        metadata = live["metadata"]
        try:
            self._kubernetes.delete(
                object_path("Lease", self._namespace, name),
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
                control=True,
            )
        except (Conflict, TargetGone):
            # Somebody else has it, or nobody: either way it is not ours any more.
            return False
        return True


def lease_name(resource: ResourceRef) -> str:
    """The name of a target's Lease: a hash, because the target's own name may not be one that a Lease can have."""
    identity = f"{resource.kind}/{resource.namespace}/{resource.uid or resource.name}"
    return f"target-{hashlib.sha256(identity.encode()).hexdigest()}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
