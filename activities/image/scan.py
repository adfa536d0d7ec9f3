"""The activity `scan_image`: what ECR and GuardDuty find in the image and on the nodes that run it (guide I5).

Scans are begun where there is none. That none was made, or that it found nothing, is said as such: neither is proof of
a clean image.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from temporalio import activity

from activities.assess.nodes import instance_of
from activities.custody import store_entries
from activities.doors import Doors
from activities.image.evidence import EntryMaker
from activities.image.registry import owner_tasks, sort_images
from activities.image.running import running_pods
from activities.isolation.walk import SYSTEMIC
from activities.steps import Planner, StepRoom, beat
from clients.paths import object_path
from contracts.common import StoredList
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import FirebreakError, Paused, TargetGone, Throttled
from evidence.entry import Entry, canonical
from plans.images import EcrImage, shown
from plans.situation import listed, words

_PENDING: Final = ("IN_PROGRESS", "PENDING", "RUNNING")
_MOST_NODES: Final = 5
_PATIENT_ATTEMPTS: Final = 5
"""A service that is silent for longer than so many attempts is recorded as silent: the image is not to wait for it."""
_SHOWN: Final = 5
_ORDER: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNTRIAGED", "UNDEFINED")


class _Scanned(NamedTuple):
    """What one scan came to: a sentence for people, the answer itself for the evidence."""

    sentence: str
    name: str
    kind: str
    answer: Any = None


class ScanActivities(StepRoom):
    """Reads scans, and begins them.

    Args:
        doors: The clients.
        patience: How long a scan that was begun is waited for; what it finds later becomes a finding of its own.
        pause: Between two looks.
    """

    def __init__(self, doors: Doors, *, patience: timedelta = timedelta(minutes=10), pause: float = 2.0) -> None:
        super().__init__(doors)
        self._patience = patience.total_seconds()
        self._pause = pause

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"image.scan": lambda request: StepPlan()}

    @activity.defn(name=ActivityName.SCAN_IMAGE, no_thread_cancel_exception=True)
    def scan_image(self, request: StepRequest) -> StepOutcome:
        """Scan every image of our registry, and the volumes of the first nodes that run it.

        A service that refuses or knows nothing is a sentence in the outcome; containment does not rest on scans.

        Raises:
            Paused: A pause holds what would begin a scan.
            EvidenceError: The store failed.
        """
        ours, others = sort_images(request, self._doors.settings)
        found = [self._of_image(image) for image in ours]
        found += [
            self._guarded(f"node {words(node)}", "malware-scan", lambda n=node: self._of_node(n))  # type: ignore[misc]
            for node in self._nodes(request)
        ]
        entries = self._listed(request, found)
        sentences = [f.sentence for f in found]
        return StepOutcome(
            complete=True,
            skipped=not any(f.answer is not None for f in found),
            summary="; ".join(sentences)[:1000] or "nothing that could be scanned",
            notes=tuple(sentences),
            tasks=owner_tasks(request, others, "Scan"),
            entries=entries,
            artefacts=sum(f.answer is not None for f in found),
        )

    def _of_image(self, image: EcrImage) -> _Scanned:
        return self._guarded(shown(image.name), "image-scan", lambda: self._ecr(image))

    def _guarded(self, what: str, kind: str, work: Callable[[], _Scanned]) -> _Scanned:
        beat()
        try:
            return work()
        except Paused:
            raise
        except FirebreakError as error:
            if isinstance(error, SYSTEMIC) and activity.info().attempt < _PATIENT_ATTEMPTS:
                raise
            return _Scanned(f"{what}: no scan: {error.message[:300]}", what, kind)

    def _ecr(self, image: EcrImage) -> _Scanned:
        ecr, begun = self._doors.aws.ecr, False
        try:
            answer = ecr.scan(image.repository, image.digest)
        except TargetGone as gone:
            if "ScanNotFound" not in gone.message:
                raise
            try:
                ecr.start_scan(image.repository, image.digest)
            except Throttled:
                return _Scanned(
                    f"{image.name}: never scanned, and ECR allows no other scan today", image.name, "image-scan"
                )
            begun = True
            answer = ecr.scan(image.repository, image.digest)
        answer = self._wait(answer, _ecr_status, lambda: ecr.scan(image.repository, image.digest))
        status = _ecr_status(answer)
        findings = answer.get("imageScanFindings") or {}
        counts = findings.get("findingSeverityCounts") or {}
        said = ", ".join(f"{counts[s]} {s.lower()}" for s in _ORDER if counts.get(s)) or "nothing found"
        top = _top(findings)
        about = "scanned now" if begun else "last scan"
        if status not in ("COMPLETE", "ACTIVE"):
            said = (
                f"{words(status or 'unknown').lower()}: {words(str(answer['imageScanStatus'].get('description', '')))}"
            )
        sentence = f"{image.name}: {about}: {said}" + (f" ({listed(top, _SHOWN)})" if top else "")
        return _Scanned(sentence, image.name, "image-scan", answer)

    def _of_node(self, node: str) -> _Scanned:
        live = self._doors.kubernetes.get(object_path("Node", "", node))
        instance = instance_of(live)
        if not instance:
            return _Scanned(f"node {words(node)}: no instance of EC2, so no malware scan", node, "malware-scan")
        settings, guardduty = self._doors.settings, self._doors.aws.guardduty
        arn = f"arn:{_partition(settings.region)}:ec2:{settings.region}:{settings.account}:instance/{instance}"
        detector = settings.detector_id or guardduty.detector_id()
        scans = guardduty.malware_scans(detector, arn)
        about = "last malware scan"
        if not scans:
            guardduty.start_malware_scan(arn)
            about = "malware scan begun now"
            scans = guardduty.malware_scans(detector, arn)
        scans = self._wait(scans, _malware_status, lambda: guardduty.malware_scans(detector, arn))
        result = ((scans[0].get("ScanResultDetails") or {}).get("ScanResult") or "") if scans else ""
        said = {"CLEAN": "nothing found", "INFECTED": "malware found"}.get(result, _malware_status(scans).lower())
        return _Scanned(f"node {words(node)} ({instance}): {about}: {said}", node, "malware-scan", scans)

    def _wait(self, answer: Any, status: Callable[[Any], str], look: Callable[[], Any]) -> Any:
        end = time.monotonic() + self._patience
        while status(answer) in _PENDING and time.monotonic() < end:
            beat()
            time.sleep(self._pause)
            answer = look()
        return answer

    def _nodes(self, request: StepRequest) -> list[str]:
        pods = running_pods(self._doors.kubernetes, [t.name for t in request.step.targets], beat)
        return sorted({p.node for p in pods if p.node})[:_MOST_NODES]

    def _listed(self, request: StepRequest, found: list[_Scanned]) -> StoredList | None:
        store, prefix = self._doors.store, request.incident.evidence_prefix
        maker = EntryMaker(self._doors.temporal.identity)
        entries: list[Entry] = []
        for one in found:
            if one.answer is None:
                entries.append(maker.failed(one.kind, "ECR and GuardDuty", one.name, one.sentence))
                continue
            data = canonical(_plain(one.answer))
            # By content: a scan that says more the next time is another artefact.
            name = hashlib.sha256(data).hexdigest()
            stored = store.create(f"{prefix}/images/scans/{one.kind}-{name}.json", data)
            entries.append(maker.collected(stored, prefix, one.kind, "ECR and GuardDuty", one.name, one.sentence))
        return store_entries(store, request.incident, "image-scan", entries)


def _ecr_status(answer: Any) -> str:
    return str((answer.get("imageScanStatus") or {}).get("status", ""))


def _malware_status(scans: Any) -> str:
    return str(scans[0].get("ScanStatus", "")) if scans else "RUNNING"


def _top(findings: Mapping[str, Any]) -> list[str]:
    """The names of the worst findings, of basic and of enhanced scans."""
    rows = [(str(f.get("severity", "")), str(f.get("name", ""))) for f in findings.get("findings") or ()]
    for f in findings.get("enhancedFindings") or ():
        details = f.get("packageVulnerabilityDetails") or {}
        rows.append((str(f.get("severity", "")), str(details.get("vulnerabilityId") or f.get("title") or "")))
    ranked = sorted(rows, key=lambda r: (_ORDER.index(r[0]) if r[0] in _ORDER else len(_ORDER), r[1]))
    return list(dict.fromkeys(name for _, name in ranked if name))


def _plain(value: Any) -> Any:
    """An answer of the SDK as JSON: moments as text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _partition(region: str) -> str:
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
