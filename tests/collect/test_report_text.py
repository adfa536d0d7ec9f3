from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from activities.report import render_report
from activities.report.escape import Own, code, finalize
from contracts.states import Containment, IncidentState
from tests.collect.report_support import (
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
