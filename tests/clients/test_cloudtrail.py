"""CloudTrail's lookups: which regions are asked, and how many pages."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from clients.aws import cloudtrail
from clients.aws.cloudtrail import CloudTrail
from clients.aws.sdk import Sdk

NOW = datetime.now(UTC)


class Trails:
    """An SDK whose regions each hold two full pages of events, and remember how they were asked."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.asked: list[tuple[str, int]] = []

    def client(self, service: str, region: str) -> Any:
        assert service == "cloudtrail"
        self._region = region
        return self

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


def test_no_more_events_are_read_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    trails = Trails("eu-central-1")
    found = list(CloudTrail(cast(Sdk, trails), None).events("Username", "alice", NOW, NOW, 60))
    assert trails.asked == [("eu-central-1", 50), ("eu-central-1", 10), ("us-east-1", 50), ("us-east-1", 10)]
    assert len({e["EventId"] for e in found}) == 120
    assert pauses == [cloudtrail.PACE_SECONDS] * 2, "AWS answers two lookups a second"
