"""Keeping pods contained: isolate, verify, and again for as long as the proof does not hold (design: Isolation)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow

from contracts.activities import IsolateRequest, Proof, StepResult, VerifyRequest
from contracts.changes import quarantine_change
from contracts.names import ActivityName
from contracts.states import Containment, StepState
from plans.model import Change, ResourceRef
from workflows.calls import StepFailed, call
from workflows.path_state import PathState, pods

DENSE_PERIOD = timedelta(seconds=30)
"""How long containment is tried without pause before it is called incomplete."""
FIRST_BACKOFF, LONGEST_DENSE_BACKOFF = timedelta(seconds=0.5), timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=5)


class ContainmentLoop:
    """The loop of one path. It ends only when the path stops; between rounds it waits to be woken."""

    def __init__(self, state: PathState, step: str) -> None:
        self._state = state
        self._step = step
        self._wake = False
        self.tried = state.start.reached is not None
        """Whether a first round has been made, so that evidence need not wait any longer."""
        self.settled = state.start.reached is not None
        """Whether the first verdict stands: verified, nothing left, or incomplete after the dense period."""
        self.suspended = False
        """While pods are being replaced, their labels and their absence prove nothing."""
        self.idle = False

    @property
    def woken(self) -> bool:
        """Whether somebody has asked to look again and nobody has looked yet."""
        return self._wake

    def wake(self) -> None:
        """Look again now: drift, a repeat, or a retry."""
        self._wake = True

    def targets_gone(self) -> None:
        """The targets were deleted. A step that was never proved does not become so by that, and the report says it."""
        state = self._state
        if not state.done(self._step):
            state.verdict(self._step, Containment.NOT_APPLICABLE)
            state.mark(self._step, StepState.SKIPPED, "containment was not proved before the pods were deleted")

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Contain, and keep contained."""
        # A path that continues in a new run was at rest: what it had proved stands until somebody wakes it.
        rest = self.settled and self._state.done(self._step)
        while not stopping():
            if not rest:
                await self._contain(stopping)
            rest, self._wake = False, False
            self.idle = True
            await workflow.wait_condition(lambda: stopping() or (self._wake and not self.suspended))
            self.idle = False

    async def _contain(self, stopping: Callable[[], bool]) -> None:
        dense_until = workflow.now() + DENSE_PERIOD
        backoff = FIRST_BACKOFF
        self._state.mark(self._step, StepState.RUNNING)
        while not stopping() and not self.suspended:
            was = self._state.proved(self._step)
            proved = await self._round()
            self.tried = True
            if proved:
                return
            if was is Containment.VERIFIED:
                # What was called verified is not: that is said at once, not after the dense period.
                await self._state.report()
            self._wake = False
            dense = workflow.now() < dense_until
            if not dense:
                await self._incomplete()
            self.idle = self.settled
            try:
                await workflow.wait_condition(
                    lambda: stopping() or self._wake or self.suspended,
                    timeout=backoff,
                    timeout_summary="before containment is tried again",
                )
            except TimeoutError:
                pass
            self.idle = False
            backoff = min(backoff * 2, LONGEST_DENSE_BACKOFF if dense else LONGEST_BACKOFF)

    async def _round(self) -> bool:
        """One attempt; True when the proof holds, or when nothing is left to contain."""
        state = self._state
        self._begin()
        try:
            isolated = await call(
                ActivityName.ISOLATE_PODS,
                IsolateRequest(
                    incident=state.incident, step=self._step, pods=state.pods, changes=tuple(state.policy_changes)
                ),
                StepResult,
                summary=f"quarantine {pods(state.pods.count)}",
            )
            proof = await call(
                ActivityName.VERIFY_CONTAINMENT,
                VerifyRequest(
                    incident=state.incident, step=self._step, pods=state.pods, changes=tuple(state.policy_changes)
                ),
                Proof,
                summary="prove from live objects that nothing gets in or out",
            )
        except StepFailed as failed:
            state.verdict(self._step, Containment.INCOMPLETE, (failed.message,))
            state.failures[self._step] = [failed.failure(self._step)]
            return False
        state.failures[self._step] = list(isolated.failures)
        if proof.missing:
            # Their before-state stands in history now, as part of the proof, so they may be made.
            # One for an object that is planned already replaces it: its owner has edited the field meanwhile.
            state.policy_changes = list({c.key: c for c in (*state.policy_changes, *proof.missing)}.values())
        if proof.containment is Containment.VERIFIED and not isolated.failures:
            await self._verified(proof)
            return True
        if proof.containment is Containment.NOT_APPLICABLE:
            await self._nothing_left(proof)
            return True
        state.verdict(self._step, Containment.INCOMPLETE, proof.reasons, proof.proposals)
        return False

    def _begin(self) -> None:
        state = self._state
        state.hold(self._step)
        state.begin([*state.policy_changes, *self._label_changes()])

    def _label_changes(self) -> list[Change]:
        targets = self._state.pods
        if targets.reference is None:
            return [quarantine_change(p, self._step) for p in targets.inline]
        # The single records follow from the stored list; the history carries one for all of them.
        return [
            Change(
                step=self._step,
                resource=ResourceRef(kind="PodList", name=targets.reference.key),
                summary=f"{pods(targets.count)} quarantined and held by two labels, listed in the evidence",
                before={"": None},
                after={"": targets.reference.sha256},
            )
        ]

    async def _verified(self, proof: Proof) -> None:
        state = self._state
        state.verdict(self._step, Containment.VERIFIED, proof.reasons, proof.proposals, proof.at)
        gone = f", {proof.gone} gone" if proof.gone else ""
        state.mark(self._step, StepState.DONE, f"{pods(proof.verified)} verified{gone}")
        self.settled = True
        await state.report()

    async def _nothing_left(self, proof: Proof) -> None:
        state = self._state
        state.verdict(self._step, Containment.NOT_APPLICABLE, proof.reasons, proof.proposals)
        state.mark(self._step, StepState.SKIPPED, "the pods are gone")
        self.settled = True
        await state.report()

    async def _incomplete(self) -> None:
        """Say it once a round of the slow backoff; the loop goes on."""
        state = self._state
        if not self.settled or state.steps[self._step].state is not StepState.FAILED:
            workflow.logger.warning("containment incomplete", extra={"step": self._step})
        failures = state.failures[self._step]
        state.mark(self._step, StepState.FAILED, "containment is incomplete and goes on being tried", failures)
        self.settled = True
        await state.report()
