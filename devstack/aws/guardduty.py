"""GuardDuty's findings, which moto lacks: GetFindings, ListFindings, ArchiveFindings and UnarchiveFindings.

CreateFilter is moto's, with what it lacks: names are taken once, and a region has room for a hundred filters.

The store is filled from outside (``POST /_firebreak/guardduty/findings``). An id that the detector does not hold is
left out of GetFindings's answer; a detector that does not exist is a BadRequestException, in the service's own words.
"""

from __future__ import annotations

import datetime
import operator
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.guardduty.models import guardduty_backends

from devstack.aws.registry import AwsError, Call, Service, service_model
from devstack.aws.shapes import from_wire, to_wire, validate

_MOST_IDS = 50
_MOST_RESULTS = 50
_MOST_FILTERS = 100
"""https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_limits.html"""
_COMPARISONS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("Gt", "GreaterThan", operator.gt),
    ("Gte", "GreaterThanOrEqual", operator.ge),
    ("Lt", "LessThan", operator.lt),
    ("Lte", "LessThanOrEqual", operator.le),
)
_TIMES = {"createdAt", "updatedAt", "service.eventFirstSeen", "service.eventLastSeen"}


class GuardDutyFindings:
    """The findings of every detector of every account, and the calls that read and archive them."""

    def __init__(self) -> None:
        self._findings: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def service(self) -> Service:
        """The operations, for the registry."""
        service = Service("guardduty", invalid_code="BadRequestException")
        service.register("GetFindings", self.get_findings)
        service.register("ListFindings", self.list_findings)
        service.register("CreateFilter", self.create_filter)
        service.register("ArchiveFindings", self.archive_findings)
        service.register("UnarchiveFindings", self.unarchive_findings)
        return service

    def put(self, account: str, region: str, detector: str, findings: Iterable[Any]) -> dict[str, list[str]]:
        """Add findings, or replace those of the same id; the API's wire keys and boto3's names are both read.

        Returns:
            The ids stored, and the paths of fields outside the service model, which GetFindings could not return.

        Raises:
            AwsError: The detector does not exist.
            ShapeError: A finding does not have the shape of the service model.
        """
        self.check_detector(account, region, detector)
        shape = service_model("guardduty").shape_for("Finding")
        dropped: list[str] = []
        read = [from_wire(finding, shape, dropped) for finding in findings]
        for finding in read:
            validate(finding, shape)
        with self._lock:
            held = self._findings.setdefault((account, region, detector), {})
            held.update({finding["Id"]: finding for finding in read})
        return {"stored": [finding["Id"] for finding in read], "dropped": sorted(set(dropped))}

    def get_findings(self, call: Call) -> dict[str, Any]:
        """The findings of the ids asked for, in the order asked or in the order of SortCriteria."""
        ids = _ids(call)
        held = self._held(call)
        findings = [held[identifier] for identifier in dict.fromkeys(ids) if identifier in held]
        return {"Findings": _sorted(findings, call.parameters.get("SortCriteria"))}

    def list_findings(self, call: Call) -> dict[str, Any]:
        """The ids of the findings that match, a page at a time."""
        criterion = call.parameters.get("FindingCriteria", {}).get("Criterion", {})
        matching = [finding for finding in self._held(call).values() if _matches(finding, criterion)]
        ids = [finding["Id"] for finding in _sorted(matching, call.parameters.get("SortCriteria"))]
        size = call.parameters.get("MaxResults", _MOST_RESULTS)
        token = call.parameters.get("NextToken", "") or "0"
        if not 1 <= size <= _MOST_RESULTS:
            raise _invalid("maxResults")
        if not token.isdecimal():
            raise _invalid("nextToken")
        end = int(token) + size
        return {"FindingIds": ids[int(token) : end], "NextToken": str(end) if end < len(ids) else ""}

    def archive_findings(self, call: Call) -> dict[str, Any]:
        """Mark findings as archived."""
        return self._set_archived(call, archived=True)

    def unarchive_findings(self, call: Call) -> dict[str, Any]:
        """Take the mark away."""
        return self._set_archived(call, archived=False)

    def create_filter(self, call: Call) -> dict[str, Any]:
        """Keep a filter in moto's store, where its GetFilter and DeleteFilter find it."""
        wanted, detector = call.parameters, call.parameters["DetectorId"]
        self.check_detector(call.account, call.region, detector)
        backend = guardduty_backends[call.account][call.region]
        filters = backend.detectors[detector].filters
        if wanted["Name"] in filters:
            raise _refused("a filter with the given name already exists")
        if len(filters) >= _MOST_FILTERS:
            raise _refused("the current account has exceeded the limit of filters")
        backend.create_filter(
            detector,
            wanted["Name"],
            wanted.get("Action", "NOOP"),
            wanted.get("Description", ""),
            to_wire(wanted["FindingCriteria"], service_model("guardduty").shape_for("FindingCriteria")),
            wanted.get("Rank", 1),
        )
        return {"Name": wanted["Name"]}

    def _set_archived(self, call: Call, *, archived: bool) -> dict[str, Any]:
        held = self._held(call)
        ids = _ids(call)
        if any(identifier not in held for identifier in ids):
            raise _invalid("findingIds")
        with self._lock:
            for identifier in ids:
                finding = held[identifier]
                # A new object, because an answer in another thread may be reading the old one.
                held[identifier] = {**finding, "Service": {**finding.get("Service", {}), "Archived": archived}}
        return {}

    def _held(self, call: Call) -> dict[str, dict[str, Any]]:
        detector = call.parameters["DetectorId"]
        self.check_detector(call.account, call.region, detector)
        with self._lock:
            return self._findings.setdefault((call.account, call.region, detector), {})

    def check_detector(self, account: str, region: str, detector: str) -> None:
        """Refuse a detector that does not exist."""
        if detector not in guardduty_backends[account][region].detectors:
            raise AwsError(
                "BadRequestException",
                "The request is rejected because the input detectorId is not owned by the current account.",
                kind="InvalidInputException",
            )


def _ids(call: Call) -> list[str]:
    ids = list(call.parameters["FindingIds"])
    if len(ids) > _MOST_IDS or not all(ids):
        raise _invalid("findingIds")
    return ids


def _invalid(parameter: str) -> AwsError:
    return _refused(f"the parameter {parameter} has an invalid value")


def _refused(why: str) -> AwsError:
    return AwsError("BadRequestException", f"The request is rejected because {why}.", kind="InvalidInputException")


def _sorted(findings: list[dict[str, Any]], criteria: dict[str, Any] | None) -> list[dict[str, Any]]:
    if not criteria or not criteria.get("AttributeName"):
        return findings
    attribute = criteria["AttributeName"]
    return sorted(
        findings, key=lambda finding: _comparable(finding, attribute) or "", reverse=criteria.get("OrderBy") == "DESC"
    )


def _matches(finding: dict[str, Any], criterion: dict[str, dict[str, Any]]) -> bool:
    return all(_fulfils(_comparable(finding, attribute), condition) for attribute, condition in criterion.items())


def _fulfils(value: Any, condition: dict[str, Any]) -> bool:
    text = _text(value)
    for old, new, holds in _COMPARISONS:
        # The API has two spellings of each comparison, an old one and a new one.
        bound = condition.get(old, condition.get(new))
        if bound is not None and not (isinstance(value, int | float) and holds(value, bound)):
            return False
    equal = condition.get("Eq", condition.get("Equals"))
    unequal = condition.get("Neq", condition.get("NotEquals", []))
    return (equal is None or text in equal) and text not in unequal


def _comparable(finding: dict[str, Any], attribute: str) -> Any:
    value: Any = to_wire(finding, service_model("guardduty").shape_for("Finding"))
    for part in attribute.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if attribute in _TIMES and isinstance(value, str):
        # Times are compared as milliseconds since the epoch.
        return int(datetime.datetime.fromisoformat(value).timestamp() * 1000)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
