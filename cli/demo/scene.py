"""The course that the scenes beside the pods' have in common: state before, contained, at the end, and after a release.

A scene says what it makes, which finding accuses it, and what it looks at; this module plays it twice: once to the
end, once released.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import JsonValue

from cli.demo.evidence import keep_evidence
from cli.demo.incidents import Incidents, view_of
from cli.demo.stage import DemoError
from cli.demo.telling import State, Teller
from cli.ending import Code
from cli.reading import Reading, refresh
from cli.screen import incident_screen
from cli.text import counted
from cli.watching import over
from contracts.incidents import IncidentView
from contracts.states import Containment, StepState
from plans.model import Gate, Path, Verdict

if TYPE_CHECKING:
    from devstack.kube import KubeApi

_SETTLING_SECONDS = 10.0


class Scene(ABC):
    """One path, played on the embedded stack."""

    path: ClassVar[Path]
    attack: ClassVar[str]
    """The title of its first part: what is wrong."""
    fixed_image: str = ""
    """For an approval that needs one; `prepare` may set it."""

    def __init__(self, teller: Teller, incidents: Incidents, admin: KubeApi) -> None:
        self.teller = teller
        self.admin = admin
        self._incidents = incidents

    @abstractmethod
    def prepare(self) -> dict[str, Any]:
        """Make what is attacked, telling it, and return the finding that accuses it, in the shape of GetFindings."""

    @abstractmethod
    def state(self) -> State:
        """What of it is in the cluster and in the account now."""

    def clean(self) -> None:  # noqa: B027 - Most scenes leave nothing that could disturb the next.
        """Take away what would be in the way of a later demo on the same stack."""

    async def play(self) -> tuple[Code, dict[str, JsonValue]]:
        """Play it; returns how it ended and the result as a document."""
        tell = self.teller.tell
        self.teller.title(f"Path {self.path.value}, 1  {self.attack}")
        finding = self.prepare()
        before = self.state()
        self.teller.state("before", before)
        self.teller.title(f"Path {self.path.value}, 2  Containment")
        incident = await self._start(finding, "1")
        contained = await self._contain(incident)
        held = self.state()
        self.teller.state(f"containment {contained.containment.value}", held, before)
        self.teller.title(f"Path {self.path.value}, 3  What waits for a person")
        reading, code = await self._incidents.decide(incident, self.fixed_image)
        if code is not Code.DONE:
            tell("nothing more is done; what is contained stays so until somebody releases it:", "bold yellow")
            await self._incidents.release(incident, "denied in the demo")
            reading = await refresh(self._incidents.client, incident)
        end = self.state()
        self.teller.state("at the end", end, held)
        self.teller.output.show(incident_screen(reading))
        folder = self._incidents.folder / self.path.value
        report = keep_evidence(view_of(reading), folder, tell)
        left = await self._release()
        self.clean()
        return Code.FAILED if left else code, {
            "ok": code is Code.DONE and not left,
            "path": self.path.value,
            "incident": incident,
            "state": view_of(reading).state.value,
            "containment": contained.containment.value,
            "report": str(report),
            "evidence_verified": True,
            "states": {"before": {**before}, "contained": {**held}, "end": {**end}},
            "differences_after_release": [*left],
        }

    async def _start(self, finding: dict[str, Any], name: str) -> str:
        file = self._incidents.publish(finding, f"{self.path.value}-{name}")
        self.teller.tell(f"a finding {finding['Type']}, made up in the shape of GetFindings, severity "
                         f"{finding['Severity']:g}")  # fmt: skip
        self.teller.tell(f"$ firebreak start {file}")
        return await self._incidents.start(file)

    async def _contain(self, incident: str) -> IncidentView:
        """Wait until what contains by itself is done; what of it waits for a person is decided here."""
        reading = await self._incidents.follow(incident, _contained_as_far_as_allowed)
        if _waits(reading):
            reading, _ = await self._incidents.decide(incident, only=Gate.CONTAIN.value, stop=_is_verified)
        view = view_of(reading)
        if view.containment not in (Containment.VERIFIED, Containment.NOT_APPLICABLE):
            self.teller.tell(f"containment is {view.containment.value}: {' '.join(view.reasons)}", "bold red")
        return view

    async def _release(self) -> list[str]:
        """The same once more, and taken back while it is contained."""
        self.teller.title(f"Path {self.path.value}, 4  A second incident, released")
        finding = self.prepare()
        before = self.state()
        incident = await self._start(finding, "2")
        await self._contain(incident)
        held = self.state()
        changed = [name for name in before if held.get(name) != before[name]]
        self.teller.tell(f"contained; {counted(len(changed), 'thing')} changed: {', '.join(changed)}")
        reading = await refresh(self._incidents.client, incident)
        if not reading.open and not changed:
            raise DemoError("the second incident ended without having changed anything")
        await self._incidents.release(incident, "false alarm")
        after = await self._settled(before)
        left = [
            f"{name}: {after.get(name)} instead of {before[name]}" for name in before if after.get(name) != before[name]
        ]
        for line in left:
            self.teller.tell(line, "bold red")
        if not left:
            self.teller.state("after the release everything is as it was", after, held)
        return left

    async def _settled(self, before: State) -> State:
        """The state once it is as it was: for a moment the API server refuses what a deleted policy refused."""
        end = time.monotonic() + _SETTLING_SECONDS
        while (after := self.state()) != before and time.monotonic() < end:
            await asyncio.sleep(0.2)
        return after


def _is_verified(reading: Reading) -> bool:
    return reading.view is not None and reading.view.containment is Containment.VERIFIED


def _waits(reading: Reading) -> bool:
    """Whether something of containment waits for a person."""
    view = reading.view
    return view is not None and any(g.gate is Gate.CONTAIN and g.state.value == "waiting" for g in view.gates)


def _contained_as_far_as_allowed(reading: Reading) -> bool:
    """Whether every step of containment that needs nobody has come to its end."""
    view = reading.view
    if over(reading) is not None or view is None or view.plan is None:
        return over(reading) is not None
    mine = {s.step for s in view.plan.steps if s.gate is Gate.CONTAIN and s.decision is Verdict.AUTO}
    ended = (StepState.DONE, StepState.SKIPPED, StepState.FAILED)
    done = all(s.state in ended for s in view.steps if s.step in mine)
    return done and (view.containment is not Containment.NONE or _waits(reading))
