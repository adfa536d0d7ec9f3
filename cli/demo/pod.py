"""The scene of the pod path: a pod is contained, its workload repaired; a second incident is released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from cli.demo.compare import IGNORED, differences, snapshot
from cli.demo.evidence import keep_evidence
from cli.demo.finding import finding_about
from cli.demo.incidents import Incidents, is_contained, view_of
from cli.demo.stage import DemoError, free_pods, settle
from cli.demo.telling import Teller
from cli.ending import Code
from cli.reading import refresh
from cli.screen import incident_screen
from cli.text import counted, duration
from contracts.states import Containment

if TYPE_CHECKING:
    from devstack.demo_workload import DemoWorkload
    from devstack.kube import KubeApi


class PodScene:
    """One incident from the finding to the report, and one that is released."""

    def __init__(self, teller: Teller, incidents: Incidents, admin: KubeApi) -> None:
        self._teller = teller
        self._incidents = incidents
        self._admin = admin

    async def play(self) -> tuple[Code, dict[str, JsonValue]]:
        """Play it; returns how it ended and the result as a document."""
        from devstack.demo_workload import deploy_demo_workload

        tell = self._teller.tell
        self._teller.title("1  A workload with a vulnerable image")
        deploy_demo_workload(self._admin)
        # An earlier demo may have left another image, of which the pods are still being replaced.
        settle(self._admin)
        workload = free_pods(self._admin, deploy_demo_workload(self._admin))
        tell(f"deployed {workload.namespace}/{workload.deployment}, {counted(len(workload.pods), 'pod')}, image")
        tell(f"  {workload.image}")

        first = await self._incident(workload, loud=True)
        self._teller.title("4  Approval")
        reading, code = await self._incidents.decide(first, workload.clean_image)
        if code is not Code.DONE:
            tell("nothing more is done, and the pod stays contained until somebody releases it:", "bold yellow")
            await self._incidents.release(first, "denied in the demo")
            reading = await refresh(self._incidents.client, first)
        self._teller.title("5  The end of it")
        self._teller.output.show(incident_screen(reading))
        report = keep_evidence(view_of(reading), self._incidents.folder, tell)

        released = await self._release()
        self._teller.title("That was it")
        tell(f"report             {report}", "bold")
        tell("evidence           verified: nothing was changed, removed or added", "bold green")
        as_it_was = "released, the cluster is NOT as it was" if released else "released, the cluster is as it was"
        tell(f"second incident    {as_it_was}", "bold red" if released else "bold green")
        return Code.FAILED if released else code, {
            "ok": code is Code.DONE and not released,
            "incident": first,
            "state": reading.view.state.value if reading.view else reading.brief.state,
            "report": str(report),
            "evidence_verified": True,
            "differences_after_release": [*released],
        }

    async def _incident(self, workload: DemoWorkload, *, loud: bool) -> str:
        """Put a finding about one pod into GuardDuty, start its incident, and wait until the pod is contained."""
        tell = self._teller.tell
        if loud:
            self._teller.title("2  A finding of GuardDuty")
        finding = finding_about(workload.pods[0], workload, self._teller.info, tell if loud else None)
        file = self._incidents.publish(finding, "1" if loud else "2")
        if loud:
            self._teller.title("3  Containment")
            tell(f"$ firebreak start {file}")
        incident = await self._incidents.start(file)
        view = view_of(await self._incidents.follow(incident, is_contained))
        if view.containment is not Containment.VERIFIED:
            raise DemoError(f"the pod was not contained: {view.containment.value} {' '.join(view.reasons)}")
        assert view.timings.received is not None
        assert view.timings.contained is not None
        took = duration(view.timings.contained - view.timings.received)
        names = ", ".join(f"{p.namespace}/{p.name}" for p in view.pods.inline)
        tell(f"{names} contained and verified {took} after the start", "bold green")
        return incident

    async def _release(self) -> list[str]:
        """A second incident that turns out to be a false alarm: release it and compare the cluster."""
        from devstack.demo_workload import deploy_demo_workload

        admin, tell = self._admin, self._teller.tell
        self._teller.title("6  A second incident, released")
        deploy_demo_workload(admin)
        settle(admin)
        workload = free_pods(admin, deploy_demo_workload(admin))
        before = snapshot(admin, workload.namespace)
        incident = await self._incident(workload, loud=False)
        held = differences(before, snapshot(admin, workload.namespace))
        tell(f"while it is held, {counted(len(held), 'field')} of the cluster's objects differ")
        await self._incidents.release(incident, "false alarm")
        left = differences(before, snapshot(admin, workload.namespace))
        for line in left:
            tell(line, "bold red")
        if not left:
            tell(f"{counted(len(before), 'object')} are as they were, apart from {IGNORED}", "bold green")
        return left
