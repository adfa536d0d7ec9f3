"""The stand-in's CloudTrail and Detective, through boto3."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.aws.prepare import put_events
from devstack.stack import StackInfo
from devstack.state import StackError
from tests.devstack.test_aws import client

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC)


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def test_events_are_found_by_one_attribute_the_newest_first_page_by_page(stack: StackInfo) -> None:
    trail = client(stack, "cloudtrail")
    key = f"AKIA{secrets.token_hex(8).upper()}"
    mine = [
        {"EventId": f"{key}-{n}", "EventTime": (NOW - timedelta(minutes=n)).isoformat(), "AccessKeyId": key}
        for n in range(60)
    ]
    named = {"EventId": key, "EventTime": NOW.timestamp(), "Resources": [{"ResourceName": key, "ResourceType": "x"}]}
    assert put_events(stack.aws_endpoint, region=stack.region, events=[*mine, named]) == 61

    def look(attribute: str, **more: Any) -> Any:
        return trail.lookup_events(LookupAttributes=[{"AttributeKey": attribute, "AttributeValue": key}], **more)

    first = look("AccessKeyId")
    rest = look("AccessKeyId", NextToken=first["NextToken"])
    found = [e["EventId"] for e in (*first["Events"], *rest["Events"])]
    assert found == [e["EventId"] for e in mine]
    assert "NextToken" not in rest
    assert [e["EventId"] for e in look("ResourceName")["Events"]] == [key]
    span = {"StartTime": NOW - timedelta(minutes=5, seconds=30), "EndTime": NOW - timedelta(minutes=3, seconds=30)}
    assert [e["EventId"] for e in look("AccessKeyId", **span)["Events"]] == [f"{key}-4", f"{key}-5"]
    assert refusal(lambda: look("AccessKeyId", MaxResults=50, NextToken="x")) == "InvalidNextTokenException"
    two = [{"AttributeKey": "Username", "AttributeValue": "a"}, {"AttributeKey": "EventName", "AttributeValue": "b"}]
    assert refusal(lambda: trail.lookup_events(LookupAttributes=two)) == "InvalidLookupAttributesException"
    with pytest.raises(StackError, match="Nothing"):
        put_events(stack.aws_endpoint, region=stack.region, events=[{"Nothing": 1}])


def test_an_investigation_runs_and_ends(stack: StackInfo) -> None:
    detective = client(stack, "detective")
    graph = detective.create_graph()["GraphArn"]
    assert detective.create_graph()["GraphArn"] == graph
    assert [g["Arn"] for g in detective.list_graphs()["GraphList"]] == [graph]
    arn = f"arn:aws:iam::123456789012:role/r-{secrets.token_hex(4)}"
    scope = {"ScopeStartTime": NOW - timedelta(days=1), "ScopeEndTime": NOW}
    identifier = detective.start_investigation(GraphArn=graph, EntityArn=arn, **scope)["InvestigationId"]
    seen = [detective.get_investigation(GraphArn=graph, InvestigationId=identifier) for _ in range(2)]
    assert [s["Status"] for s in seen] == ["RUNNING", "SUCCESSFUL"]
    assert abs(seen[0]["ScopeStartTime"] - scope["ScopeStartTime"]) < timedelta(seconds=1)
    criteria = {"EntityArn": {"Value": arn}}
    listed = detective.list_investigations(GraphArn=graph, FilterCriteria=criteria)["InvestigationDetails"]
    assert [i["InvestigationId"] for i in listed] == [identifier]
    other = graph[:-1] + ("0" if graph[-1] != "0" else "1")
    assert (
        refusal(lambda: detective.get_investigation(GraphArn=other, InvestigationId=identifier))
        == "ResourceNotFoundException"
    )
    asked = {"GraphArn": graph, "EntityArn": "arn:aws:s3:::bucket", **scope}
    assert refusal(lambda: detective.start_investigation(**asked)) == "ValidationException"
    detective.delete_graph(GraphArn=graph)
    assert detective.list_graphs()["GraphList"] == []
