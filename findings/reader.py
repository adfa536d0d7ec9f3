"""Reading findings from JSON, whichever of the published shapes they come in.

``read_findings`` accepts an EventBridge event of GuardDuty, its bare ``detail``, a GetFindings response, an
EventBridge event of Security Hub, a bare ASFF finding, and a list of any of these.
Any other input is an ``InputError`` that names the field and what was expected; never another exception.

Source: https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html
"""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from errors import InputError
from findings.asff import is_asff, read_asff
from findings.guardduty import read_guardduty
from findings.model import Finding, FindingSource
from findings.text import cleaned, describe
from findings.wire import Node, load_json

MAX_BYTES: Final = 5 * 1024 * 1024
"""Of one input. EventBridge carries at most 1 MB, and GetFindings answers at most 50 findings."""

ROOT: Final = "$"
"""The ``field`` of an error that concerns the input as a whole."""

_A_FINDING = "a GuardDuty finding as a JSON object"


def read_findings(data: bytes | str) -> list[Finding]:
    """Read every finding of an input, in order; an input with one bad finding is rejected whole.

    Args:
        data: JSON in UTF-8, at most 5 MB; a byte order mark is passed over.

    Returns:
        At least one finding.

    Raises:
        InputError: The input is not JSON, not a finding, or a finding of another service, or a member is missing,
            of the wrong type or not valid. ``field`` is its path, e.g. ``Findings[0].Severity``.
    """
    document = _parse(data)
    if not isinstance(document, list):
        return _read_any(document, "")
    if not document:
        raise InputError(ROOT, "at least one finding", "an empty list")
    return [finding for i, item in enumerate(document) for finding in _read_any(item, f"[{i}]")]


def _parse(data: bytes | str) -> object:
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > MAX_BYTES:
            raise InputError(ROOT, "at most 5 MB of JSON", f"{len(raw)} bytes")
        text = raw.decode("utf-8-sig")
    except UnicodeError:
        raise InputError(ROOT, "JSON in UTF-8", "bytes that are not UTF-8") from None
    try:
        return load_json(text)
    except ValueError as error:
        raise InputError(ROOT, "JSON", cleaned(str(error), 100) if text.strip() else "nothing") from None


def _read_any(value: object, path: str) -> list[Finding]:
    """An event, a response or a finding. A list within a list is none of them."""
    if not isinstance(value, dict):
        raise InputError(path or ROOT, _A_FINDING, describe(value))
    if "detail" in value or "detail-type" in value:
        return _read_event(Node(value, path))
    for key in ("Findings", "findings"):
        if key in value:
            return _read_list(Node(value, path), key, FindingSource.ASFF)
    return [_read_one(value, path, _source_of(value))]


def _read_event(event: Node) -> list[Finding]:
    """An EventBridge event: its source says what ``detail`` is."""
    source, detail = event.text("source"), event.child("detail")
    if source == "aws.securityhub":
        key = "findings" if "Findings" not in detail.value else "Findings"
        return _read_list(detail, key, FindingSource.SECURITY_HUB_EVENT)
    if source != "aws.guardduty":
        raise InputError(event.at("source"), "aws.guardduty or aws.securityhub", describe(source or None))
    # GuardDuty also reports the health of its agents and scans of objects; those are not findings.
    if (kind := event.text("detail-type")) not in ("", "GuardDuty Finding"):
        raise InputError(event.at("detail-type"), "GuardDuty Finding", describe(kind))
    if not detail:
        raise InputError(detail.path, _A_FINDING, "nothing")
    return [_read_one(detail.value, detail.path, FindingSource.EVENTBRIDGE, event)]


def _read_list(node: Node, key: str, asff: FindingSource) -> list[Finding]:
    """The findings of a response or of a Security Hub event, whose findings are always in ASFF."""
    items, path = node.value.get(key), node.at(key)
    if not isinstance(items, list) or not items:
        raise InputError(path, "a list of at least one finding", describe(items))
    found = []
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            raise InputError(f"{path}[{i}]", _A_FINDING, describe(item))
        plain = is_asff(item) or asff is FindingSource.SECURITY_HUB_EVENT
        found.append(_read_one(item, f"{path}[{i}]", asff if plain else FindingSource.GET_FINDINGS))
    return found


def _read_one(value: dict[str, object], path: str, source: FindingSource, envelope: Node | None = None) -> Finding:
    node = Node(value, path)
    try:
        if source in (FindingSource.ASFF, FindingSource.SECURITY_HUB_EVENT):
            return read_asff(node, source)
        return read_guardduty(node, source, envelope)
    except ValidationError as error:
        # Every field is checked before the model is made; this is the net below, so that no input can end a worker.
        where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise InputError(path or ROOT, f"a finding with a valid {where}") from None


def _source_of(value: dict[str, object]) -> FindingSource:
    if is_asff(value):
        return FindingSource.ASFF
    pascal = any(key in value for key in ("Id", "Type", "Severity", "AccountId", "Resource"))
    return FindingSource.GET_FINDINGS if pascal else FindingSource.DETAIL
