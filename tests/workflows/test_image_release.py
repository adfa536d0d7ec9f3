"""A release lets go of the pods of an image also where one record stands for all of them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from contracts.activities import RestoreResult
from contracts.common import IncidentKey, PodTarget, PodTargets, StoredList
from contracts.incidents import ReleaseInput
from contracts.names import HOT_QUEUE, ActivityName, WorkflowName
from plans.model import Change, ResourceRef
from tests.workflows.conftest import Incident
from tests.workflows.fakes import Script

Start = Callable[..., Awaitable[Incident]]


def record(kind: str, name: str) -> Change:
    return Change(step="s", resource=ResourceRef(kind=kind, name=name), summary="", before={"": None}, after={"": "x"})


async def test_both_lists_of_pods_are_let_go_and_each_record_goes_with_its_own(start: Start) -> None:
    incident = await start(Script())
    key = IncidentKey(workflow_id=f"gd/1/r/{uuid.uuid4().hex}", run_id="r")
    listed = StoredList(key="incidents/x/targets-2.jsonl", sha256="s", count=500)
    pods = PodTargets(count=1, inline=(PodTarget(namespace="shop", name="a", uid="u"),))
    changes = record("PodList", "incidents/x/targets.jsonl"), record("PodList", listed.key), record("EcrImage", "a")
    order = ReleaseInput(
        incident=key, changes=changes, pods=pods, image_pods=PodTargets(count=500, reference=listed), by="ada"
    )
    result = await incident.env.client.execute_workflow(
        WorkflowName.RELEASE_CONTAINMENT.value,
        order,
        id=f"{key.workflow_id}/release",
        task_queue=HOT_QUEUE,
        result_type=RestoreResult,
    )
    asked = [r for r in incident.script.called(ActivityName.RESTORE_CHANGES) if r.incident == key]
    # The labels of the image's pods first: until then a selector that is put back would open them.
    assert [(r.pods.count, [c.resource.name for c in r.changes]) for r in asked] == [
        (500, [listed.key]),
        (1, ["incidents/x/targets.jsonl", "a"]),
    ]
    assert set(result.undone) == {c.key for c in changes}
