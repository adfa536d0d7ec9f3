"""Decisions that must not count, and text that would do harm where people read it."""

from __future__ import annotations

import asyncio
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from markdown_it import MarkdownIt

from contracts.incidents import IncidentView
from contracts.states import GateState, IncidentState
from devstack.demo_workload import NAME, DemoWorkload, deploy_demo_workload
from devstack.kube import KubeApi
from tests.e2e.incident import Incident, gate_state, step_state
from tests.e2e.processes import command_line
from tests.e2e.workloads import images_of
from tests.e2e.world import World, is_held

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

_PAST = datetime.now(UTC) - timedelta(minutes=1)
NEVER_COUNT: dict[str, dict[str, Any]] = {
    "nobody decides": {"by": ""},
    "only blanks decide": {"by": "  "},
    "without a reason": {"reason": ""},
    "without a digest": {"digest": ""},
    "without a nonce": {"nonce": ""},
    "without an expiry": {"expires": None},
    "has expired": {"expires": _PAST},
    "of another incident": {"incident": "gd/1/2/3"},
    "of another plan": {"digest": "sha256:" + "0" * 64},
    "with an old nonce": {"nonce": "00000000-0000-0000-0000-000000000000"},
    "neither approves nor denies": {"decision": "maybe"},
    "without the image": {"image": ""},
    "with an image by tag": {"image": "registry.example/shop/checkout:latest"},
}


@pytest.fixture
def workload(world: World, admin: KubeApi) -> DemoWorkload:
    return deploy_demo_workload(admin, namespace=world.namespace, replicas=2)


@pytest.fixture
async def incident(world: World, workload: DemoWorkload) -> Incident:
    incident = await world.start(world.finding_about(world.get("Pod", workload.pods[0].name)))
    await incident.contained()
    await incident.collected()
    return incident


async def test_decisions_that_lack_something_leave_the_gate_shut_and_stand_on_record(
    world: World, workload: DemoWorkload, incident: Incident
) -> None:
    gate = await incident.waiting()
    before = world.state()
    for what, changed in NEVER_COUNT.items():
        answer = await incident.decide(incident.decision(gate, **changed))
        assert not answer.accepted, what
        assert answer.message, what
    elsewhere = await incident.decide(incident.decision(gate).model_copy(update={"gate": "terminate"}))
    assert not elsewhere.accepted

    shown = await world.firebreak("show", incident.id)
    (eradicate,) = [g for g in shown["gates"] if g["gate"] == "eradicate"]
    assert eradicate["state"] == "waiting"
    assert eradicate["approved_by"] == []
    assert len(eradicate["decisions"]) == len(NEVER_COUNT)
    assert not [d for d in eradicate["decisions"] if d["counted"]]
    assert len(shown["rejected"]) == 1
    assert world.state() == before

    assert (await incident.approve()).accepted, "and the one that lacks nothing still counts"
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED


SIGNALS: list[tuple[str, list[Any]]] = [
    ("approve", []),
    ("approve", [None]),
    ("approve", ["yes"]),
    ("approve", [{}]),
    ("approve", [{"by": "mallory", "reason": "because"}]),
    ("approve", [{"by": {"name": "ada"}, "gate": ["eradicate"], "expires": 5}]),
    ("approve", [{"gate": "eradicate"}, {"gate": "contain"}]),
    ("deny", []),
    ("release", ["now"]),
    ("gate_opened", [{"gate": "eradicate", "image": "x"}]),
    ("open", [{"gate": "eradicate"}]),
]


async def test_signals_of_any_form_are_recorded_and_open_nothing(
    world: World, workload: DemoWorkload, incident: Incident
) -> None:
    gate = await incident.waiting()
    for name, args in SIGNALS:
        await incident.handle.signal(name, args=args)
    # Whole, but it says deny under the name approve; and whole, but stale.
    wrong = incident.decision(gate, decision="deny").model_dump(mode="json")
    await incident.handle.signal("approve", wrong)
    await incident.handle.signal("approve", incident.decision(gate, nonce="old").model_dump(mode="json"))

    def recorded(view: IncidentView) -> int:
        decisions = [*view.rejected, *(d for g in view.gates for d in g.decisions)]
        return len(decisions) + sum("not understood" in note for note in view.notes)

    view = await incident.until(lambda v: recorded(v) >= len(SIGNALS) + 2, "each is on record")
    assert recorded(view) == len(SIGNALS) + 2
    assert gate_state(view, "eradicate") is GateState.WAITING
    assert not [d for g in view.gates for d in g.decisions if d.counted]
    assert images_of(world.get("Deployment", NAME)) == {NAME: workload.image}
    assert is_held(world.get("Pod", workload.pods[0].name))

    await incident.handle.signal("approve", incident.decision(gate).model_dump(mode="json"))
    view = await incident.result()
    assert view.state is IncidentState.REMEDIATED, "the same by signal, with nothing missing, is a decision"


async def test_an_approval_counts_once_however_often_it_is_sent(
    world: World, workload: DemoWorkload, incident: Incident
) -> None:
    decision = incident.decision(await incident.waiting())
    answers = await asyncio.gather(*(incident.decide(decision) for _ in range(5)))
    await incident.handle.signal("approve", decision.model_dump(mode="json"))
    view = await incident.result()

    assert sum(a.accepted for a in answers) == 1
    (gate,) = [g for g in view.gates if g.gate.value == "eradicate"]
    assert gate.approved_by == ("ada",)
    assert sum(d.counted for d in gate.decisions) == 1
    revision = world.get("Deployment", NAME)["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    assert revision == "2", "one rollout"


async def test_a_denied_repair_is_not_made_and_the_pod_stays_contained(
    world: World, workload: DemoWorkload, incident: Incident
) -> None:
    gate = await incident.waiting()
    assert (await incident.decide(incident.decision(gate, decision="deny", image=""))).accepted
    view = await incident.until(lambda v: v.state is IncidentState.DENIED, "denied")
    late = await incident.decide(incident.decision(gate))

    assert not late.accepted
    assert await incident.is_open(), "it holds a pod"
    assert is_held(world.get("Pod", workload.pods[0].name))
    assert images_of(world.get("Deployment", NAME)) == {NAME: workload.image}
    assert step_state(view, "pod.redeploy") == "planned"

    view = await incident.release()
    assert view.state is IncidentState.RELEASED
    assert not world.marks()


PRINTABLE = "<script>alert(1)</script> [x](javascript:alert(1)) `$(id)` ../../etc %s {0}"
HOSTILE = f"\x1b[2J\x1b]0;owned\x07 \u202egnp.exe\u202c {PRINTABLE} \x00\x9b"


async def test_hostile_text_does_no_harm_where_people_read_it(world: World, workload: DemoWorkload) -> None:
    pod = workload.pods[0].name
    world.patch("Pod", pod, {"metadata": {"annotations": {"note": HOSTILE.replace("\x00", "")}}})
    raw = world.finding_about(world.get("Pod", pod), publish=False)
    raw |= {"Title": HOSTILE, "Description": HOSTILE}
    details = raw["Resource"]["KubernetesDetails"]
    details["KubernetesUserDetails"] = {"Username": PRINTABLE, "Uid": PRINTABLE, "Groups": [PRINTABLE]}
    details["KubernetesWorkloadDetails"]["Containers"] = [{"Name": PRINTABLE, "Image": PRINTABLE}]
    incident = await world.start(raw)
    gate = await incident.waiting("contain")
    reason = HOSTILE.replace("\x00", "")
    assert (await incident.decide(incident.decision(gate, by=reason, reason=reason))).accepted
    await incident.contained()
    await incident.collected()
    for name in ("credentials", "eradicate"):
        gate = await incident.waiting(name)
        assert (await incident.decide(incident.decision(gate, by=reason, reason=reason))).accepted
    view = await incident.approve_everything()
    assert view.state is IncidentState.REMEDIATED

    printed = {}
    for command in ("show", "report", "report --html -", "evidence list", "evidence verify"):
        ended = command_line([*command.split(), incident.id], world.environment())
        assert ended.returncode == 0, ended.stderr
        printed[command] = ended.stdout + ended.stderr
    printed["ui"] = await _details_in_the_ui(incident)
    for where, text in printed.items():
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"], where
    assert "<script" not in printed["report --html -"]
    assert "&lt;script" in printed["report --html -"], "it is shown"
    for where in ("report", "ui"):
        assert "alert" in printed[where], "it is shown"
        html = MarkdownIt("commonmark").render(printed[where])
        assert "<script" not in html, f"{where}: as text, not as HTML"
        assert 'href="javascript' not in html, f"{where}: as text, not as a link"


async def _details_in_the_ui(incident: Incident) -> str:
    described = await incident.handle.describe()
    return "\n".join([await described.static_summary() or "", await described.static_details() or ""])
