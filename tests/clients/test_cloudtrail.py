"""CloudTrail's lookups: which regions are asked, how many pages, and how often."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from clients.aws import cloudtrail
from clients.aws.cloudtrail import CloudTrail
from clients.aws.sdk import Sdk
from errors import Throttled

NOW = datetime.now(UTC)


class Trails:
    """An SDK whose regions each hold two full pages of events, and remember how they were asked."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.asked: list[tuple[str, int]] = []
        self.turns: list[tuple[str, str, float]] = []

    def client(self, service: str, region: str) -> Any:
        assert service == "cloudtrail"
        self._region = region
        return self

    def take_turn(self, service: str, region: str, seconds: float) -> None:
        self.turns.append((service, region, seconds))

    def lookup_events(self, *, MaxResults: int, NextToken: str = "", **_: Any) -> Any:
        self.asked.append((self._region, MaxResults))
        events = [{"EventId": f"{self._region}-{NextToken}-{n}"} for n in range(MaxResults)]
        return {"Events": events, **({} if NextToken else {"NextToken": "2"})}


@pytest.mark.parametrize(
    ("region", "regions"),
    [
        ("eu-central-1", ("eu-central-1", "us-east-1")),
        ("us-east-1", ("us-east-1",)),
        ("cn-north-1", ("cn-north-1",)),
        ("us-gov-west-1", ("us-gov-west-1",)),
    ],
)
def test_what_global_services_record_is_looked_for_where_they_record_it(region: str, regions: tuple[str, ...]) -> None:
    assert CloudTrail(cast(Sdk, Trails(region)), None).regions == regions


def test_no_more_events_are_read_than_asked_for() -> None:
    trails = Trails("eu-central-1")
    found = list(CloudTrail(cast(Sdk, trails), None).events("Username", "alice", NOW, NOW, 60))
    assert trails.asked == [("eu-central-1", 50), ("eu-central-1", 10), ("us-east-1", 50), ("us-east-1", 10)]
    assert len({e["EventId"] for e in found}) == 120
    pace = cloudtrail.PACE_SECONDS
    assert trails.turns == [("cloudtrail", region, pace) for region, _ in trails.asked], "AWS answers two a second"


def test_a_page_that_is_throttled_is_asked_for_again_and_no_other() -> None:
    trails = Trails("us-east-1")
    refused = [ClientError({"Error": {"Code": "ThrottlingException"}}, "LookupEvents")]
    plain = trails.lookup_events

    def lookup_events(**asked: Any) -> Any:
        if asked.get("NextToken") and refused:
            raise refused.pop()
        return plain(**asked)

    def twice(page: Any) -> Any:
        try:
            return page()
        except Throttled:
            return page()

    trails.lookup_events = lookup_events  # type: ignore[method-assign]
    found = list(CloudTrail(cast(Sdk, trails), None).events("Username", "alice", NOW, NOW, 60, twice))
    assert (len(found), trails.asked) == (60, [("us-east-1", 50), ("us-east-1", 10)])


def test_turns_are_as_far_apart_as_the_service_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    sdk = Sdk("us-east-1", (1, 1))
    for _ in range(3):
        sdk.take_turn("cloudtrail", "us-east-1", 100)
    sdk.take_turn("cloudtrail", "eu-central-1", 100)
    sdk.take_turn("logs", "us-east-1", 100)
    assert [round(w, -1) for w in waits] == [0, 100, 200, 0, 0]
