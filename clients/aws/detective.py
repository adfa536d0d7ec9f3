"""Detective: an investigation of one IAM user or role over a span of time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from clients.aws.errors import translated
from clients.aws.sdk import Service

if TYPE_CHECKING:
    from mypy_boto3_detective import DetectiveClient
    from mypy_boto3_detective.type_defs import GetInvestigationResponseTypeDef, InvestigationDetailTypeDef


class Detective(Service):
    """The behaviour graph of one account and region."""

    @property
    def _client(self) -> DetectiveClient:
        client: DetectiveClient = self._sdk.client("detective")
        return client

    def graph(self) -> str:
        """The ARN of the behaviour graph that this account administers, or "": Detective is off, or run elsewhere."""
        with translated("detective:ListGraphs"):
            graphs = self._client.list_graphs(MaxResults=1)["GraphList"]
        return graphs[0].get("Arn", "") if graphs else ""

    def investigations(self, graph: str, entity_arn: str, since: datetime) -> list[InvestigationDetailTypeDef]:
        """The investigations of a user or role that were started after a moment, the newest first."""
        with translated("detective:ListInvestigations"):
            answer = self._client.list_investigations(
                GraphArn=graph,
                FilterCriteria={
                    "EntityArn": {"Value": entity_arn},
                    "CreatedTime": {"StartInclusive": since, "EndInclusive": datetime.now(since.tzinfo)},
                },
                SortCriteria={"Field": "CREATED_TIME", "SortOrder": "DESC"},
            )
        return answer["InvestigationDetails"]

    def start(self, graph: str, entity_arn: str, since: datetime, until: datetime) -> str:
        """Start an investigation; returns its id. It changes nothing that anybody uses."""
        with self._changing("detective:StartInvestigation"):
            return self._client.start_investigation(
                GraphArn=graph, EntityArn=entity_arn, ScopeStartTime=since, ScopeEndTime=until
            )["InvestigationId"]

    def investigation(self, graph: str, identifier: str) -> GetInvestigationResponseTypeDef:
        """One investigation: its `Status`, and its `Severity` when it has ended."""
        with translated("detective:GetInvestigation"):
            return self._client.get_investigation(GraphArn=graph, InvestigationId=identifier)
