"""Replacing what is vulnerable: the fixed image rolled out and watched, then the old pods deleted (guide P8)."""

from __future__ import annotations

from collections.abc import Callable

from contracts.activities import (
    ChangeRequest,
    DeletePodsRequest,
    HoldRequest,
    LeaseRequest,
    RedeployPlan,
    RedeployRequest,
    RestoreRequest,
    RestoreResult,
    RolloutRequest,
    RolloutResult,
    StepResult,
)
from contracts.common import Failure
from contracts.incidents import GateOpened
from contracts.names import ActivityName
from contracts.states import StepState
from plans.model import Change, ResourceRef, Step
from workflows.calls import StepFailed, call
from workflows.leases import exclusively
from workflows.path_state import PathState, pods


class _StepIncomplete(Exception):
    """A step had failures; they are recorded already."""

    def __init__(self, step: str) -> None:
        self.step = step
        super().__init__(step)


async def eradicate(state: PathState, opened: GateOpened, stopping: Callable[[], bool]) -> str:
    """Carry out the steps behind the gate `eradicate`; returns the step that failed, or an empty string.

    The steps exclude those of other incidents on the same targets by leases. A failed rollout is rolled back.

    Raises:
        Stopped: The path was told to stop while a rollout was being watched; it is left as it is for `release`.
    """
    redeploy, delete = state.step("redeploy"), state.delete_step
    current = redeploy or delete
    assert current is not None

    async def work() -> None:
        nonlocal current
        assert current is not None
        await _lift_hold(state, current)
        if redeploy is not None and not state.done(redeploy.step):
            await _redeploy(state, redeploy, opened.image, stopping)
        if delete is not None:
            current = delete
            await _delete(state, delete)

    lease = LeaseRequest(incident=state.incident, step=current.step, resources=_resources(state))
    try:
        await exclusively(lease, work, stopping)
    except _StepIncomplete as incomplete:
        return incomplete.step
    except StepFailed as failed:
        state.mark(current.step, StepState.FAILED, failed.message, [failed.failure(current.step)])
        return current.step
    return ""


def _resources(state: PathState) -> tuple[ResourceRef, ...]:
    """What the steps act on: the workloads, and the pods that have none."""
    bare = [p.ref for p in state.pods.inline if p.workload is None]
    return (*(w.ref for w in state.assessment.workloads), *bare)


async def _lift_hold(state: PathState, step: Step) -> None:
    """Hold comes off so that controllers can delete; the quarantine stays (design: Isolation, 4)."""
    result = await call(
        ActivityName.LIFT_HOLD,
        HoldRequest(incident=state.incident, step=step.step, pods=state.deletable),
        StepResult,
        summary="lift the hold; the quarantine stays",
    )
    if result.failures:
        _incomplete(state, step, "the hold could not be lifted", result.failures)


async def _redeploy(state: PathState, step: Step, image: str, stopping: Callable[[], bool]) -> None:
    state.mark(step.step, StepState.RUNNING, f"with {image}")
    await state.report()
    plan = await call(
        ActivityName.PLAN_REDEPLOY,
        RedeployRequest(incident=state.incident, step=step.step, workloads=state.assessment.workloads, image=image),
        RedeployPlan,
        summary="find what the fixed image would change",
    )
    if plan.failures:
        # All or nothing: a half-replaced set of workloads is harder to judge than an unchanged one.
        _incomplete(state, step, "the image cannot be put into every workload; nothing was changed", plan.failures)
    changes = list(plan.changes)
    state.begin(changes)
    result = await call(
        ActivityName.REDEPLOY_WORKLOADS,
        ChangeRequest(incident=state.incident, step=step.step, changes=plan.changes),
        StepResult,
        summary=f"put the fixed image into {len(changes)} workloads",
    )
    failures = result.failures
    if not failures:
        watched = await call(
            ActivityName.WATCH_ROLLOUT,
            RolloutRequest(
                incident=state.incident,
                step=step.step,
                workloads=tuple(c.resource for c in changes),
                timeout_seconds=state.assessment.rollout_timeout_seconds,
            ),
            RolloutResult,
            summary="watch the rollout",
            abandon=stopping,
        )
        if watched.complete:
            state.mark(step.step, StepState.DONE, watched.summary)
            await state.report()
            return
        failures = watched.failures
    await _roll_back(state, step, changes)
    _incomplete(state, step, "the rollout failed and was rolled back", failures)


async def _roll_back(state: PathState, step: Step, changes: list[Change]) -> None:
    restored = await call(
        ActivityName.RESTORE_CHANGES,
        RestoreRequest(incident=state.incident, changes=tuple(changes), step=step.step),
        RestoreResult,
        summary="roll the workloads back",
    )
    state.undo(restored.undone)
    if restored.failures:
        _incomplete(state, step, "the rollout failed and could not be rolled back", restored.failures)
    left = [c for c in changes if c.key not in restored.undone]
    if left:
        kept = "; ".join(restored.kept) or "they are not what was left"
        failures = tuple(Failure(step=step.step, target=str(c.resource), code="Conflict", message=kept) for c in left)
        _incomplete(state, step, "the rollout failed and was not rolled back everywhere", failures)


async def _delete(state: PathState, step: Step) -> None:
    state.mark(step.step, StepState.RUNNING)
    await state.report()
    result = await call(
        ActivityName.DELETE_PODS,
        DeletePodsRequest(incident=state.incident, step=step.step, pods=state.deletable),
        StepResult,
        summary=f"delete {pods(state.deletable.count)}",
    )
    if result.failures:
        _incomplete(state, step, "not every pod could be deleted", result.failures)
    gone = f", {result.gone} were gone already" if result.gone else ""
    state.mark(step.step, StepState.DONE, f"{pods(result.done)} deleted{gone}")


def _incomplete(state: PathState, step: Step, detail: str, failures: tuple[Failure, ...]) -> None:
    state.mark(step.step, StepState.FAILED, detail, list(failures))
    raise _StepIncomplete(step.step)
