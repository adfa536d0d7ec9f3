"""The report in HTML: one file that loads nothing, in which nothing from outside becomes markup."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.report.facts import Facts, gather
from activities.report.markup import Html, finalize, listed, outside, plain, prose, words
from activities.report.page import is_report, render_html
from activities.report.words import Outside, say
from contracts.common import PodTargets, StoredList
from contracts.incidents import IncidentView, StepStatus
from contracts.states import Containment, IncidentState, StepState
from contracts.steps import Task, TaskView
from evidence.entry import Entry
from plans.model import Target, TargetKind
from tests.collect.report_support import AT, assessment_with, entries_with, finding_with, incident_with, known_with
from tests.collect.test_report_text import HOSTILE
from tests.report import case

MARKUP = [
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></svg><script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "--></code><iframe src=https://evil.example>",
    "]]><a href=javascript:alert(1)>x</a>",
    '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    "url(https://evil.example/x.png)",
    "<code title='",
    "e" + "\u0301" * 40,
]


@dataclass
class Read(HTMLParser):
    """What a browser is given: elements with their attributes, and the text of each kind of element."""

    elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))
        if tag not in ("meta", "link", "path", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements that are not closed in order"

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))


def read(text: str) -> Read:
    parsed = Read()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    return parsed


def facts_with(word: str) -> Facts:
    """Every text from outside is the word."""
    task = Task(id=word, step=word, text=word, owner=word)
    view = incident_with(word)
    assert view.plan is not None
    step = view.plan.steps[0].model_copy(
        update={"targets": tuple(Target(kind=k, name=word, namespace=word, uid=word, node=word) for k in TargetKind)}
    )
    view = view.model_copy(
        update={
            "plan": view.plan.model_copy(update={"steps": (step,)}),
            "image_pods": view.pods,
            "tasks": (TaskView(task=task), TaskView(task=task, done=True, by=word, reason=word, at=AT)),
            "gates": (view.gates[0].model_copy(update={"steps": (word,)}),),
            "previews": {word: (word,)},
        }
    )
    redacted = [e.model_copy(update={"redactions": (word,), "source": word}) for e in entries_with(word)]
    return gather(view, finding_with(word), assessment_with(word), redacted, known_with(word))


def skeleton(text: str) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
    """The elements, without the attributes that hold text from outside and without the measures of the picture."""
    measured = {"title", "viewbox", "width", "height", "x", "y", "d"}
    return [(tag, tuple(a for a in attrs if a[0] not in measured)) for tag, attrs in read(text).elements]


def of_the_picture(tag: str) -> bool:
    return tag in ("text", "path")


def without_lines(text: str) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
    """A longer name has more lines in the picture, and nothing else of a name changes an element."""
    return [e for e in skeleton(text) if not of_the_picture(e[0])]


PLAIN = without_lines(render_html(facts_with("plain")))


def _same_skeleton(word: str) -> None:
    text = render_html(facts_with(word))
    assert all(c.isprintable() or c == "\n" for c in text)
    if any(c.isprintable() and not c.isspace() for c in word):
        assert without_lines(text) == PLAIN
    elif word:
        # Where nothing stands in a value, our own words stand in its place, in an element of another name.
        names = {tag for tag, _ in without_lines(text)}
        assert names <= {tag for tag, _ in PLAIN} | {"span"}


@pytest.mark.parametrize("word", [*HOSTILE, *MARKUP], ids=range(len(HOSTILE) + len(MARKUP)))
def test_hostile_words_become_no_element_and_no_attribute(word: str) -> None:
    _same_skeleton(word)


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_word_becomes_an_element_or_an_attribute(word: str) -> None:
    _same_skeleton(word)


@given(st.text(max_size=200))
def test_a_value_stands_in_one_element_whatever_is_in_it(word: str) -> None:
    for made in (outside(word), prose(word), finalize(word)):
        parsed = read(f"<p>{made}</p>")
        assert [tag for tag, _ in parsed.elements] in (["p", "code"], ["p", "span"])
    attribute = read(f'<p title="{plain(word)}"></p>').elements
    assert [(tag, [name for name, _ in attrs]) for tag, attrs in attribute] == [("p", ["title"])]


def test_every_field_from_outside_is_shown_and_marked() -> None:
    """What is marked stands in `code`, and so does every field that this incident fills with one word."""
    parsed = read(render_html(facts_with("strange")))
    found = [where for where, text in parsed.texts if "strange" in text]
    # In the page everything is marked; the page's title and the picture hold text alone.
    assert set(found) == {"code", "title", "text"}
    assert found.count("code") > 80


@pytest.mark.parametrize("facts", [case.facts(), facts_with("https://evil.example/x.png")])
def test_nothing_is_loaded_and_nothing_runs(facts: Facts) -> None:
    text = render_html(facts)
    for tag, attrs in read(text).elements:
        assert tag not in (
            "script",
            "img",
            "image",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "video",
            "audio",
            "use",
        )
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "style", "action", "xlink:href", "data", "background", "ping")
            if name == "href":
                assert value == "data:," if tag == "link" else (value or "").startswith("#")
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_a_policy_forbids_what_the_page_does_not_do_anyway() -> None:
    metas = [dict(attrs) for tag, attrs in read(render_html(case.facts())).elements if tag == "meta"]
    [policy] = [m["content"] for m in metas if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert {"base-uri 'none'", "form-action 'none'"} <= set(policy.split("; "))


def test_every_link_leads_to_a_section() -> None:
    elements = read(render_html(case.facts())).elements
    ids = {f"#{value}" for _, attrs in elements for name, value in attrs if name == "id"}
    links = {value for tag, attrs in elements for name, value in attrs if tag == "a" and name == "href"}
    assert links
    assert links <= ids


def test_every_artefact_stands_with_its_whole_hash_and_what_was_taken_out() -> None:
    text = render_html(case.facts())
    kept = [e for e in case.entries() if e.collected]
    assert len(kept) == 5
    for entry in kept:
        assert f"<code>{entry.sha256}</code>" in text
        assert f"<code>{entry.key}</code>" in text
    assert "/spec/containers/0/env/0/value" in text
    assert case.view().evidence.manifest_sha256 in text
    assert "the node did not answer" in text


def test_a_long_value_is_cut_and_its_title_says_more() -> None:
    long = "x" * 3_000
    [(tag, attrs)] = read(outside(long)).elements
    assert (tag, dict(attrs)["title"]) == ("code", "x" * 1_999 + "…")
    assert "x" * 500 not in read(outside(long)).texts[0][1]
    assert read(outside("x" * 500)).elements == [("code", ())]


def test_the_same_incident_gives_the_same_bytes() -> None:
    assert render_html(case.facts()) == render_html(case.facts())


def test_state_and_containment_stand_at_the_top_in_plain_words() -> None:
    parsed = read(render_html(case.facts()))
    shown = "".join(text for _, text in parsed.texts)
    top = shown[shown.index("Firebreak incident report") : shown.index("What happened\n")]
    assert "Awaiting approval" in top
    assert "The rest waits for a person to decide." in top
    assert "3 pods, which are cut off from the network; that was proved from the live objects." in top
    assert "1 task for people is open. 1 thing could not be done: see below." in top


@pytest.mark.parametrize(
    ("containment", "state", "said"),
    [
        (Containment.NONE, IncidentState.DENIED, ("bad", "Not contained")),
        (Containment.NONE, IncidentState.RELEASED, ("", "Not contained")),
        (Containment.INCOMPLETE, IncidentState.CONTAINING, ("bad", "Incomplete")),
        (Containment.VERIFIED, IncidentState.REMEDIATED, ("good", "Verified")),
        (Containment.NOT_APPLICABLE, IncidentState.PLAN_ONLY, ("", "Not applicable")),
    ],
)
def test_what_is_not_contained_stands_out(
    containment: Containment, state: IncidentState, said: tuple[str, str]
) -> None:
    text = render_html(case.facts(case.view(containment=containment, state=state)))
    found = re.search(
        r'<div class="verdict (\w*)">\n<p class="label">Containment</p>\n<p class="big">([^<]*)</p>', text
    )
    assert found is not None
    assert found.groups() == said


def test_only_the_report_of_an_incident_that_ended_is_no_draft() -> None:
    over = case.view(timings=case.view().timings.model_copy(update={"finished": case.later(600)}))
    assert "Draft." in render_html(case.facts())
    assert "Draft." not in render_html(case.facts(over))


def test_what_is_open_and_what_was_not_done_is_said() -> None:
    text = render_html(case.facts())
    section = re.sub(r"<[^>]+>", "", text.partition('<section id="open">')[2].partition("</section>")[0])
    for said in (
        "Step pod.delete, Pod shop/checkout-7d9f8b6c5-6b86b: Unavailable, the kubelet of its node does not answer",
        "container-log-previous of Pod shop/checkout-7d9f8b6c5-5feca: the node did not answer",
        "Gate terminate is waiting",
        "user.rotate_secrets-1a2b3c4d: Issue a new password",
        "terminate node ip-10-0-0-117.ec2.internal",
    ):
        assert said in section
    assert "99999999" not in section


@pytest.mark.parametrize(
    "view",
    [
        case.view(plan=None, gates=(), changes=(), undone=(), failures=(), state=IncidentState.ASSESSING,
                  containment=Containment.NONE, pods=PodTargets(), tasks=(), steps=()),
        case.view(pods=PodTargets(count=5_000, reference=StoredList(key="targets/1.jsonl", sha256="ab", count=5_000))),
        case.view(state=IncidentState.PLAN_ONLY, containment=Containment.NOT_APPLICABLE, changes=(), undone=()),
        case.view(state=IncidentState.RELEASED, containment=Containment.RELEASED),
        case.view(steps=(StepStatus(step="pod.delete", state=StepState.DONE),)),
    ],
    ids=["begun", "many", "plan-only", "released", "deleted"],
)  # fmt: skip
def test_an_incident_in_any_state_has_a_page(view: IncidentView) -> None:
    facts = gather(view, case.finding(), None, [])
    text = render_html(facts)
    read(text)
    assert "".join(finalize(facts.summary.contained)) in text


def test_more_rows_than_people_read_are_counted() -> None:
    entries = [Entry(key=f"k/{n:04d}", sha256="a", size=1, kind="events", collected_at=AT) for n in range(600)]
    text = render_html(gather(case.view(600), case.finding(), None, entries))
    assert "k/0499" in text
    assert "k/0500" not in text
    assert "<p>100 more are in the manifests.</p>" in text
    assert "<p>104 more are in the evidence.</p>" in text


def test_a_report_is_told_from_another_file() -> None:
    assert is_report(render_html(case.facts()).encode()[:1_000])
    assert not is_report(b"<!doctype html><html><title>Firebreak incident report</title>")


def test_values_are_written_as_they_are_meant() -> None:
    assert finalize(say("gate ", Outside("<b>"), " & more")) == "gate <code>&lt;b&gt;</code> &amp; more"
    assert finalize(Html("<b>own</b>")) == "<b>own</b>"
    assert [finalize(v) for v in (True, 8.0, 1_234_567, StepState.DONE)] == ["yes", "8", "1\u202f234\u202f567", "done"]
    assert words(IncidentState.AWAITING_APPROVAL) == "Awaiting approval"
    assert words(Containment.NOT_APPLICABLE) == "Not applicable"
    assert listed(["a", "<"], 1) == "<code>a</code> and 1 more"
