"""Signals as they come: whatever arrives under a known name becomes a message or a note, and nothing is lost silently.

The SDK drops a signal whose payload does not decode, and a handler with the wrong number of arguments would stall the
workflow. So RemediateFinding takes signals from people through one dynamic handler, and this module decodes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.common import RawValue

from contracts.incidents import Decision

Message = TypeVar("Message", bound=BaseModel)

_TEXT_FIELDS = ("incident", "gate", "digest", "nonce", "decision", "by", "reason", "image")


def decode(args: Sequence[RawValue]) -> object:
    """The first argument as plain data, or None when there is none or it cannot be read."""
    if not args:
        return None
    try:
        return workflow.payload_converter().from_payload(args[0].payload)
    except Exception:  # noqa: BLE001 - whatever the payload holds, the signal must be answered by a record, not by a stall
        return None


def message(args: Sequence[RawValue], kind: type[Message]) -> Message | None:
    """The first argument as a message, or None when it is not one."""
    try:
        return kind.model_validate(decode(args) or {})
    except ValidationError:
        return None


def decision(args: Sequence[RawValue], verb: str) -> Decision:
    """A decision from whatever was sent: fields that are missing or of the wrong type stay empty.

    The name of the signal is the verb; a payload that says the opposite is left without one, so that it cannot count.
    """
    data = decode(args)
    fields: dict[str, Any] = {}
    if isinstance(data, dict):
        fields = {k: data[k] for k in _TEXT_FIELDS if isinstance(data.get(k), str)}
        fields["expires"] = _time(data.get("expires"))
    said = fields.get("decision", "")
    fields["decision"] = verb if said in ("", verb) else ""
    return Decision(**fields)


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
