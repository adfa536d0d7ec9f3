"""Detective, which moto lacks: a behaviour graph, and investigations that have ended when they are looked at again.

Source: https://docs.aws.amazon.com/detective/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime
from typing import Any

from botocore.utils import parse_to_aware_datetime

from devstack.aws.registry import AwsError, Call, Service

_SUMMARY = ("InvestigationId", "Severity", "Status", "State", "CreatedTime", "EntityArn", "EntityType")


class DetectiveGraphs:
    """At most one graph an account and region, with its investigations."""

    def __init__(self) -> None:
        self._graphs: dict[tuple[str, str], dict[str, Any]] = {}
        self._investigations: dict[str, dict[str, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def service(self) -> Service:
        """The operations that are answered here."""
        service = Service("detective", "ValidationException")
        service.register("CreateGraph", self.create_graph)
        service.register("DeleteGraph", self.delete_graph)
        service.register("ListGraphs", self.list_graphs)
        service.register("StartInvestigation", self.start_investigation)
        service.register("GetInvestigation", self.get_investigation)
        service.register("ListInvestigations", self.list_investigations)
        return service

    def create_graph(self, call: Call) -> dict[str, Any]:
        """Switch Detective on; once more changes nothing."""
        where = (call.account, call.region)
        with self._lock:
            if where not in self._graphs:
                arn = f"arn:aws:detective:{call.region}:{call.account}:graph:{secrets.token_hex(16)}"
                self._graphs[where] = {"Arn": arn, "CreatedTime": datetime.now(UTC)}
                self._investigations[arn] = {}
            return {"GraphArn": self._graphs[where]["Arn"]}

    def delete_graph(self, call: Call) -> dict[str, Any]:
        """Switch Detective off; its investigations go with it."""
        self._of(call)
        with self._lock:
            del self._graphs[(call.account, call.region)]
            del self._investigations[call.parameters["GraphArn"]]
        return {}

    def list_graphs(self, call: Call) -> dict[str, Any]:
        """The graph, if there is one."""
        graph = self._graphs.get((call.account, call.region))
        return {"GraphList": [graph] if graph else []}

    def start_investigation(self, call: Call) -> dict[str, Any]:
        """Begin one about an IAM user or role."""
        asked = call.parameters
        kinds = {":user/": "IAM_USER", ":role/": "IAM_ROLE"}
        kind = next((k for word, k in kinds.items() if word in asked["EntityArn"]), "")
        since, until = (parse_to_aware_datetime(asked[k]) for k in ("ScopeStartTime", "ScopeEndTime"))
        if not kind or since >= until:
            raise AwsError("ValidationException", "The entity or the scope of the investigation is invalid.")
        investigations = self._of(call)
        identifier = f"{len(investigations) + 1:021d}"
        investigations[identifier] = {
            "InvestigationId": identifier,
            "GraphArn": asked["GraphArn"],
            "EntityArn": asked["EntityArn"],
            "EntityType": kind,
            "CreatedTime": datetime.now(UTC),
            "ScopeStartTime": since,
            "ScopeEndTime": until,
            "Status": "RUNNING",
            "State": "ACTIVE",
        }
        return {"InvestigationId": identifier}

    def get_investigation(self, call: Call) -> dict[str, Any]:
        """One investigation; the first look finds it running, the second ended."""
        found = self._of(call).get(call.parameters["InvestigationId"])
        if found is None:
            raise AwsError("ResourceNotFoundException", "The investigation does not exist.", status=404)
        shown = dict(found)
        found.update(Status="SUCCESSFUL", Severity="HIGH")
        return shown

    def list_investigations(self, call: Call) -> dict[str, Any]:
        """The investigations of an entity, the newest first."""
        criteria = call.parameters.get("FilterCriteria", {})
        entity = criteria.get("EntityArn", {}).get("Value")
        span = criteria.get("CreatedTime")
        found = [i for i in self._of(call).values() if entity in (None, i["EntityArn"]) and _within(i, span)]
        return {"InvestigationDetails": [{k: i[k] for k in _SUMMARY if k in i} for i in reversed(found)]}

    def _of(self, call: Call) -> dict[str, dict[str, Any]]:
        found = self._investigations.get(call.parameters["GraphArn"])
        if found is None:
            raise AwsError("ResourceNotFoundException", "The behavior graph does not exist.", status=404)
        return found


def _within(investigation: dict[str, Any], span: dict[str, Any] | None) -> bool:
    if span is None:
        return True
    first, last = (parse_to_aware_datetime(span[k]) for k in ("StartInclusive", "EndInclusive"))
    return bool(first <= investigation["CreatedTime"] <= last)
