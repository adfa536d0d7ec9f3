"""The root of every model of this package."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that never changes: findings travel through workflow histories and are compared and hashed.

    Unknown keys are ignored, because AWS adds members without notice. Input is kept out of validation errors, because
    a finding carries text written by an attacker.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
