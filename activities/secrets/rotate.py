"""The activity `rotate_secrets`: what a compromised identity could read is worth nothing any more (guide U7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.accounts.identity import IDENTITY
from activities.accounts.recreate import said
from activities.accounts.rotation import Rotating
from activities.changes.kinds import kind_of
from activities.doors import Doors
from activities.secrets.kinds import CERTIFICATE, MANAGED, REVISION, VERSION
from activities.secrets.sorting import sort_secrets
from activities.steps import Planner, StepRoom, beat
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest, Task
from errors import TargetGone
from plans.model import Change

_PAUSE = timedelta(seconds=0.5)
_AWAITED = (CERTIFICATE, MANAGED)


class SecretActivities(StepRoom):
    """Has new secrets made, waits for them, and hands people the rest."""

    def __init__(self, doors: Doors, *, patience: timedelta = timedelta(minutes=10)) -> None:
        """Act through the doors.

        Args:
            doors: The clients.
            patience: How long cert-manager and Secrets Manager have before a rotation counts as failed.
        """
        super().__init__(doors)
        self._rotating = Rotating(doors)
        self._patience = patience

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return dict.fromkeys(("user.rotate_secrets", "pod.rotate_secrets", "image.rotate_secrets"), self._plan)

    @activity.defn(name=ActivityName.ROTATE_SECRETS, no_thread_cancel_exception=True)
    def rotate_secrets(self, request: StepRequest) -> StepOutcome:
        """Start the rotations, wait until they are done, and name what is left to people.

        Raises:
            Paused, Throttled, Unavailable: A service, not a secret, stands in the way; a retry goes on.
        """
        # Before anything is made anew: afterwards a new Secret may not show any more who could read the old one.
        tasks = self._tasks(request)
        made = self._make(request)
        failures = (*made.failures, *self._await(request, made.failures), *self._rotating.unproved(request))
        return StepOutcome(
            complete=not failures,
            summary=_summary(request.changes, tasks),
            failures=failures,
            at=datetime.now(UTC),
            tasks=tasks,
        )

    def _plan(self, request: StepRequest) -> StepPlan:
        found = sort_secrets(self._doors, request)
        earlier = {c.key: c for c in request.made}
        changes = [c for c in found.changes if c.key not in earlier or earlier[c.key].before == c.before]
        rotation = self._rotating.plan(request, found.accounts, renew=True)
        tasks = [f"Task for {t.owner}: {t.text}" for t in found.tasks]
        skip = "" if changes or rotation.changes or found.tasks or rotation.tasks else "it could read no Secret"
        return StepPlan(
            changes=(*changes, *rotation.changes),
            notes=(*found.notes, *rotation.notes, *tasks),
            skip=skip,
        )

    def _tasks(self, request: StepRequest) -> tuple[Task, ...]:
        found = sort_secrets(self._doors, request)
        # An attempt before this one may have deleted the Secrets that show whose account it is.
        planned = {(c.resource.namespace, c.resource.name) for c in request.changes if c.resource.kind == IDENTITY}
        return (*found.tasks, *self._rotating.tasks(request, sorted({*planned, *found.accounts})))

    def _await(self, request: StepRequest, failed: Sequence[Failure]) -> list[Failure]:
        """Until every rotation that was started has ended, as read again."""
        unmade = {f.target for f in failed}
        waiting = [c for c in request.changes if c.resource.kind in _AWAITED and str(c.resource) not in unmade]
        end = datetime.now(UTC) + self._patience
        while waiting := [c for c in waiting if not self._done(c)]:
            if datetime.now(UTC) >= end:
                break
            beat()
            activity.wait_for_cancelled_sync(_PAUSE)
        minutes = self._patience.total_seconds() / 60
        return [
            Failure(
                step=request.step.step,
                target=str(c.resource),
                code="Unavailable",
                message=f"{c.resource}: its rotation was started and has not ended within {minutes:g} minutes",
            )
            for c in waiting
        ]

    def _done(self, change: Change) -> bool:
        try:
            now = kind_of(self._doors, change.resource.kind).read(change.resource, tuple(change.after))
        except TargetGone:
            return True
        if change.resource.kind == CERTIFICATE:
            wanted = change.after[REVISION]
            return isinstance(wanted, int) and int(now[REVISION]) >= wanted
        return bool(now[VERSION] != change.before[VERSION])


def _summary(changes: Sequence[Change], tasks: Sequence[Task]) -> str:
    issued = sum(c.resource.kind == CERTIFICATE for c in changes)
    rotated = sum(c.resource.kind == MANAGED for c in changes)
    parts = [f"{issued} issued anew"] if issued else []
    parts += [f"{rotated} rotated in Secrets Manager"] if rotated else []
    rest = said([c for c in changes if c.resource.kind not in _AWAITED])
    parts += [rest] if rest != "nothing to do" else []
    parts += [f"{len(tasks)} left to people"] if tasks else []
    return "Secrets: " + (", ".join(parts) or "none to rotate")
