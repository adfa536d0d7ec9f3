"""When evidence waits, and that it does not wait for ever."""

from __future__ import annotations

import asyncio

import pytest

from activities import giving_way
from activities.giving_way import BUSY, LONGEST, WINDOW, GiveWay
from contracts.names import ActivityName
from contracts.timing import TIMINGS


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()

    async def sleep(seconds: float) -> None:
        made.now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


async def test_one_incident_is_no_storm(clock: Clock) -> None:
    way = GiveWay(clock)
    for _ in range(3):
        way.hot_begins()
    await way.calm()
    assert clock.now == 100


async def test_a_storm_is_waited_out(clock: Clock) -> None:
    way = GiveWay(clock)
    for _ in range(BUSY):
        way.hot_begins()
    assert way.busy
    await way.calm()
    assert clock.now == pytest.approx(100 + WINDOW)


async def test_a_storm_that_does_not_end_is_not_waited_out(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GiveWay, "busy", property(lambda self: True))
    await GiveWay(clock).calm()
    assert clock.now == pytest.approx(100 + LONGEST)


def test_the_wait_is_shorter_than_the_heartbeat_allows() -> None:
    heartbeat = TIMINGS[ActivityName.COLLECT_PODS].heartbeat
    assert heartbeat is not None
    assert giving_way.LONGEST < heartbeat.total_seconds()
