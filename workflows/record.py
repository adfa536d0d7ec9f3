"""What an incident knows of itself: the mutable record behind the query `status`, kept apart from its control flow."""

from __future__ import annotations

from datetime import datetime

from contracts.activities import Assessment
from contracts.common import EvidenceState, Failure, IncidentKey, PodTargets, Timings
from contracts.incidents import IncidentInput, IncidentView, PathProgress, StepStatus
from contracts.states import Containment, GateState, IncidentState, StepState
from contracts.steps import TaskDone, TaskView
from plans.model import Change, Gate, Path, Step, Verdict
from workflows.gates import GateBoard
from workflows.verdicts import worst

_MOST_NOTES = 50


class IncidentRecord:
    """Collects what the paths report and derives the two axes of the state from it."""

    def __init__(self, key: IncidentKey, start: IncidentInput) -> None:
        self.key = key
        self.finding = start.finding
        self.received = start.received
        self.assessment: Assessment | None = None
        self.board: GateBoard | None = None
        self.paths: dict[Path, PathProgress] = {}
        self.changes: dict[str, Change] = {}
        self.undone: dict[str, None] = {}
        self.steps: dict[str, StepStatus] = {}
        self.failures: dict[str, list[Failure]] = {}
        self.tasks: dict[str, TaskView] = {}
        self.notes: list[str] = []
        self.evidence = EvidenceState()
        self.report_key = ""
        self.contained: datetime | None = None
        self.finished: datetime | None = None
        self.last_observed: datetime | None = None
        self.final: IncidentState | None = None

    def assessed(self, assessment: Assessment, board: GateBoard) -> None:
        """The plan stands."""
        self.assessment = assessment
        self.board = board
        self.failures.pop("assess", None)
        for step in assessment.plan.steps:
            if step.decision is not Verdict.NEVER:
                self.steps[step.step] = StepStatus(step=step.step, state=StepState.PLANNED)

    def progressed(self, progress: PathProgress) -> None:
        """A path reports."""
        for change in progress.changes:
            # A change that is reported again was made again after it had been undone.
            self.changes[change.key] = change
            self.undone.pop(change.key, None)
        self.undone.update(dict.fromkeys(progress.undone))
        if progress.path in self.paths and progress.number < self.paths[progress.path].number:
            # A newer report was faster; of this one only the changes are news.
            return
        self.paths[progress.path] = progress
        self.steps.update({s.step: s for s in progress.steps})
        self.failures[progress.path.value] = list(progress.failures)
        for task in progress.tasks:
            self.tasks.setdefault(task.id, TaskView(task=task))
        if progress.evidence.manifests >= self.evidence.manifests:
            self.evidence = progress.evidence
        if self.contained is None and self.containment is Containment.VERIFIED:
            # The incident is contained when the last of its paths is.
            proved = [p.contained_at for p in self.paths.values() if p.contained_at]
            self.contained = max(proved, default=None)

    def note(self, text: str) -> None:
        """Remember what happened besides; the oldest notes give way."""
        self.notes = [*self.notes, text][-_MOST_NOTES:]

    def task_done(self, done: TaskDone, at: datetime) -> None:
        """A person says that a task is done; what names none, or gives no name, is noted and counts for nothing."""
        view = self.tasks.get(done.task)
        if view is None:
            names = ", ".join(self.open_tasks) or "none"
            self.note(f"task {done.task[:100]!r} is not one of this incident's open tasks: {names}")
        elif not done.by.strip() or not done.reason.strip():
            self.note(f"task {done.task} stays open: who did it and what was done must be said")
        elif view.done:
            self.note(f"task {done.task} was done already by {view.by[:100]}")
        else:
            self.tasks[done.task] = TaskView(
                task=view.task, done=True, by=done.by[:200], reason=done.reason[:500], at=at
            )

    @property
    def open_tasks(self) -> tuple[str, ...]:
        """The ids of what people still have to do."""
        return tuple(id_ for id_, view in self.tasks.items() if not view.done)

    @property
    def ended_steps(self) -> dict[str, StepState]:
        """The steps that have ended, failed or refused too: what steps of other paths wait for."""
        over = (StepState.DONE, StepState.SKIPPED, StepState.FAILED)
        ended = {name: status.state for name, status in self.steps.items() if status.state in over}
        return dict.fromkeys(self._refused_steps, StepState.SKIPPED) | ended

    @property
    def _refused_steps(self) -> list[str]:
        """The steps that will not be carried out, because a person has denied their gate, or cancelled the incident."""
        board = self.board
        shut = (*board.in_state(GateState.DENIED), *board.in_state(GateState.CLOSED)) if board is not None else ()
        return [s.step for s in self._planned if s.gate in shut and not _opens_by_itself(s)]

    @property
    def promised(self) -> bool:
        """Whether a step that the policy or a person allowed has not begun yet."""
        if self.board is None:
            return False
        # Without containment nothing else is carried out, whoever has approved it before.
        refused = self.board.state(Gate.CONTAIN) is GateState.DENIED
        opened = () if refused else self.board.in_state(GateState.OPEN)
        return any(s.gate in opened or _opens_by_itself(s) for s in self._planned)

    @property
    def _planned(self) -> list[Step]:
        """The steps that have not begun."""
        steps = self.assessment.plan.steps if self.assessment is not None else ()
        return [s for s in steps if s.step in self.steps and self.steps[s.step].state is StepState.PLANNED]

    @property
    def holding(self) -> bool:
        """Whether anything that the incident did for containment still stands."""
        return any(p.holding for p in self.paths.values())

    @property
    def refused(self) -> bool:
        """Whether a gate will not open: a person denied it, or closed all of them by cancelling the incident."""
        board = self.board
        return board is not None and bool(board.in_state(GateState.DENIED) or board.in_state(GateState.CLOSED))

    @property
    def running(self) -> bool:
        """Whether a step is being carried out."""
        return any(s.state is StepState.RUNNING for s in self.steps.values())

    def _gated(self, gates: tuple[Gate, ...]) -> list[StepStatus]:
        """The steps behind these gates."""
        plan = self.assessment.plan.steps if self.assessment else ()
        return [self.steps[s.step] for s in plan if s.gate in gates and s.step in self.steps]

    @property
    def read_steps_ended(self) -> bool:
        """Whether the steps behind no gate, which only read, have come to an end."""
        free = {s.step for s in self.assessment.plan.steps if s.gate is None} if self.assessment else set()
        return all(s.state not in (StepState.PLANNED, StepState.RUNNING) for s in self.steps.values() if s.step in free)

    @property
    def complete(self) -> bool:
        """Whether every step that is not `never` is done, or was true already, and no task of a person is open."""
        return not self.open_tasks and all(s.state in (StepState.DONE, StepState.SKIPPED) for s in self.steps.values())

    @property
    def containment(self) -> Containment:
        """The worst of what the paths report."""
        if self.final is IncidentState.RELEASED:
            return Containment.RELEASED if self.contained or self.changes else Containment.NONE
        if not self.assessment or self.assessment.plan.plan_only:
            return Containment.NOT_APPLICABLE if self.assessment else Containment.NONE
        # A path that has not reported yet has contained nothing, whatever the others have.
        proving = {s.path for s in self.assessment.plan.steps if s.proves and s.decision is not Verdict.NEVER}
        reported = {self.paths[p].containment if p in self.paths else Containment.NONE for p in proving}
        return worst(reported)

    @property
    def state(self) -> IncidentState:
        """The lifecycle, derived: what is final, else what runs, else what is waited for."""
        if self.final is not None:
            return self.final
        if self.assessment is None or self.board is None:
            return IncidentState.FAILED if self.failures.get("assess") else IncidentState.ASSESSING
        if self._containing:
            return IncidentState.CONTAINING
        if any(s.state is StepState.RUNNING for s in self._gated((Gate.CREDENTIALS, Gate.ERADICATE, Gate.TERMINATE))):
            return IncidentState.REMEDIATING
        if self.refused:
            return IncidentState.DENIED
        if self.board.in_state(GateState.WAITING) or self.board.in_state(GateState.EXPIRED):
            return IncidentState.AWAITING_APPROVAL
        if any(s.state is StepState.FAILED for s in self.steps.values()):
            return IncidentState.FAILED
        if self.complete:
            return IncidentState.REMEDIATED
        return IncidentState.REMEDIATING

    @property
    def _containing(self) -> bool:
        """Whether a step of containment that may run has not come to its first end."""
        if self.assessment is None or self.board is None:
            return False
        gate_open = self.board.state(Gate.CONTAIN) is GateState.OPEN
        unfinished = (StepState.PLANNED, StepState.RUNNING)
        return any(
            self.steps[s.step].state in unfinished
            for s in self.assessment.plan.steps
            if s.gate is Gate.CONTAIN and s.step in self.steps and (gate_open or s.decision is Verdict.AUTO)
        )

    def view(self) -> IncidentView:
        """Everything that `firebreak show` prints."""
        plan = self.assessment.plan if self.assessment else None
        return IncidentView(
            incident=self.key.workflow_id,
            run_id=self.key.run_id,
            finding_id=self.finding.id,
            finding_type=self.finding.type,
            severity=self.finding.severity,
            cluster=self.finding.cluster.name if self.finding.cluster else "",
            state=self.state,
            containment=self.containment,
            paths=plan.paths if plan else (),
            plan=plan,
            pods=self.assessment.pods if self.assessment else PodTargets(),
            image_pods=self.assessment.image_pods if self.assessment else PodTargets(),
            steps=tuple(self.steps.values()),
            gates=self.board.views() if self.board else (),
            changes=tuple(self.changes.values()),
            undone=tuple(self.undone),
            evidence=self.evidence,
            failures=tuple(f for fs in self.failures.values() for f in fs),
            reasons=tuple(r for p in self.paths.values() for r in p.reasons),
            proposals=tuple(r for p in self.paths.values() for r in p.proposals),
            rejected=tuple(self.board.rejected) if self.board else (),
            notes=tuple(self.notes),
            tasks=tuple(self.tasks.values()),
            previews={k: v for p in self.paths.values() for k, v in p.previews.items()},
            report_key=self.report_key,
            last_observed=self.last_observed,
            timings=Timings(received=self.received, contained=self.contained, finished=self.finished),
        )


def _opens_by_itself(step: Step) -> bool:
    """Whether the policy allows a step of containment, so that nobody's approval or denial of the rest counts."""
    return step.gate is Gate.CONTAIN and step.decision is Verdict.AUTO
