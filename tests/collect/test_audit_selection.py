"""Which audit events are asked for and kept, whatever names attackers give themselves and their objects."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.collect.audit_selection import PodName, Selection, of_access_key, of_pods, of_user
from clients.aws.logs import LONGEST_PATTERN
from devstack.aws.audit import event

_TOKEN = re.compile(r'\s*(?:(\(|\)|&&|\|\||=)|(\$[A-Za-z.\[\]0-9]+)|"([^"\\]*)")')
NASTY = ['a"b', 'a" || $.x = "', "a*", "*", "a}b", "} {", "a\\", 'a\\"', "a\nb", "a\x00b", "a\x1b[2J", "é", "", " "]


def parsed(pattern: str) -> list[tuple[str, str]]:
    """The tokens of a JSON filter pattern; fails where anything is left that is none."""
    assert pattern.startswith("{ ") and pattern.endswith(" }") and len(pattern) <= LONGEST_PATTERN
    rest, found = pattern[2:-2], []
    while rest:
        match = _TOKEN.match(rest)
        assert match is not None, rest
        kind = ("sign", "selector", "text")[next(n for n in range(3) if match[n + 1] is not None)]
        found.append((kind, next(g for g in match.groups() if g is not None)))
        rest = rest[match.end() :]
    return found


def answered(selection: Selection, found: dict[str, Any]) -> bool:
    """Whether CloudWatch would return the event: the grammar of its page, as far as we write it."""
    return not selection.pattern or _any(parsed(selection.pattern), found, [0])


def _any(tokens: list[tuple[str, str]], found: dict[str, Any], at: list[int]) -> bool:
    value = _all(tokens, found, at)
    while at[0] < len(tokens) and tokens[at[0]] == ("sign", "||"):
        at[0] += 1
        value = _all(tokens, found, at) or value
    return value


def _all(tokens: list[tuple[str, str]], found: dict[str, Any], at: list[int]) -> bool:
    value = _one(tokens, found, at)
    while at[0] < len(tokens) and tokens[at[0]] == ("sign", "&&"):
        at[0] += 1
        value = _one(tokens, found, at) and value
    return value


def _one(tokens: list[tuple[str, str]], found: dict[str, Any], at: list[int]) -> bool:
    if tokens[at[0]] == ("sign", "("):
        at[0] += 1
        inside = _any(tokens, found, at)
        assert tokens[at[0]] == ("sign", ")")
        at[0] += 1
        return inside
    (_, selector), equals, (kind, text) = tokens[at[0] : at[0] + 3]
    assert (equals, kind) == (("sign", "="), "text")
    at[0] += 3
    value: Any = found
    for part in re.findall(r"\.(\w+)|\[(\d+)\]", selector):
        try:
            value = value[part[0]] if part[0] else value[int(part[1])]
        except (KeyError, IndexError, TypeError):
            return False
    if not isinstance(value, str):
        return False
    # A wildcard stands for something at the end of a text only.
    return value.startswith(text[:-1]) if text.endswith("*") else value == text


@given(st.one_of(st.text(max_size=60), st.sampled_from(NASTY), st.text('ab*"\\}{()|&= \n', max_size=20)))
def test_a_pattern_is_one_whatever_the_name_and_finds_all_of_it(name: str) -> None:
    mine, others = event(name, "get", "pods"), event(f"{name}x", "get", "pods")
    selection = of_user(name)
    assert answered(selection, mine) and selection.wanted(mine)
    assert not selection.wanted(others)
    if selection.pattern:
        assert {text for kind, text in parsed(selection.pattern) if kind == "selector"} == {"$.user.username"}


@pytest.mark.parametrize("name", ["system:serviceaccount:shop:web", "arn:aws:iam::123456789012:user/team/alice"])
def test_a_plain_name_is_asked_for_exactly(name: str) -> None:
    assert of_user(name).pattern == f'{{ ($.user.username = "{name}") }}'


def test_what_cannot_be_asked_for_is_sorted_out_afterwards() -> None:
    assert of_user('al"ice').pattern == '{ ($.user.username = "al*") }'
    assert of_user('"ice').pattern == ""
    assert of_user("x" * 1024).pattern == f'{{ ($.user.username = "{"x" * 400}*") }}'


def test_who_is_impersonated_did_nothing() -> None:
    found = event("mallory", "get", "pods", impersonatedUser={"username": "alice"})
    assert of_user("mallory").wanted(found) and not of_user("alice").wanted(found)


@pytest.mark.parametrize("user", [None, [], "alice", {"username": ["alice"]}, {"username": None}])
def test_an_event_of_another_shape_is_nobody_s(user: Any) -> None:
    assert not of_user("alice").wanted({**event("x", "get", "pods"), "user": user})


def test_a_key_without_a_name_finds_who_came_with_it() -> None:
    extra = {"accessKeyId": ["AKIAEXAMPLE"], "arn": ["arn:aws:iam::123456789012:user/a"]}
    mine = event("a", "get", "pods", user={"username": "a", "extra": extra})
    selection = of_access_key("AKIAEXAMPLE")
    assert answered(selection, mine) and selection.wanted(mine)
    assert not selection.wanted(event("AKIAEXAMPLE", "get", "pods"))


PODS: dict[PodName, frozenset[str]] = {("shop", "web-0"): frozenset({"u0"}), ("shop", "web-1"): frozenset({"u1"})}


def of_token(account: str, uid: str) -> dict[str, Any]:
    user = {"username": account, "extra": {"authentication.kubernetes.io/pod-uid": [uid]}}
    return event(account, "list", "secrets", user=user)


def test_of_pods_is_what_was_done_to_them_and_what_their_own_tokens_did() -> None:
    selection = of_pods(PODS)
    to, by = (
        event("m", "create", "pods", namespace="shop", name="web-0", subresource="exec"),
        of_token("system:serviceaccount:shop:web", "u1"),
    )
    same = {**to, "objectRef": {**to["objectRef"], "uid": "u0"}}
    for mine in (to, same, by):
        assert answered(selection, mine) and selection.wanted(mine)
    for other in (
        event("m", "get", "pods", namespace="shop", name="web-10"),
        event("m", "get", "pods", namespace="shop", name="web"),
        event("m", "get", "pods", namespace="other", name="web-0"),
        event("m", "get", "services", namespace="shop", name="web-0"),
        {**to, "objectRef": {**to["objectRef"], "uid": "of a pod before it"}},
        of_token("system:serviceaccount:shop:web", "u9"),
        event("system:serviceaccount:shop:web", "get", "pods", namespace="shop", name="db-0"),
    ):
        assert not selection.wanted(other)


@given(
    st.dictionaries(
        st.tuples(st.one_of(st.text(max_size=20), st.sampled_from(NASTY)), st.one_of(st.text(max_size=60))),
        st.just(frozenset({"u"})),
        min_size=1,
        max_size=60,
    )
)
def test_pods_are_found_however_many_and_whatever_they_are_called(pods: dict[PodName, frozenset[str]]) -> None:
    selection = of_pods(pods)
    for namespace, name in pods:
        found = event("m", "get", "pods")
        found["objectRef"] |= {"namespace": namespace, "name": name}
        account = of_token(f"system:serviceaccount:{namespace}:a", "u")
        assert answered(selection, found) and selection.wanted(found)
        assert answered(selection, account) and selection.wanted(account)


def test_many_pods_are_asked_for_by_their_namespace() -> None:
    many = {("shop", f"web-{n}"): frozenset({f"u{n}"}) for n in range(500)}
    pattern = of_pods(many).pattern
    assert '"shop"' in pattern and "web-1" not in pattern
    spaces = {(f"space-{n}", "web"): frozenset({f"u{n}"}) for n in range(500)}
    assert of_pods(spaces).pattern == (
        '{ (($.objectRef.resource = "pods") || ($.user.username = "system:serviceaccount:*")) }'
    )
