from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from activities.report import render_report
from activities.report.escape import Own, code, finalize
from contracts.incidents import IncidentView, StepStatus
from contracts.states import Containment, GateState, IncidentState, StepState
from evidence.entry import Entry
from plans.model import Change, ResourceRef
from tests.collect.report_support import (
    AT,
    assessment_with,
    entries_with,
    finding_with,
    incident_with,
    known_with,
)

HOSTILE = [
    "x` | y",
    "```\nrm -rf /\n```",
    "\n# Heading\n",
    "<script>alert(1)</script>",
    "<!-- ",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "https://evil.example www.evil.example a@evil.example @everyone #1",
    "a | b | c",
    "\\` \\",
    "\x1b[31mred\x1b[0m\x07\x9b2J",
    "\u202egnp.exe\u2066",
    "\r\n\r\n- item\n> quote\n---\n===\n",
    "{{ 7 * 7 }} {% raw %}",
    "&lt;b&gt; &#96;",
    "\u2028line\u2029",
    " ",
    "",
    "x" * 5000,
]


def _render(word: str) -> str:
    return render_report(
        incident_with(word), finding_with(word), assessment_with(word), entries_with(word), known_with(word)
    )


def _structure(text: str) -> list[tuple[str, str]]:
    """Everything that Markdown makes of a text, beside its words."""
    found: list[tuple[str, str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        found.append((token.type, token.tag))
        found += [(child.type, child.tag) for child in token.children or () if child.type != "text"]
    return found


PLAIN = _structure(_render("plain"))


def _same_structure(word: str) -> None:
    text = _render(word)
    structure = _structure(text)
    if any(c.isprintable() and not c.isspace() for c in word):
        assert structure == PLAIN
    elif word:
        # Where nothing stands in a value, our own words stand in its place, without a span.
        assert [s for s in structure if s[0] != "code_inline"] == [s for s in PLAIN if s[0] != "code_inline"]
    assert not {"link_open", "image", "html_inline", "html_block", "fence", "hr"} & {kind for kind, _ in structure}
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_change_nothing_of_the_structure(word: str) -> None:
    _same_structure(word)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_word_changes_the_structure(word: str) -> None:
    _same_structure(word)


@given(st.text(max_size=200))
def test_a_code_span_is_one_span_whatever_is_in_it(text: str) -> None:
    span = code(text)
    children = MarkdownIt("commonmark").parseInline(f"before {span} after")[0].children or []
    assert [c.type for c in children] in (["text", "code_inline", "text"], ["text"])
    assert "|" not in span
    assert "\n" not in span


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Own("**own**"), "**own**"),
        (True, "yes"),
        (3, "3"),
        (8.0, "8"),
        (Containment.VERIFIED, "verified"),
        (None, "(none)"),
        ("", "(none)"),
        ("a`b", "`a\u02cbb`"),
    ],
)
def test_only_what_is_ours_passes_as_it_is(value: Any, text: str) -> None:
    assert finalize(value) == text


def test_the_first_paragraph_says_what_happened() -> None:
    text = _render("web-1")
    paragraph = text.split("\n\n")[1]
    assert "GuardDuty reported `web-1` with severity 8 (High)" in paragraph
    assert "1 pod, which is cut off from the network; that was proved" in paragraph
    assert "0.412 s" in paragraph
    assert "Waiting for a decision: eradicate." in paragraph


IMAGE = Change(
    step="pod.redeploy",
    resource=ResourceRef(kind="Deployment", namespace="shop", name="web", uid="uid-2"),
    summary="image",
    before={"/spec/template/spec/containers/0/image": "web@sha256:old"},
    after={"/spec/template/spec/containers/0/image": "web@sha256:new"},
)


def _view(state: IncidentState, containment: Containment, *, deleted: bool = False, **changed: Any) -> IncidentView:
    view = incident_with("x")
    assert view.plan is not None
    delete = view.plan.steps[0].model_copy(update={"step": "pod.delete", "action": "delete"})
    closed = state in (IncidentState.REMEDIATED, IncidentState.RELEASED, IncidentState.PLAN_ONLY)
    times = view.timings.model_copy(update={"finished": AT if closed else None})
    gates = (view.gates[0].model_copy(update={"state": GateState.OPEN, "steps": ("pod.delete",)}),)
    return view.model_copy(
        update={
            "state": state,
            "containment": containment,
            "plan": view.plan.model_copy(update={"steps": (delete,)}),
            "steps": (StepStatus(step="pod.delete", state=StepState.DONE if deleted else StepState.PLANNED),),
            "timings": times,
            "gates": gates,
            **changed,
        }
    )


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (
            _view(IncidentState.REMEDIATED, Containment.VERIFIED, deleted=True),
            "1 pod, which was cut off from the network, as was proved from the live objects, and then deleted.",
        ),
        (
            _view(IncidentState.REMEDIATED, Containment.NOT_APPLICABLE, deleted=True),
            "1 pod, which was deleted before containment had been proved.",
        ),
        (
            _view(IncidentState.REMEDIATING, Containment.INCOMPLETE, deleted=True),
            "1 pod, which was deleted; containment had been INCOMPLETE until then",
        ),
        (
            _view(IncidentState.RELEASED, Containment.RELEASED),
            "1 pod, whose containment was taken back: it is no longer cut off by this incident.",
        ),
        (
            _view(IncidentState.RELEASED, Containment.NONE, changes=()),
            "1 pod, nothing of which is cut off. Containment took 0.412 s from the moment at which Firebreak received "
            "the finding. It was released before anything had been changed.",
        ),
        (_view(IncidentState.DENIED, Containment.VERIFIED), "1 pod, which is cut off from the network; that was"),
        (_view(IncidentState.DENIED, Containment.VERIFIED), "Containment stays until somebody releases it."),
        (_view(IncidentState.PLAN_ONLY, Containment.NOT_APPLICABLE), "1 pod, which Firebreak left as it is."),
        (_view(IncidentState.CONTAINING, Containment.INCOMPLETE), "1 pod, and containment is INCOMPLETE"),
        (_view(IncidentState.REMEDIATING, Containment.NOT_APPLICABLE), "and there is nothing that could be cut off."),
    ],
)
def test_the_first_paragraph_is_true_in_every_state(view: IncidentView, said: str) -> None:
    assert said in render_report(view, finding_with("x"), None, []).split("\n\n")[1]


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (
            _view(IncidentState.REMEDIATED, Containment.VERIFIED, deleted=True, changes=(IMAGE,)),
            "undoes the changes that still stand; this puts the vulnerable image BACK",
        ),
        (_view(IncidentState.REMEDIATED, Containment.VERIFIED, deleted=True, changes=()), ""),
        (
            _view(IncidentState.REMEDIATED, Containment.VERIFIED, deleted=True, changes=(IMAGE,), undone=(IMAGE.key,)),
            "",
        ),
        (_view(IncidentState.AWAITING_APPROVAL, Containment.VERIFIED), "undoes the containment and every other change"),
        (_view(IncidentState.DENIED, Containment.INCOMPLETE), "undoes the containment and every other change"),
        (_view(IncidentState.RELEASED, Containment.RELEASED), ""),
        (_view(IncidentState.PLAN_ONLY, Containment.NOT_APPLICABLE, changes=()), ""),
    ],
)
def test_a_release_is_offered_with_what_it_would_do_now(view: IncidentView, said: str) -> None:
    rows = [r for r in render_report(view, finding_with("x"), None, []).splitlines() if "`firebreak release" in r]
    assert [r.partition("` ")[2] for r in rows] == ([said] if said else [])


def test_a_denied_gate_is_asked_about_again_and_one_that_is_over_is_not() -> None:
    view = _view(IncidentState.DENIED, Containment.VERIFIED)
    denied = (view.gates[0].model_copy(update={"state": GateState.DENIED}),)
    text = render_report(view.model_copy(update={"gates": denied}), finding_with("x"), None, [])
    assert "`firebreak retry x pod.delete` asks about gate eradicate once more" in text
    over = view.timings.model_copy(update={"finished": AT})
    text = render_report(view.model_copy(update={"gates": denied, "timings": over}), finding_with("x"), None, [])
    assert "`firebreak retry" not in text
    assert "`firebreak approve" not in text


def test_the_evidence_section_counts_the_rows_that_it_shows() -> None:
    kinds = ("events", "entry-list", "changes", "changes")
    entries = [Entry(key=f"k{n}", sha256="a", size=5, kind=kind, collected_at=AT) for n, kind in enumerate(kinds)]
    report = Entry(key="report/0001.md", sha256="a", size=9, kind="report", collected_at=AT)
    text = render_report(incident_with("x"), finding_with("x"), None, [*entries, report])
    section = text.partition("## Evidence")[2].partition("\n## ")[0]
    assert "Beside reports, 4 artefacts were sealed, 20 bytes: 2 collected," in section
    assert "2 records of the changes" in section
    assert len([row for row in section.splitlines() if row.startswith("| `k")]) == 4
    assert "artefacts" not in text.partition("## Timeline")[2].partition("\n## ")[0]


def test_an_unproven_identity_is_said_to_be_one() -> None:
    text = _render("ada")
    assert "`ada` (identity not proven) decided `ada`" in text
    assert "An identity that is not proven is a name that somebody typed" in text


def test_the_next_step_is_a_command_with_a_quoted_id() -> None:
    view = incident_with("x").model_copy(update={"incident": "gd/1/us-east-1/a b; reboot"})
    text = render_report(view, finding_with("x"), None, [])
    assert "`firebreak approve 'gd/1/us-east-1/a b; reboot' eradicate --reason TEXT --image REPO@sha256:…`" in text
    assert "`firebreak release 'gd/1/us-east-1/a b; reboot'`" in text


def test_what_is_undone_is_marked() -> None:
    view = incident_with("x")
    undone = view.model_copy(update={"undone": (view.changes[0].key,), "state": IncidentState.RELEASED})
    assert "| undone |" in render_report(undone, finding_with("x"), None, [])
    assert "| undone |" not in render_report(view, finding_with("x"), None, [])


def test_the_same_incident_renders_to_the_same_bytes() -> None:
    assert _render("web") == _render("web")


def test_the_report_of_an_incident_that_has_only_begun() -> None:
    view = incident_with("x").model_copy(
        update={
            "plan": None,
            "gates": (),
            "changes": (),
            "failures": (),
            "state": IncidentState.ASSESSING,
            "containment": Containment.NONE,
        }
    )
    text = render_report(view, finding_with("x"), None, [])
    assert "There is no plan." in text
    assert "Nothing is open." in text
