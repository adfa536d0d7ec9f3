"""The activity `investigate_subject`: an investigation by Amazon Detective, started or found, and read (guide U8).

Source: https://docs.aws.amazon.com/detective/latest/userguide/detective-investigations.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity

from activities.doors import Doors
from activities.isolation.walk import SYSTEMIC, failure_of
from activities.steps import Planner, StepRoom, beat
from activities.user.holders import ROLE, Holder, Holders
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import FirebreakError, TargetGone
from findings.model import Finding
from plans.situation import words

_BEFORE: Final = timedelta(days=1)
"""How long before the first event an investigation begins; Detective takes scopes of up to 30 days."""
_LONGEST_SCOPE: Final = timedelta(days=30)


class InvestigateActivities(StepRoom):
    """Asks Detective.

    Args:
        doors: Detective and IAM.
        patience: How long an investigation is waited for; what runs on is linked.
        pause: Between two looks.
    """

    def __init__(
        self, doors: Doors, patience: timedelta = timedelta(minutes=5), pause: timedelta = timedelta(seconds=5)
    ) -> None:
        super().__init__(doors)
        self._detective = doors.aws.detective
        self._iam = doors.aws.iam
        self._holders = Holders(doors.settings)
        self._patience = patience
        self._pause = pause

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"user.investigate": self._plan}

    @activity.defn(name=ActivityName.INVESTIGATE_SUBJECT, no_thread_cancel_exception=True)
    def investigate_subject(self, request: StepRequest) -> StepOutcome:
        """Start an investigation for each identity unless one stands, and wait some minutes for its result.

        Raises:
            Paused, Throttled, Unavailable: Detective does not answer; a retry goes on, with the same investigation.
        """
        graph = self._detective.graph()
        if not graph:
            return StepOutcome(
                complete=True,
                skipped=True,
                summary="Detective has no behaviour graph that this account administers: enable it, or look at"
                f" {self._console()}",
            )
        said: list[str] = []
        failures: list[Failure] = []
        for holder in self._asked(request):
            try:
                said.append(self._investigate(graph, holder, request.finding))
            except TargetGone:
                said.append(f"{holder} does not exist any more")
            except SYSTEMIC:
                raise
            except FirebreakError as error:
                failures.append(failure_of(request.step.step, str(holder), error))
        return StepOutcome(complete=not failures, summary="; ".join(said)[:600], failures=tuple(failures))

    def _plan(self, request: StepRequest) -> StepPlan:
        asked = self._asked(request)
        if not asked:
            refused = " ".join(p.refused for p in self._holders.of(request))
            return StepPlan(skip=refused or "The finding names no IAM user or role.")
        return StepPlan(notes=tuple(f"Detective investigates {p}; nothing is changed." for p in asked))

    def _asked(self, request: StepRequest) -> list[Holder]:
        return [p for p in self._holders.of(request) if not p.refused]

    def _investigate(self, graph: str, holder: Holder, finding: Finding) -> str:
        role = holder.kind == ROLE
        arn = self._iam.role(holder.name)["Arn"] if role else self._iam.user(holder.name)["Arn"]
        until = finding.last_activity or datetime.now(UTC)
        since = max((finding.first_seen or until) - _BEFORE, until - _LONGEST_SCOPE)
        # An attempt that died has started one already, and so has another incident of this hour.
        earlier = self._detective.investigations(graph, arn, datetime.now(UTC) - timedelta(hours=1))
        standing = [e["InvestigationId"] for e in earlier if e.get("Status") != "FAILED"]
        identifier = standing[0] if standing else self._detective.start(graph, arn, since, until)
        end = time.monotonic() + self._patience.total_seconds()
        while True:
            found = self._detective.investigation(graph, identifier)
            if found["Status"] != "RUNNING" or time.monotonic() >= end:
                break
            beat()
            time.sleep(self._pause.total_seconds())
        result = {
            "SUCCESSFUL": f"found severity {found.get('Severity', 'unknown')}",
            "FAILED": "failed",
            "RUNNING": "still runs",
        }[found["Status"]]
        return f"Detective's investigation {words(identifier)} of {holder} {result}: {self._console(identifier)}"

    def _console(self, identifier: str = "") -> str:
        region = self._doors.aws.region
        tail = f"/{words(identifier)}" if identifier else ""
        return f"https://{region}.console.aws.amazon.com/detective/home?region={region}#investigations{tail}"
