"""CloudTrail: the management events of the last 90 days, as LookupEvents finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from clients.aws.errors import translated
from clients.aws.sdk import Service

if TYPE_CHECKING:
    from mypy_boto3_cloudtrail import CloudTrailClient
    from mypy_boto3_cloudtrail.type_defs import EventTypeDef, LookupEventsResponseTypeDef

    Ask = Callable[[Callable[[], LookupEventsResponseTypeDef]], LookupEventsResponseTypeDef]
    """How a page is asked for: at once, or patiently."""

Attribute = Literal["AccessKeyId", "EventName", "ResourceName", "Username"]

PACE_SECONDS = 0.5
"""Between two lookups: AWS answers two a second for an account and region.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html"""


GLOBAL_REGION = "us-east-1"
"""Where calls to IAM, and to the global endpoint of STS, are recorded in the partition `aws`.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html#cloudtrail-concepts-global-service-events"""


class CloudTrail(Service):
    """The events of one account."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Where something can be recorded that an identity of ours did: our region, and that of global services."""
        own = self._sdk.region
        partition_of_its_own = own.startswith(("cn-", "us-gov-"))
        return (own,) if partition_of_its_own else tuple(dict.fromkeys((own, GLOBAL_REGION)))

    def events(
        self,
        attribute: Attribute,
        value: str,
        since: datetime,
        until: datetime,
        most: int,
        ask: Ask = lambda page: page(),
    ) -> Iterator[EventTypeDef]:
        """The newest events that have one attribute, region by region; AWS takes one attribute in a lookup.

        Args:
            attribute: What to look for.
            value: Its value, exactly.
            since: Not before.
            until: Not after.
            most: No more events than that from each region.
            ask: Is given the call for each page, so that one which AWS throttles can be asked for again.
        """
        for region in self.regions:
            yield from self._in(region, attribute, value, since, until, most, ask)

    def _in(
        self, region: str, attribute: Attribute, value: str, since: datetime, until: datetime, most: int, ask: Ask
    ) -> Iterator[EventTypeDef]:
        client: CloudTrailClient = self._sdk.client("cloudtrail", region)
        token, seen = "", 0

        def page() -> LookupEventsResponseTypeDef:
            self._sdk.take_turn("cloudtrail", region, PACE_SECONDS)
            with translated("cloudtrail:LookupEvents"):
                return client.lookup_events(
                    LookupAttributes=[{"AttributeKey": attribute, "AttributeValue": value}],
                    StartTime=since,
                    EndTime=until,
                    MaxResults=min(50, most - seen),
                    **({"NextToken": token} if token else {}),  # type: ignore[arg-type]
                )

        while seen < most:
            answer = ask(page)
            found = answer.get("Events", [])
            seen += len(found)
            yield from found
            token = answer.get("NextToken", "")
            if not token:
                return
