"""The timeline: every decision and every change, in the order of what is known of their moments."""

from __future__ import annotations

import itertools
import re
from datetime import datetime

import pytest
from pydantic import JsonValue

from activities.report.changed import changed
from activities.report.page import render_html
from activities.report.render import render_markdown
from activities.report.timeline import Kind, Moment
from activities.report.words import Outside, Sentence
from contracts.incidents import DecisionRecord, GateView, IncidentView
from contracts.states import GateState
from plans.model import Change, Gate, ResourceRef
from tests.report import case


def plain(sentence: Sentence) -> str:
    return "".join(str(p.value) if isinstance(p, Outside) else p for p in sentence)


def moments(view: IncidentView | None = None, kind: Kind | None = None) -> list[Moment]:
    return [m for m in case.facts(view).timeline if kind is None or m.kind is kind]


def decided(by: str, seconds: float, decision: str = "approve", *, counted: bool = True) -> DecisionRecord:
    return DecisionRecord(
        by=by, decision=decision, reason="r", at=case.later(seconds), gate="eradicate", counted=counted
    )


def with_gate(*decisions: DecisionRecord, approvals: int, state: GateState) -> IncidentView:
    gate = GateView(gate=Gate.ERADICATE, state=state, approvals=approvals, decisions=decisions)
    return case.view(gates=(gate,), rejected=())


def test_every_decision_says_who_what_and_whether_it_counted() -> None:
    told = {plain(m.what): dict(m.notes) for m in moments(kind=Kind.DECISION)}
    assert len(told) == sum(len(g.decisions) for g in case.view().gates) + len(case.view().rejected) == 5
    refused = told["mallory (identity not proven) decided approve for gate eradicate, not counted"]
    assert plain(refused["reason"]) == "go"
    assert plain(refused["why it did not count"]).startswith("the decision names another plan digest")
    assert plain(refused["by way of"]) == "signal"
    counted = told["ada@laptop (identity not proven) decided approve for gate eradicate, counted"]
    assert plain(counted["reason"]) == "image rebuilt without the vulnerable library, OPS-81"
    assert " (identity not proven) decided approve for gate everything, not counted" in told


@pytest.mark.parametrize("number", [1, 3, 50])
def test_every_change_is_told_with_its_fields(number: int) -> None:
    view = case.view(number)
    shown = [one for m in moments(view, Kind.CHANGE) for one in m.changes]
    # Each once; those that are alike share a line, which names every object.
    assert sorted(one.number for one in shown) == list(range(1, len(view.changes) + 1))
    text = render_html(case.facts(view))
    section = text.partition('<section id="timeline">')[2].partition("</section>")[0]
    for change in view.changes:
        assert f"<code>{change.resource}</code>" in section
        for field in change.after:
            assert change.before[field] == change.after[field] or not field or f"<code>{field}</code>" in section
    assert section.count('class="change"') == 5
    assert section.count("undone since") == 1


def test_a_field_stands_before_and_after() -> None:
    redeploy = changed(case.view(), 500)[-1]
    [field] = redeploy.fields
    assert plain(field.name) == "/spec/template/spec/containers/0/image"
    assert plain(field.before) == f'"{case.OLD}"'
    assert plain(field.after) == f'"{case.FIXED}"'
    [whole] = changed(case.view(), 500)[0].fields
    assert (plain(whole.name), plain(whole.before)) == ("the object as a whole", "absent")
    assert '"policyTypes": ["Ingress", "Egress"]' in plain(whole.after)


def test_values_of_environment_variables_are_not_shown() -> None:
    env: JsonValue = [{"name": "PASSWORD", "value": "hunter2"}]
    container = "/spec/template/spec/containers/0"
    fields: dict[str, JsonValue] = {
        f"{container}/env": env,
        container: {"env": env, "image": "x"},
        f"{container}/env/0/value": "hunter2",
    }
    change = Change(step="pod.redeploy", resource=case.DEPLOYMENT, summary="s", before=fields, after={"": {"env": env}})
    text = render_html(case.facts(case.view(changes=(change,))))
    assert "hunter2" not in text
    assert "PASSWORD" in text


def test_moments_stand_in_order_and_a_change_behind_what_it_waited_for() -> None:
    told = moments()
    times: list[datetime] = [m.at for m in told if m.at]
    assert times == sorted(times)
    order = [plain(m.what) for m in told]
    for before, after in itertools.pairwise(
        (
            "the activity was first seen",
            "Firebreak received the finding",
            "gate contain opened by itself: the policy allows what waits behind it",
            "changes 3 to 5: pod.quarantine, 3 of kind Pod: quarantined and held by two labels",
            "containment was proved",
            "gate eradicate opened",
            f"change 7: pod.redeploy, Deployment shop/checkout: image of checkout becomes {case.FIXED}",
            "grace (identity not proven) decided approve for gate credentials, counted",
            "linus (identity not proven) decided approve for gate credentials, counted",
            "gate credentials opened",
            "change 6: user.revoke_sessions, RolePolicy shop-checkout-reader: sessions from before now are denied",
            "grace (identity not proven) said that task user.rotate_secrets-99999999 is done",
        )
    ):
        assert order.index(before) < order.index(after)
    assert all(m.exact is (m.kind is not Kind.CHANGE) for m in told if m.kind is not Kind.GATE)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (with_gate(decided("a", 10), approvals=1, state=GateState.OPEN), ["eradicate opened"]),
        (with_gate(decided("a", 10, counted=False), approvals=1, state=GateState.WAITING), []),
        (with_gate(decided("a", 10, "deny"), approvals=1, state=GateState.DENIED), ["eradicate was denied"]),
        # Opened, its step failed, and opened again.
        (
            with_gate(decided("a", 10), decided("a", 20), approvals=1, state=GateState.OPEN),
            ["eradicate opened", "eradicate opened"],
        ),
        (with_gate(decided("a", 10), approvals=2, state=GateState.WAITING), []),
        (with_gate(decided("a", 10), decided("b", 20), approvals=2, state=GateState.OPEN), ["eradicate opened"]),
        # Whether the second approval of two opened it, or came after the first had expired, nobody knows any more.
        (with_gate(decided("a", 10), decided("b", 20), approvals=2, state=GateState.WAITING), []),
    ],
)
def test_a_gate_opens_only_when_that_is_known(view: IncidentView, said: list[str]) -> None:
    told = [plain(m.what).removeprefix("gate ") for m in moments(view, Kind.GATE)]
    assert [t for t in told if t.startswith("eradicate")] == said


def test_of_two_approvals_a_change_waits_for_the_second() -> None:
    view = with_gate(decided("a", 10), decided("b", 20), approvals=2, state=GateState.OPEN)
    [redeploy] = [m for m in moments(view, Kind.CHANGE) if m.changes[0].change.step == "pod.redeploy"]
    assert (redeploy.at, redeploy.exact) == (case.later(20), False)


def test_a_change_of_no_known_step_came_after_the_finding() -> None:
    change = Change(step="release", resource=ResourceRef(kind="Pod", name="x"), summary="s", before={}, after={"/a": 1})
    [moment] = moments(case.view(changes=(change,)), Kind.CHANGE)
    assert moment.at == case.AT


def test_markdown_tells_the_same_moments() -> None:
    text = render_markdown(case.facts())
    rows = re.findall(r"^\| (?:after )?2026-\S+ \S+Z \| (.*) \|$", text.partition("## Targets")[0], re.MULTILINE)
    assert len(rows) == len(moments())
    assert "| after 2026-11-24 12:00:00.000Z | changes 3 to 5: `pod.quarantine`, 3 of kind `Pod`:" in text
    assert "| 2026-11-24 12:05:10.000Z | gate eradicate opened |" in text
