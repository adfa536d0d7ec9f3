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
