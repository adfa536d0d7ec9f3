"""Waiting for a service that is eventually consistent."""

import pytest
from temporalio.testing import ActivityEnvironment

from activities.user import settled as module
from activities.user.settled import settled


@pytest.mark.parametrize(("late", "written", "shown"), [(0, True, True), (2, True, True), (2, False, False)])
def test_what_was_written_is_waited_for_and_what_was_refused_is_not(
    monkeypatch: pytest.MonkeyPatch, late: int, written: bool, shown: bool
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0)
    looks = [0]

    def look() -> bool:
        looks[0] += 1
        return looks[0] > late

    assert ActivityEnvironment().run(lambda: settled(look, written=written)) is shown
    assert looks == [late + 1 if shown else 1]


def test_what_never_shows_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    assert not ActivityEnvironment().run(lambda: settled(lambda: False, written=True))
