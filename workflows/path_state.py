"""What one path has reached, and how it tells its incident: shared by the path's phases."""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow

from contracts.common import EvidenceState, Failure, PodTargets
from contracts.incidents import GateOpened, PathInput, PathProgress, StepStatus, StepVerdict
from contracts.names import Handler
from contracts.states import Containment, StepState
from contracts.steps import Task
from plans.model import Change, Gate, Path, Step, Verdict
from workflows.verdicts import worst


def pods(count: int) -> str:
    """`1 pod`, `3 pods`."""
    return f"{count} pod{'' if count == 1 else 's'}"


class PathState:
    """The record of a path; `report` sends what changed to the incident."""

    def __init__(self, start: PathInput) -> None:
        self.start = start
        self.incident = start.incident
        self.assessment = start.assessment
        self.pods = start.assessment.pods
        self.policy_changes = list(start.assessment.changes)
        self.proposals: tuple[str, ...] = ()
        """What collectors saw that containment does not end."""
        self.open: dict[Gate, GateOpened] = {g.gate: g for g in start.open_gates}
        self.steps: dict[str, StepStatus] = {}
        self.plan: dict[str, Step] = {
            s.step: s for s in start.assessment.plan.steps_of(start.path) if s.decision is not Verdict.NEVER
        }
        self.verdicts: dict[str, StepVerdict] = {}
        self.contained_at: datetime | None = None
        self.failures: dict[str, list[Failure]] = {}
        self.evidence = EvidenceState()
        self.changes: dict[str, Change] = {}
        self.all_undone: dict[str, None] = {}
        self.tasks: dict[str, Task] = {}
        self.previews: dict[str, tuple[str, ...]] = {}
        self.repeated: set[str] = set()
        self.ended = start.ended
        """What the paths of the incident have come to, as far as we were told."""
        self.held: dict[str, bool] = {}
        self.stopped = False
        self.finished = False
        """Whether nothing is left to do but to look after what was done, until the incident is over."""
        self._number = 0
        self._reported: set[str] = set()
        self._reported_undone: set[str] = set()
        if start.reached is not None:
            self._resume(start.reached)

    def _resume(self, reached: PathProgress) -> None:
        self.steps = {s.step: s for s in reached.steps}
        self.verdicts = dict(reached.verdicts)
        of_verdicts = {p for v in reached.verdicts.values() for p in v.proposals}
        self.proposals = tuple(p for p in reached.proposals if p not in of_verdicts)
        self.contained_at = reached.contained_at
        for failure in reached.failures:
            self.failures.setdefault(failure.step, []).append(failure)
        self.evidence = reached.evidence
        self.held = dict(reached.held)
        self.tasks = {t.id: t for t in reached.tasks}
        self.previews = dict(reached.previews)
        self.repeated = set(reached.repeated)
        self._number = reached.number
        self.changes = {c.key: c for c in reached.changes}
        self._reported = set(self.changes)
        self.all_undone = dict.fromkeys(reached.undone)
        self._reported_undone = set(reached.undone)

    def continuation(self) -> PathInput:
        """The input of the next run, when the history of this one has grown long."""
        everything = self.view()
        assessment = self.assessment.model_copy(update={"changes": tuple(self.policy_changes)})
        return self.start.model_copy(
            update={
                "assessment": assessment,
                "open_gates": tuple(self.open.values()),
                "reached": everything,
                "ended": self.ended,
            }
        )

    @property
    def containment(self) -> Containment:
        """The worst of what the steps have proved. One that has to prove something and has not yet counts as none."""
        expected = {self.proved(s.step) for s in self.plan.values() if s.proves}
        return worst(expected | {v.containment for v in self.verdicts.values()} or {Containment.NONE})

    def verdict(
        self,
        step: str,
        containment: Containment,
        reasons: tuple[str, ...] = (),
        proposals: tuple[str, ...] = (),
        at: datetime | None = None,
    ) -> None:
        """What one step has proved now, and when it was read; it replaces what the step had proved before."""
        self.verdicts[step] = StepVerdict(containment=containment, reasons=reasons, proposals=proposals)
        if self.contained_at is None and self.containment is Containment.VERIFIED:
            # The path is contained when the last of its steps has proved its part.
            self.contained_at = at

    def proved(self, step: str) -> Containment:
        """What one step had proved when it was last looked at."""
        return self.verdicts[step].containment if step in self.verdicts else Containment.NONE

    @property
    def holding(self) -> bool:
        """Whether anything of the path's containment still stands."""
        return any(self.held.values())

    def hold(self, what: str, holding: bool = True) -> None:
        """Say whether one part of the path still holds something."""
        self.held[what] = holding

    def may_contain(self, step: Step) -> bool:
        """Whether a step of containment may run: its own decision is auto, or the gate is open for all."""
        return step.decision is Verdict.AUTO or Gate.CONTAIN in self.open

    def step(self, action: str) -> Step | None:
        """The planned step of this action, or None when the plan has none or policy says never."""
        return self.plan.get(f"{self.start.path.value}.{action}")

    @property
    def delete_step(self) -> Step | None:
        """The step that deletes pods; on the image path `delete` is about the image."""
        return self.step("delete_pods" if self.start.path is Path.IMAGE else "delete")

    @property
    def deletable(self) -> PodTargets:
        """The pods without the static ones, which the node would only start again: those stay held."""
        rest = tuple(p for p in self.pods.inline if not p.static)
        left_out = len(self.pods.inline) - len(rest)
        return self.pods.model_copy(update={"count": self.pods.count - left_out, "inline": rest})

    def mark(self, step: str, state: StepState, detail: str = "", failures: list[Failure] | None = None) -> None:
        """Say where a step stands; its failures replace those of its last attempt."""
        self.steps[step] = StepStatus(step=step, state=state, detail=detail)
        self.failures[step] = failures or []

    def done(self, step: str) -> bool:
        """Whether a step is done, or its outcome was already true."""
        status = self.steps.get(step)
        return status is not None and status.state in (StepState.DONE, StepState.SKIPPED)

    def failed(self, step: str) -> bool:
        """Whether the last attempt at a step failed."""
        status = self.steps.get(step)
        return status is not None and status.state is StepState.FAILED

    def begin(self, changes: list[Change]) -> None:
        """Remember changes before they are made: they stand in history already. One made again is not undone."""
        for change in changes:
            again = change.key in self.all_undone
            if again or self.changes.get(change.key) != change:
                self.all_undone.pop(change.key, None)
                self._reported_undone.discard(change.key)
                self._reported.discard(change.key)
            self.changes[change.key] = change

    def undo(self, keys: tuple[str, ...]) -> None:
        """Remember changes that were undone."""
        self.all_undone.update(dict.fromkeys(keys))

    def progress(self, failed_step: str = "") -> PathProgress:
        """The report: everything that stands, and the changes that the incident has not heard of."""
        fresh = [c for k, c in self.changes.items() if k not in self._reported]
        self._reported.update(self.changes)
        undone = tuple(k for k in self.all_undone if k not in self._reported_undone)
        self._reported_undone.update(undone)
        self._number += 1
        return self._snapshot(tuple(fresh), undone, failed_step)

    def _snapshot(self, changes: tuple[Change, ...], undone: tuple[str, ...], failed_step: str = "") -> PathProgress:
        return PathProgress(
            path=self.start.path,
            containment=self.containment,
            contained_at=self.contained_at,
            reasons=tuple(r for v in self.verdicts.values() for r in v.reasons),
            proposals=(*(p for v in self.verdicts.values() for p in v.proposals), *self.proposals),
            steps=tuple(self.steps.values()),
            changes=changes,
            undone=undone,
            failures=tuple(f for fs in self.failures.values() for f in fs),
            evidence=self.evidence,
            failed_step=failed_step,
            holding=self.holding,
            held=self.held,
            verdicts=self.verdicts,
            tasks=tuple(self.tasks.values()),
            previews=self.previews,
            repeated=tuple(sorted(self.repeated)),
            finished=self.finished,
            number=self._number,
        )

    def view(self) -> PathProgress:
        """What stands, without counting as a report."""
        return self._snapshot(tuple(self.changes.values()), tuple(self.all_undone))

    async def report(self, failed_step: str = "") -> None:
        """Tell the incident."""
        parent = workflow.info().parent
        if parent is not None:
            handle = workflow.get_external_workflow_handle(parent.workflow_id, run_id=parent.run_id)
            await handle.signal(Handler.PROGRESS, self.progress(failed_step))
