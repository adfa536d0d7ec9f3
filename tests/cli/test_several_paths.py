"""What people see of an incident that goes several ways at once: in `show`, `watch`, the status card and the report."""

from __future__ import annotations

import io
import shlex
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from activities.report import render_report
from cli.gate_screen import preview_parts
from cli.reading import Reading, Source
from cli.screen import incident_screen
from cli.step_screen import by_path
from cli.view import incident_document
from contracts.common import PodTarget, PodTargets
from contracts.incidents import GateView, IncidentView, StepStatus
from contracts.states import Containment, GateState, IncidentState, StepState
from contracts.steps import Task, TaskView
from plans.model import Gate, Path, Step, Target, TargetKind, Verdict
from tests.cli.test_live_screen import BRIEF, NOW, VIEW, drawn
from tests.collect.report_support import finding_with, incident_with
from workflows.card import status_card

EVIL = "\x1b[31m[bold]x[/bold]\n# <img src=x>\u202e `a|b`"
STEPS = {
    Path.POD: ("quarantine", "collect", "redeploy", "delete"),
    Path.USER: ("cut_off", "deactivate_key", "revoke_sessions", "rotate_secrets", "delete_key"),
    Path.NODE: ("cordon", "protect", "collect", "review_accounts", "snapshot", "drain", "terminate"),
}
SUBJECT = Target(kind=TargetKind.SUBJECT, name="jane", uid="arn:aws:iam::1:user/jane")
NODE = Target(kind=TargetKind.NODE, name="node-7", uid="uid-7")
NEVER = Target(kind=TargetKind.NODE, name="node-8", uid="uid-8")


def step(path: Path, action: str, **changed: Any) -> Step:
    target = {Path.USER: SUBJECT, Path.NODE: NODE}.get(path, Target(kind=TargetKind.POD, name="checkout-1"))
    fields = {"decision": Verdict.APPROVAL, "reason": "because", "undo": "Nothing brings it back."}
    return Step(step=f"{path.value}.{action}", path=path, action=action, **{"targets": (target,), **fields, **changed})


def incident(**changed: Any) -> IncidentView:
    planned = [step(path, action) for path, actions in STEPS.items() for action in actions]
    never = step(Path.NODE, "isolate", decision=Verdict.NEVER, targets=(NEVER,))
    made = incident_with("x").plan
    assert made is not None
    plan = made.model_copy(update={"paths": tuple(STEPS), "steps": (*planned, never), "gates": (), "warnings": ()})
    gate = GateView(
        gate=Gate.CREDENTIALS, state=GateState.WAITING, digest="sha256:" + "d" * 64, nonce="n",
        deadline=NOW + timedelta(hours=24), steps=("user.revoke_sessions", "user.rotate_secrets"),
    )  # fmt: skip
    task = Task(id="user.rotate_secrets-1a2b3c4d", step="user.rotate_secrets", text=f"rotate {EVIL}", owner=EVIL)
    other = Task(id="user.rotate_secrets-99999999", step="user.rotate_secrets", text="rotate shop/db")
    fields = {
        "paths": tuple(STEPS),
        "plan": plan,
        "pods": PodTargets(count=1, inline=(PodTarget(namespace="shop", name="checkout-1", uid="u", node="node-7"),)),
        # Paths report in the order in which they get on, not in that of the plan.
        "steps": tuple(StepStatus(step=s.step, state=StepState.PLANNED) for s in reversed(planned)),
        "gates": (gate,),
        "failures": (),
        "reasons": (),
        "notes": (),
        "tasks": (
            TaskView(task=task),
            TaskView(task=other, done=True, by="ada", reason="new password in the vault", at=NOW),
        ),
        "previews": {
            "user.revoke_sessions": (f"RolePolicy {EVIL}", "2 other workloads use the role"),
            "node.terminate": ("the instance ends",),
        },
    }
    return VIEW.model_copy(update=fields | changed)


def printed(*parts: Any) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None, markup=False, highlight=False)
    for part in parts:
        console.print(part, crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(view: IncidentView) -> str:
    return printed(incident_screen(Reading(Source.WORKFLOW, BRIEF, view)))


def test_steps_stand_by_path_in_the_order_of_the_plan() -> None:
    grouped = {path: [s.step for s in steps] for path, steps in by_path(incident())}
    assert grouped == {path.value: [f"{path.value}.{a}" for a in actions] for path, actions in STEPS.items()}
    text = shown(incident())
    assert text.index("\n  user\n") < text.index("user.cut_off  ") < text.index("\n  node\n")


def test_what_would_be_done_stands_before_the_command_that_approves() -> None:
    text = shown(incident())
    for part in ("user.revoke_sessions, if approved:", "2 other workloads use the role", "undo  Nothing brings it"):
        assert text.index(part) < text.index("firebreak approve ")
    # A gate that does not wait says no more what it would do, and a step of another gate is not this gate's.
    assert "the instance ends" not in text
    opened = incident(gates=tuple(g.model_copy(update={"state": GateState.OPEN}) for g in incident().gates))
    assert "if approved" not in shown(opened)
    assert printed(*preview_parts(incident(), incident().gates[0])).count("if approved:") == 1


def test_a_long_preview_is_cut_and_says_so() -> None:
    text = shown(incident(previews={"user.revoke_sessions": tuple(f"sentence {n}." for n in range(40))}))
    assert "sentence 11." in text
    assert "sentence 12." not in text
    assert "and 28 more; --json has all" in text


def test_targets_of_every_kind_are_listed_and_those_of_never_are_not() -> None:
    document: Any = incident_document(Reading(Source.WORKFLOW, BRIEF, incident()))
    assert document["targets"]["nodes"] == [{"name": "node-7", "uid": "uid-7"}]
    assert document["targets"]["subjects"] == [{"kind": "subject", "namespace": "", "name": "jane"}]
    assert "  node node-7\n" in shown(incident())
    assert "  subject jane\n" in shown(incident())
    assert "node-8" not in shown(incident())


def test_open_tasks_come_with_the_command_that_ends_them() -> None:
    text = shown(incident())
    command = f'firebreak task done {VIEW.finding_id} user.rotate_secrets-1a2b3c4d --reason "WHAT"'
    assert command in text
    assert shlex.split(command)[-1] == "WHAT"
    assert "done by ada: new password in the vault" in text
    assert "task done" not in shown(incident(tasks=incident().tasks[1:]))
    document: Any = incident_document(Reading(Source.WORKFLOW, BRIEF, incident()))
    assert [(t["task"], t["done"]) for t in document["tasks"]] == [
        ("user.rotate_secrets-1a2b3c4d", False),
        ("user.rotate_secrets-99999999", True),
    ]
    assert document["previews"]["node.terminate"] == ["the instance ends"]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24)])
def test_watch_keeps_every_path_in_a_small_terminal(width: int, height: int) -> None:
    steps = tuple(
        s.model_copy(update={"state": StepState.FAILED}) if s.step == "node.drain" else s for s in incident().steps
    )
    lines = drawn(Reading(Source.WORKFLOW, BRIEF, incident(steps=steps)), width, height)
    text = "\n".join(lines)
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)
    for path in STEPS:
        assert f"  {path.value} " in text
    assert "failed drain" in text
    assert "1 task for people: firebreak task list" in text
    assert "firebreak approve" in text


def test_watch_names_every_step_where_there_is_room() -> None:
    text = "\n".join(drawn(Reading(Source.WORKFLOW, BRIEF, incident()), 100, 60))
    assert "node.review_accounts" in text
    assert "2 other workloads use the role" in text


def test_nothing_from_outside_drives_a_terminal() -> None:
    small = "\n".join(drawn(Reading(Source.WORKFLOW, BRIEF, incident()), 100, 60))
    for text in (shown(incident()), small):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_the_card_shows_previews_before_the_command_and_tasks_escaped() -> None:
    card = status_card(incident())
    assert card.index("2 other workloads use the role") < card.index("firebreak approve")
    assert "**Steps of path node**" in card
    assert "**Tasks for people (1 open)**" in card
    assert "firebreak task done" in card
    assert "<img" not in card.replace("\\<img", "")
    assert "**Steps**" in status_card(incident(paths=(Path.POD,), steps=incident().steps[-4:]))


def test_the_report_tells_of_every_path() -> None:
    text = render_report(incident(), finding_with("x"), None, [])
    first = text.split("\n\n")[1]
    assert "It opened the paths pod, user and node." in first
    assert "1 task for people is open." in first
    assert text.count("### Path ") == 3
    assert "| subject | `jane` | `arn:aws:iam::1:user/jane` |" in text
    assert "`2 other workloads use the role`" in text
    assert "| `user.rotate_secrets-99999999` | (none) | `rotate shop/db` | yes | `ada` |" in text
    assert "- Task `user.rotate_secrets-1a2b3c4d` is open" in text
    assert all(line.count("`") % 2 == 0 for line in text.splitlines() if "<img" in line)


@pytest.mark.parametrize(
    ("state", "containment", "said"),
    [
        (IncidentState.REMEDIATED, Containment.VERIFIED, "It opened the path user and is contained"),
        (IncidentState.AWAITING_APPROVAL, Containment.INCOMPLETE, "and containment is INCOMPLETE"),
        (IncidentState.RELEASED, Containment.RELEASED, "whose containment was taken back."),
    ],
)
def test_the_report_of_an_incident_without_pods_speaks_of_none(
    state: IncidentState, containment: Containment, said: str
) -> None:
    view = incident(paths=(Path.USER,), pods=PodTargets(), state=state, containment=containment)
    first = render_report(view, finding_with("x"), None, []).split("\n\n")[1]
    assert said in first
    assert "0 pods" not in first


def test_an_image_that_is_deleted_is_no_pod_that_is() -> None:
    steps = (StepStatus(step="image.delete", state=StepState.DONE),)
    view = incident(paths=(Path.IMAGE,), steps=steps)
    first = render_report(view, finding_with("x"), None, []).split("\n\n")[1]
    assert "and then deleted" not in first
