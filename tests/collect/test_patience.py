"""A page that AWS does not give at once, and the span of time that is looked at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from activities.collect.model import Deadline
from activities.collect.patience import patiently
from activities.collect.window import LONGEST, window_around
from errors import Forbidden, Throttled, Unavailable

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def refusing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def ask() -> str:
        if left:
            raise left.pop(0)
        return "the page"

    return ask


def test_what_is_throttled_is_asked_for_again_more_and_more_slowly() -> None:
    slept: list[float] = []
    beats: list[int] = []
    errors = (Throttled("x"), Unavailable("x"), Throttled("x", retry_after=6.5))
    found = patiently(refusing(*errors), Deadline(100, lambda: beats.append(1)), sleep=slept.append)
    assert found == "the page"
    assert sum(slept) == pytest.approx(1 + 2 + 6.5)
    assert max(slept) <= 1 and len(beats) >= len(slept), "somebody waits for a heartbeat meanwhile"


def test_patience_ends_with_the_reason_of_the_last_answer() -> None:
    slept: list[float] = []
    with pytest.raises(Throttled, match="busy"):
        patiently(refusing(*[Throttled("busy")] * 20), Deadline(1000, lambda: None), seconds=20, sleep=slept.append)
    assert sum(slept) <= 20
    with pytest.raises(Throttled, match="busy"):
        patiently(refusing(*[Throttled("busy")] * 20), Deadline(0.5, lambda: None), sleep=slept.append)


def test_what_is_refused_is_not_asked_for_again() -> None:
    with pytest.raises(Forbidden):
        patiently(refusing(Forbidden("no")), Deadline(100, lambda: None), sleep=lambda _: pytest.fail("waited"))


def test_a_cancelled_activity_does_not_sit_the_pause_out() -> None:
    def beat() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        patiently(refusing(Throttled("x")), Deadline(100, beat), sleep=lambda _: pytest.fail("waited"))


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def test_the_window_is_the_finding_s_with_a_margin_on_both_sides() -> None:
    window = window_around(NOON, NOON + HOUR, HOUR)
    assert (window.since, window.until) == (milliseconds(NOON - HOUR), milliseconds(NOON + 2 * HOUR))
    assert window.note == ""
    assert str(window) == "2026-03-01T11:00:00Z to 2026-03-01T14:00:00Z"
    # What happened comes before what led to it, and nothing twice.
    assert window.spans == (
        (milliseconds(NOON), milliseconds(NOON + 2 * HOUR)),
        (milliseconds(NOON - HOUR), milliseconds(NOON) - 1),
    )
    assert window_around(NOON, NOON, timedelta()).spans == ((milliseconds(NOON),) * 2,)


def test_of_a_finding_that_went_on_for_weeks_the_end_is_looked_at() -> None:
    window = window_around(NOON - timedelta(days=20), NOON, HOUR)
    assert (window.since, window.until) == (milliseconds(NOON - LONGEST - HOUR), milliseconds(NOON + HOUR))
    assert "only the last 24 h" in window.note and "2026-02-09T12:00:00Z" in window.note


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (None, None),
        (NOON, None),
        (None, NOON),
        (NOON + HOUR, NOON),
        (datetime.min.replace(tzinfo=UTC), NOON),
        (NOON, datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_times_that_are_missing_or_absurd_give_a_window_all_the_same(
    first: datetime | None, last: datetime | None
) -> None:
    window = window_around(first, last, HOUR)
    assert 0 <= window.since <= window.first <= window.until
    assert str(window)
