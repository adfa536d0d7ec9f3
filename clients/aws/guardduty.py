"""GuardDuty: which detector watches the region, and what it says of a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from clients.aws.errors import translated
from clients.aws.sdk import Service
from errors import Conflict, InputError, TargetGone

if TYPE_CHECKING:
    from mypy_boto3_guardduty import GuardDutyClient

_SPELLINGS: Final = {
    "Eq": "equals",
    "Neq": "notEquals",
    "Gt": "greaterThan",
    "Gte": "greaterThanOrEqual",
    "Lt": "lessThan",
    "Lte": "lessThanOrEqual",
}
"""The API answers a comparison by its old name, by its new one, or by both."""


class GuardDuty(Service):
    """The detector of one region."""

    _detector = ""

    @property
    def _client(self) -> GuardDutyClient:
        client: GuardDutyClient = self._sdk.client("guardduty")
        return client

    def detector_id(self) -> str:
        """The detector of the region, found once: GuardDuty allows one in each.

        Raises:
            TargetGone: GuardDuty is not enabled here.
        """
        if not self._detector:
            with translated("guardduty:ListDetectors"):
                found = self._client.list_detectors(MaxResults=1)["DetectorIds"]
            if not found:
                raise TargetGone(f"GuardDuty has no detector in {self._sdk.region}")
            self._detector = found[0]
        return self._detector

    def finding(self, detector_id: str, finding_id: str) -> dict[str, Any] | None:
        """One finding as GuardDuty has it now, in the shape of GetFindings; None when it does not know the id.

        Raises:
            TargetGone: The detector does not exist.
        """
        with translated("guardduty:GetFindings"):
            findings = self._client.get_findings(DetectorId=detector_id, FindingIds=[finding_id])["Findings"]
        return next((dict(f) for f in findings if f.get("Id") == finding_id), None)

    def malware_scans(self, detector_id: str, instance_arn: str) -> list[dict[str, Any]]:
        """The malware scans of an instance's volumes, the newest first; the first page holds the last ones."""
        with translated("guardduty:DescribeMalwareScans"):
            scans = self._client.describe_malware_scans(
                DetectorId=detector_id,
                FilterCriteria={
                    "FilterCriterion": [
                        {"CriterionKey": "EC2_INSTANCE_ARN", "FilterCondition": {"EqualsValue": instance_arn}}
                    ]
                },
                SortCriteria={"AttributeName": "scanStartTime", "OrderBy": "DESC"},
            )["Scans"]
        return [dict(s) for s in scans]

    def start_malware_scan(self, instance_arn: str) -> str:
        """Begin a scan of an instance's volumes; returns its id. AWS charges by the size of the volumes.

        Raises:
            Conflict: One is running.
        """
        with self._changing("guardduty:StartMalwareScan"):
            return self._client.start_malware_scan(ResourceArn=instance_arn)["ScanId"]

    def filter(self, detector_id: str, name: str) -> dict[str, Any] | None:
        """A filter: what it does and its criteria, each comparison under one name; None when there is none."""
        try:
            with translated("guardduty:GetFilter"):
                found = self._client.get_filter(DetectorId=detector_id, FilterName=name)
        except InputError as error:
            if _is_absent(error):
                return None
            raise
        criteria: Mapping[str, Mapping[str, Any]] = found["FindingCriteria"].get("Criterion") or {}
        return {"action": found["Action"], "criteria": {f: condition(c) for f, c in criteria.items()}}

    def create_suppression(
        self, detector_id: str, name: str, description: str, criteria: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> None:
        """Create a filter that archives what meets all criteria (`equals` or `matches`, with the values).

        Raises:
            Conflict: There is a filter of that name.
            InputError: GuardDuty refuses it; it also does so when the region has its hundred filters, or when only the
                administrator of the organisation may create any.
        """
        criterion: Any = {
            field: {how[0].upper() + how[1:]: [*values] for how, values in condition.items()}
            for field, condition in criteria.items()
        }
        try:
            with self._changing("guardduty:CreateFilter"):
                self._client.create_filter(
                    DetectorId=detector_id,
                    Name=name,
                    Description=description,
                    Action="ARCHIVE",
                    FindingCriteria={"Criterion": criterion},
                )
        except InputError as error:
            # BadRequestException is the one answer for everything; only its words tell what is wrong.
            if "already exists" in error.message:
                raise Conflict(error.message) from error
            raise

    def delete_filter(self, detector_id: str, name: str) -> None:
        """Delete a filter; one that is gone already is no error."""
        try:
            with self._changing("guardduty:DeleteFilter"):
                self._client.delete_filter(DetectorId=detector_id, FilterName=name)
        except InputError as error:
            if not _is_absent(error):
                raise


def _is_absent(error: InputError) -> bool:
    return "no such resource found" in error.message


def condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    """The comparisons of one criterion; what is empty compares nothing."""
    found = {_SPELLINGS.get(k, k[0].lower() + k[1:]): v for k, v in condition.items() if v not in (None, [])}
    return {how: [*v] if isinstance(v, list) else v for how, v in found.items()}
