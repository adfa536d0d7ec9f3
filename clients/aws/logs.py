"""CloudWatch Logs: the events of a log group in a span of time, a page at a time.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from clients.aws.errors import translated
from clients.aws.sdk import Service

PACE_SECONDS: Final = 0.2
"""Between two pages: AWS answers five to ten in a second for an account and region, and others read logs too.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html"""
LONGEST_PATTERN: Final = 1024
"""Characters of a filter pattern."""
MOST_ON_A_PAGE: Final = 10_000


class LogEvent(NamedTuple):
    """One line of a log, the stream in which it stands, and when it was written, in milliseconds since 1970."""

    stream: str
    at: int
    message: str


class LogPage(NamedTuple):
    """Some events, the oldest first, and where the next page begins, or "" behind the last. A page may be empty."""

    events: tuple[LogEvent, ...]
    token: str


class Logs(Service):
    """The log groups of one account and region. Where a group does not exist: TargetGone."""

    def page(
        self,
        group: str,
        *,
        streams: str,
        pattern: str,
        since: int,
        until: int,
        token: str = "",
        most: int = MOST_ON_A_PAGE,
    ) -> LogPage:
        """One page of the events of a group.

        Args:
            group: Its name.
            streams: How the names of the streams begin.
            pattern: A filter pattern, or "" for every event.
            since: Not before, milliseconds since 1970.
            until: Not after.
            token: Of the page before.
            most: Events on a page; AWS also ends it after a megabyte, or when it has searched long enough.
        """
        client: Any = self._sdk.client("logs")
        self._sdk.take_turn("logs", self._sdk.region, PACE_SECONDS)
        more = {key: value for key, value in (("filterPattern", pattern), ("nextToken", token)) if value}
        with translated("logs:FilterLogEvents"):
            answer = client.filter_log_events(
                logGroupName=group,
                logStreamNamePrefix=streams,
                startTime=since,
                endTime=until,
                limit=most,
                **more,
            )
        events = (
            LogEvent(str(e.get("logStreamName", "")), int(e.get("timestamp", 0)), str(e.get("message", "")))
            for e in answer.get("events", ())
        )
        return LogPage(tuple(events), str(answer.get("nextToken") or ""))
