"""What CloudWatch Logs is asked, and what becomes of its refusals."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from clients.aws.logs import PACE_SECONDS, LogEvent, Logs
from clients.aws.sdk import Sdk
from errors import FirebreakError, Forbidden, TargetGone, Throttled

ASKED: Any = {"streams": "kube-apiserver-audit-", "since": 1, "until": 2}


class Answers:
    """An SDK that gives one answer, and remembers what it was asked."""

    region = "eu-central-1"

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self._answer = answer
        self.asked: dict[str, Any] = {}
        self.turns: list[tuple[str, str, float]] = []

    def client(self, service: str) -> Any:
        assert service == "logs"
        return self

    def take_turn(self, *turn: Any) -> None:
        self.turns.append(turn)

    def filter_log_events(self, **asked: Any) -> Any:
        self.asked = asked
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_a_page_is_asked_for_by_streams_time_and_pattern() -> None:
    found = {"logStreamName": "s", "timestamp": 5, "message": "m", "eventId": "e", "ingestionTime": 6}
    sdk = Answers({"events": [found], "nextToken": "t2"})
    page = Logs(cast(Sdk, sdk), None).page("g", **ASKED, pattern="{ p }", token="t1", most=7)
    assert page == ((LogEvent("s", 5, "m"),), "t2")
    assert sdk.asked == {
        "logGroupName": "g",
        "logStreamNamePrefix": "kube-apiserver-audit-",
        "startTime": 1,
        "endTime": 2,
        "filterPattern": "{ p }",
        "nextToken": "t1",
        "limit": 7,
    }
    assert sdk.turns == [("logs", "eu-central-1", PACE_SECONDS)]


def test_nothing_is_sent_for_what_is_not_asked() -> None:
    sdk = Answers({})
    assert Logs(cast(Sdk, sdk), None).page("g", **ASKED, pattern="") == ((), "")
    assert not {"filterPattern", "nextToken"} & sdk.asked.keys()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ResourceNotFoundException", TargetGone),
        ("AccessDeniedException", Forbidden),
        ("ThrottlingException", Throttled),
    ],
)
def test_refusals_are_those_of_our_tree(code: str, error: type[FirebreakError]) -> None:
    sdk = Answers(ClientError({"Error": {"Code": code, "Message": "no"}}, "FilterLogEvents"))
    with pytest.raises(error, match="logs:FilterLogEvents"):
        Logs(cast(Sdk, sdk), None).page("g", **ASKED, pattern="")
