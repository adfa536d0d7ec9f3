"""The picture of the blast radius: what it shows, how much of it, and that nothing lies outside of its box."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.report.blast import MOST_BOXES, Box, Layer, blast_radius
from activities.report.facts import gather
from activities.report.fate import Tone
from activities.report.page import render_html
from activities.report.picture import Picture, broken, columns, shortened, stacked
from contracts.common import PodTargets, StoredList
from contracts.incidents import IncidentView, StepStatus
from contracts.states import Containment, IncidentState, StepState
from plans.model import Change, Step, Target, TargetKind
from tests.report import case


def layers(view: IncidentView) -> dict[str, Layer]:
    return {layer.title: layer for layer in blast_radius(case.facts(view))}


def pods(view: IncidentView) -> tuple[Box, ...]:
    return layers(view)["Workloads and pods"].boxes


def drawn(view: IncidentView) -> list[str]:
    """The texts of each of the two pictures, names that were broken put together again."""
    section = render_html(case.facts(view)).partition('<div class="drawn">')[2].partition("</div>")[0]
    # As XML, which forgives nothing.
    wide, narrow = ElementTree.fromstring(f"<div>{section}</div>")  # noqa: S314 - we made it ourselves.
    assert len(wide.findall("svg")) == len(narrow.findall("svg"))
    return ["".join(_texts(root, "name")) + "".join(_texts(root, "kind")) for root in (wide, narrow)]


def _texts(root: ElementTree.Element, style: str) -> list[str]:
    return [text.text or "" for text in root.iter("text") if text.get("class") == style]


@pytest.mark.parametrize("number", [1, 2, MOST_BOXES, MOST_BOXES + 1, 50, 200])
def test_every_pod_is_named_up_to_the_limit_and_the_others_are_counted(number: int) -> None:
    view = case.view(number, nodes=3)
    shown = number if number <= MOST_BOXES else MOST_BOXES - 1
    named = [f"shop/{p.name}" for p in view.pods.inline]
    assert len(drawn(view)) == 2
    for text in drawn(view):
        assert [name for name in named if name in text] == named[:shown]
        assert (f"{number - shown} more" in text) is (number > shown)


def test_every_node_is_named_up_to_the_limit() -> None:
    view = case.view(40, nodes=12)
    for text in drawn(view):
        assert sum(f"ip-10-0-{n}-117" in text for n in range(12)) == MOST_BOXES - 1
        assert "5 more" in text


def test_the_layers_lead_from_the_finding_to_what_was_reached() -> None:
    found = blast_radius(case.facts())
    assert [(layer.title, layer.reached_from) for layer in found] == [
        ("Finding", None),
        ("Accused", 0),
        ("Workloads and pods", 1),
        ("Nodes", 2),
        # From the pods, not from the nodes, which other pods share.
        ("Roles, accounts, secrets", 2),
    ]
    assert [(b.kind, b.name) for b in found[1].boxes] == [("service account", "shop/checkout"), ("image", case.OLD)]
    assert [(b.kind, b.name, b.status) for b in found[4].boxes] == [("IAM role", case.ROLE.name, "changed")]


def test_a_pod_leads_to_its_node_and_a_hidden_one_to_what_stands_for_its_node() -> None:
    found = layers(case.view(20, nodes=12))
    nodes = {b.id: b.name for b in found["Nodes"].boxes}
    first, rest = found["Workloads and pods"].boxes[0], found["Workloads and pods"].boxes[-1]
    assert [nodes[p] for p in first.places] == ["ip-10-0-0-117.ec2.internal"]
    assert len(rest.places) == 12
    picture = columns(tuple(found.values()))
    curves = [p for p in picture.paths if "C" in p]
    # Seven pods, each to its node; the others to the seven nodes that are shown, and once to the rest.
    assert len(curves) == 7 + 8


@pytest.mark.parametrize(
    ("changed", "status", "tone"),
    [
        ({}, "cut off", Tone.SHUT),
        ({"containment": Containment.INCOMPLETE}, "not proved to be cut off", Tone.OPEN),
        ({"containment": Containment.NONE}, "not cut off", Tone.OPEN),
        ({"containment": Containment.RELEASED, "state": IncidentState.RELEASED}, "no longer cut off", Tone.PLAIN),
        ({"containment": Containment.NOT_APPLICABLE, "state": IncidentState.PLAN_ONLY}, "left as it is", Tone.PLAIN),
        ({"steps": (StepStatus(step="pod.delete", state=StepState.DONE),)}, "deleted", Tone.SHUT),
    ],
)
def test_a_pod_says_what_became_of_it(changed: dict[str, Any], status: str, tone: Tone) -> None:
    assert {(b.status, b.tone) for b in pods(case.view(**changed))} == {(status, tone)}


def test_a_pod_out_of_reach_says_so() -> None:
    view = case.view(1)
    pod = view.pods.inline[0].model_copy(update={"unreachable": "hostNetwork"})
    reached = view.model_copy(
        update={"pods": PodTargets(count=1, inline=(pod,)), "containment": Containment.INCOMPLETE}
    )
    assert [b.status for b in pods(reached)] == ["out of reach of a policy"]


def test_pods_that_are_listed_elsewhere_are_counted() -> None:
    listed = PodTargets(count=5_000, reference=StoredList(key="targets/1.jsonl", sha256="ab", count=5_000))
    [box] = pods(case.view(pods=listed, changes=(), undone=()))[-1:]
    assert (box.kind, box.status, box.more) == ("5000 pods", "listed in the evidence", 5_000)


def test_a_node_without_pods_is_reached_from_whoever_is_accused() -> None:
    seen = case.view(pods=PodTargets(), changes=(), undone=())
    assert seen.plan is not None
    step: Step = seen.plan.steps[0].model_copy(
        update={"step": "node.cordon", "targets": (Target(kind=TargetKind.NODE, name="node-7", uid="uid-7"),)}
    )
    seen = seen.model_copy(
        update={
            "plan": seen.plan.model_copy(update={"steps": (step,)}),
            "steps": (StepStatus(step="node.cordon", state=StepState.DONE),),
        }
    )
    found = blast_radius(case.facts(seen))
    assert [(layer.title, layer.reached_from) for layer in found] == [("Finding", None), ("Accused", 0), ("Nodes", 1)]
    assert [(b.name, b.status) for b in found[2].boxes] == [("node-7", "cordoned")]


def test_of_several_changes_of_one_identity_the_one_that_stands_counts() -> None:
    changes = [
        Change(step="user.x", resource=case.ROLE, summary="s", before={field: None}, after={field: 1})
        for field in ("/a", "/b")
    ]
    for undone, status in (((), "changed"), ((0,), "changed"), ((1,), "changed"), ((0, 1), "change undone")):
        view = case.view(changes=tuple(changes), undone=tuple(changes[n].key for n in undone))
        assert [b.status for b in layers(view)["Roles, accounts, secrets"].boxes] == [status]


def test_an_incident_without_a_plan_is_a_picture_of_its_finding() -> None:
    bare = case.view(plan=None, pods=PodTargets(), changes=(), undone=())
    found = blast_radius(gather(bare, case.finding(), None, []))
    assert [layer.title for layer in found] == ["Finding"]
    for picture in (columns(found), stacked(found)):
        assert len(picture.boxes) == 1


@pytest.mark.parametrize("number", [1, 3, 50])
@pytest.mark.parametrize("layout", [columns, stacked])
def test_nothing_lies_outside_of_the_picture_or_on_another_box(layout: Any, number: int) -> None:
    picture: Picture = layout(blast_radius(case.facts(case.view(number, nodes=5))))
    for n, box in enumerate(picture.boxes):
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= picture.width
        assert box.y + box.height <= picture.height
        assert all(0 < line.y < box.height for line in box.lines)
        for other in picture.boxes[n + 1 :]:
            apart = box.x + box.width <= other.x or other.x + other.width <= box.x
            assert apart or box.y + box.height <= other.y or other.y + other.height <= box.y


def test_a_box_has_all_of_its_text_in_its_title() -> None:
    long = "registry.example/" + "a" * 200 + "@sha256:" + "b" * 64
    [box] = columns((Layer("x", (Box("a", "image", long, "cut off", notes=("n" * 100,)),)),)).boxes
    assert box.title == f"image: {long}, cut off, {'n' * 100}"


@given(st.text(max_size=120), st.integers(8, 40))
def test_a_name_fits_into_its_lines(text: str, cells: int) -> None:
    lines = [*broken(text, cells), shortened(text, cells)]
    assert len(lines) <= 3
    assert all(line.isprintable() for line in lines)
    assert all(len(line) <= cells for line in lines if line.isascii() or line.replace("…", "").isascii())


def test_a_name_is_cut_in_its_middle_because_names_differ_at_the_end() -> None:
    assert broken("shop/checkout-7d9f8b6c5-5fece", 26) == ["shop/checkout-7d9f8b6c5-", "5fece"]
    assert broken("a" * 100, 10) == ["a" * 10, "aaaaa…aaaa"]
    assert shortened("checkout-7d9f8b6c5-5fece", 12) == "checko…5fece"
    assert shortened("漢字漢字漢字", 8) == "漢字…字"
