"""CloudTrail: the management events of the last 90 days, as LookupEvents finds them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from clients.aws.errors import translated
from clients.aws.sdk import Service

if TYPE_CHECKING:
    from mypy_boto3_cloudtrail import CloudTrailClient
    from mypy_boto3_cloudtrail.type_defs import EventTypeDef

Attribute = Literal["AccessKeyId", "EventName", "ResourceName", "Username"]

PACE_SECONDS = 0.5
"""Between two pages: AWS answers two lookups a second for an account and region.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html"""


class CloudTrail(Service):
    """The events of one account and region. Those of STS's global endpoint are recorded in us-east-1 alone."""

    @property
    def _client(self) -> CloudTrailClient:
        client: CloudTrailClient = self._sdk.client("cloudtrail")
        return client

    def events(
        self, attribute: Attribute, value: str, since: datetime, until: datetime, most: int
    ) -> Iterator[EventTypeDef]:
        """The newest events that have one attribute; AWS takes one in a lookup.

        Args:
            attribute: What to look for.
            value: Its value, exactly.
            since: Not before.
            until: Not after.
            most: No more events than that.
        """
        token, seen = "", 0
        while seen < most:
            with translated("cloudtrail:LookupEvents"):
                page = self._client.lookup_events(
                    LookupAttributes=[{"AttributeKey": attribute, "AttributeValue": value}],
                    StartTime=since,
                    EndTime=until,
                    MaxResults=min(50, most - seen),
                    **({"NextToken": token} if token else {}),  # type: ignore[arg-type]
                )
            found = page.get("Events", [])
            seen += len(found)
            yield from found
            token = page.get("NextToken", "")
            if not token:
                return
            time.sleep(PACE_SECONDS)
