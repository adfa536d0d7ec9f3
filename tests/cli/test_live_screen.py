"""What `watch` draws: nothing that a person needs is cut off, however small the terminal."""

from __future__ import annotations

import io
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from rich.live import Live

from cli.commands import approve_command
from cli.live_screen import live_screen, wrapped_command
from cli.reading import Brief, Held, Reading, Source
from contracts.common import Failure, Timings
from contracts.incidents import GateView, IncidentView, StepStatus
from contracts.states import Containment, GateState, IncidentState, StepState
from plans.model import Gate

NOW = datetime.now(UTC)
FINDING = "05c838489cbb436da2045ad64ed96854"
BRIEF = Brief(
    incident=f"gd/1/us-east-1/{FINDING}", run_id="r", open=True, status="running", finding_id=FINDING,
    finding_type="PrivilegeEscalation:Kubernetes/PrivilegedContainer", severity=8.0, cluster="c", state="Assessing",
    gates=(), started=NOW, closed=None,
)  # fmt: skip
GATES = tuple(
    GateView(
        gate=gate, state=GateState.WAITING, approvals=2, deadline=NOW + timedelta(hours=24), needs_image=image,
        steps=("pod.x",),
    )
    for gate, image in ((Gate.CREDENTIALS, False), (Gate.ERADICATE, True), (Gate.TERMINATE, False))
)  # fmt: skip
VIEW = IncidentView(
    incident=BRIEF.incident,
    finding_id=FINDING,
    finding_type=BRIEF.finding_type,
    severity=8.0,
    state=IncidentState.AWAITING_APPROVAL,
    containment=Containment.VERIFIED,
    steps=tuple(
        StepStatus(step=f"pod.{name}", state=StepState.DONE, detail="a long sentence about it " * 9)
        for name in ("quarantine", "collect", "redeploy", "delete")
    ),
    gates=GATES,
    failures=(Failure(step="pod.collect", target="Pod shop/x", code="Unavailable", message="no answer " * 20),) * 9,
    reasons=("a reason of some length " * 8,) * 9,
    notes=tuple(f"note {n} " + "words " * 30 for n in range(50)),
    timings=Timings(received=NOW),
)
HELD = Held("ada@desk", "deployment freeze", NOW.isoformat())


def drawn(reading: Reading, width: int, height: int) -> list[str]:
    """The lines as a terminal of that size gets them, through the region that is redrawn."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)
    with Live(console=console, auto_refresh=False) as region:
        region.update(live_screen(reading, width, height), refresh=True)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    # The first drawing; the one that ends the region repeats it.
    return text.partition("Ctrl-C stops watching.")[0].replace("\x1b[?25l", "").splitlines()


@pytest.mark.parametrize("held", [None, HELD])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 24), (60, 30), (80, 200)])
def test_every_command_is_whole(width: int, height: int, held: Held | None) -> None:
    lines = drawn(Reading(Source.WORKFLOW, BRIEF, VIEW, held=held), width, height)
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    words = text.replace("\\\n", "").replace("\n", "").replace(" ", "")
    for gate in GATES:
        assert approve_command(VIEW, gate).replace(" ", "") in words
    assert "AwaitingApproval  containment verified" in text
    assert ("Changes are paused by ada@desk" in text) == (held is not None)
    assert "pod.delete" in text
    # What is good to know fills what is left.
    assert ("note 49" in text) == (height == 200)
    assert "note 2 " not in text


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_wrapped_command_is_the_same_to_a_shell(width: int) -> None:
    command = approve_command(VIEW, GATES[1])
    lines = wrapped_command(command, width)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(command)
    assert (len(lines) == 1) == (width == 200)


def test_without_a_worker_it_says_so() -> None:
    text = "\n".join(drawn(Reading(Source.VISIBILITY, BRIEF, None, "no worker answered " * 9, held=HELD), 80, 24))
    assert "no worker answered" in text
    assert "State     Assessing" in text
    assert "Changes are paused" in text
