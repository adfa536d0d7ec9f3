"""GuardDuty: which detector watches the region, and what it says of a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clients.aws.errors import translated
from clients.aws.sdk import Service
from errors import TargetGone

if TYPE_CHECKING:
    from mypy_boto3_guardduty import GuardDutyClient


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
