import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.isolation.holders import holders_of, name_holders, others, with_holder, without_holder
from contracts.names import INCIDENTS_ANNOTATION
from errors import InputError


def obj(text: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": None if text is None else {INCIDENTS_ANNOTATION: text}}}


@pytest.mark.parametrize("text", ["not json", "{}", "", "[1", "7", "null", '"gd/x"', "[" * 100_000])
def test_content_that_cannot_be_read_is_a_holder_and_survives(text: str) -> None:
    assert holders_of(obj(text)) == (f"unknown:{text}",)
    added = with_holder(holders_of(obj(text)), "gd/a")
    held = holders_of(obj(added))
    assert held == (f"unknown:{text}", "gd/a")
    left = without_holder(held, "gd/a")
    assert left is not None
    assert holders_of(obj(left)) == (f"unknown:{text}",)


def test_an_entry_that_is_no_id_is_kept_word_for_word() -> None:
    assert holders_of(obj('["gd/a", 7, {"x": [1]}, "gd/a"]')) == ("gd/a", "unknown:7", 'unknown:{"x": [1]}')


def test_nobody_holds_an_object_without_annotations() -> None:
    assert holders_of(obj(None)) == ()
    assert holders_of({"metadata": {}}) == ()
    assert holders_of(obj("[]")) == ()


@given(st.lists(st.text(max_size=20), unique=True, max_size=6), st.text(min_size=1, max_size=20))
def test_coming_twice_and_going_leaves_the_others_in_order(names: list[str], who: str) -> None:
    before = tuple(names)
    once = holders_of(obj(with_holder(before, who)))
    assert holders_of(obj(with_holder(once, who))) == once
    rest = without_holder(once, who)
    assert (holders_of(obj(rest)) if rest else ()) == others(before, who)


def test_more_holders_than_the_annotation_can_take_are_refused() -> None:
    many = tuple(f"gd/123456789012/us-east-1/{i:0>64}" for i in range(3000))
    with pytest.raises(InputError, match="room for one more"):
        with_holder(many, "gd/x")


def test_holders_are_named_without_repeating_what_somebody_wrote() -> None:
    assert name_holders(("gd/a", "unknown:\x1b[31mevil")) == "gd/a, somebody unknown"
    assert name_holders(("a", "b", "c", "d")) == "a, b, c and 1 more"
    assert json.loads(with_holder((), "gd/a")) == ["gd/a"]
