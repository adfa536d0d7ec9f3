"""The activity `deny_repository`: nobody pulls anything from a repository, because its images cannot be trusted (I1).

A repository policy cannot select a digest: this hits every image of it, so it has an approval of its own.
Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policies.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import JsonValue
from temporalio import activity

from activities.changes.ecr import POLICY
from activities.image.registry import owner_tasks
from activities.isolation.walk import SYSTEMIC, failure_of
from activities.steps import Planner, StepRoom, beat
from clients.paths import list_path
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import Conflict, FirebreakError, TargetGone
from plans.images import repository_of
from plans.model import Change, ResourceRef
from plans.situation import listed

SID: Final = "FirebreakDenyPull"
_ACTIONS: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_SPECS: Final = ("containers", "initContainers", "ephemeralContainers")


class RepositoryActivities(StepRoom):
    """Closes repositories."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"image.deny_repository": self._plan}

    @activity.defn(name=ActivityName.DENY_REPOSITORY, no_thread_cancel_exception=True)
    def deny_repository(self, request: StepRequest) -> StepOutcome:
        """Set the planned policies, then read them again.

        Raises:
            Paused, Throttled, Unavailable: ECR stands in the way; a retry goes on.
        """
        made = self._make(request)
        states = {c.resource.name: self._is_closed(c.resource.name) for c in request.changes}
        closed = [name for name, denies in states.items() if denies]
        open_ = [name for name, denies in states.items() if not denies]
        planned = {c.resource.name for c in request.changes}
        others = [t.name for t in request.step.targets if t.name not in planned]
        return StepOutcome(
            complete=not open_ and not made.failures,
            skipped=not closed and not open_,
            summary=f"nobody may pull from {listed(closed)}" if closed else "no repository of ours was closed",
            failures=made.failures,
            reasons=tuple(f"{name} can still be pulled from." for name in open_),
            tasks=owner_tasks(request, (o for o in others if "@" in o), "Close the repository of"),
        )

    def _is_closed(self, repository: str) -> bool:
        try:
            text = self._doors.aws.ecr.policy(repository)
        except TargetGone:
            return True
        return text is not None and _denies(json.loads(text))

    def _plan(self, request: StepRequest) -> StepPlan:
        changes: list[Change] = []
        failures: list[Failure] = []
        notes: list[str] = []
        for name in (t.name for t in request.step.targets if "@" not in t.name):
            beat()
            resource = ResourceRef(kind=POLICY, name=name)
            try:
                changes.append(self._change(request, resource))
                notes += self._hit(name)
            except SYSTEMIC:
                raise
            except TargetGone:
                notes.append(f"{name} is gone already.")
            except FirebreakError as error:
                failures.append(failure_of(request.step.step, resource, error))
        return StepPlan(changes=tuple(changes), failures=tuple(failures), blocked=bool(failures), notes=tuple(notes))

    def _change(self, request: StepRequest, resource: ResourceRef) -> Change:
        text = self._doors.aws.ecr.policy(resource.name)
        try:
            before: JsonValue = None if text is None else json.loads(text)
        except ValueError:
            raise Conflict(f"{resource}: its policy is not JSON") from None
        return Change(
            step=request.step.step,
            resource=resource,
            summary="nobody may pull from it any more",
            before={"": before},
            after={"": _closed(before, resource)},
        )

    def _hit(self, repository: str) -> Iterator[str]:
        """Everything that an approver takes away from others."""
        images = self._doors.aws.ecr.images(repository)
        tags = sorted(t for _, of_image in images for t in of_image)
        named = listed(tags, 20) or "none"
        yield f"{repository}: none of its {len(images)} images can be pulled any more; tags: {named}."
        settings = self._doors.settings
        # The registry's address differs between partitions; account and repository are what names it.
        users = sorted(set(self._users(settings.account, repository)))
        if users:
            yield f"Pods use the repository and cannot be started on a node without a copy: {listed(users, 20)}."

    def _users(self, account: str, repository: str) -> Iterator[str]:
        for page in self._doors.kubernetes.pages(list_path("Pod")):
            for pod in page:
                spec = pod.get("spec") or {}
                images = (repository_of(c.get("image") or "") for key in _SPECS for c in spec.get(key) or ())
                if any(i.startswith(f"{account}.dkr") and i.partition("/")[2] == repository for i in images):
                    yield f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            beat()


def _closed(policy: JsonValue, resource: ResourceRef) -> JsonValue:
    """The same policy with a statement that denies every pull; an explicit Deny wins over whatever allows."""
    if policy is None:
        policy = {"Version": "2012-10-17", "Statement": []}
    if not isinstance(policy, dict):
        raise Conflict(f"{resource}: its policy is not a JSON object")
    found = policy.get("Statement")
    statements: list[JsonValue] = found if isinstance(found, list) else [found] if found else []
    rest = [s for s in statements if not (isinstance(s, dict) and s.get("Sid") == SID)]
    return {**policy, "Statement": [*rest, _statement()]}


def _statement() -> dict[str, JsonValue]:
    actions: list[JsonValue] = list(_ACTIONS)
    return {"Sid": SID, "Effect": "Deny", "Principal": "*", "Action": actions}


def _denies(policy: Any) -> bool:
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    return isinstance(statements, list) and _statement() in statements
