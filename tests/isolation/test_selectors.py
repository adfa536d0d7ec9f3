from typing import Any

import pytest

from activities.isolation.selectors import (
    LEAVES_OUT_QUARANTINED,
    leaves_out_quarantined,
    matches,
    with_expression,
    without_expression,
)


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({}, {}, True),
        ({}, {"a": "1"}, True),
        (None, {"a": "1"}, False),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchLabels": {"a": ""}}, {}, False),
        ({"matchLabels": None, "matchExpressions": None}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, {"a": "2"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        (
            {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]},
            {"a": "1"},
            False,
        ),
        ({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}, {}, True),
    ],
)
def test_a_selector_matches_as_the_api_server_does(selector: Any, labels: dict[str, str], expected: bool) -> None:
    assert matches(selector, labels) is expected


def test_the_expression_is_added_once_and_taken_away_without_a_trace() -> None:
    other = {"key": "tier", "operator": "In", "values": ["web"]}
    once = with_expression([other])
    assert once == [other, LEAVES_OUT_QUARANTINED]
    assert with_expression(once) == once
    assert without_expression(once) == [other]
    assert without_expression(with_expression(None)) is None
    assert leaves_out_quarantined({"matchExpressions": once})
    assert not leaves_out_quarantined({"matchExpressions": [other]})
    assert not leaves_out_quarantined(None)
