"""The settings of an installation, from the environment (prefix ``FIREBREAK_``); each names what it is for.

The address and credentials of Temporal come from Temporal's own environment configuration (``TEMPORAL_ADDRESS``,
``TEMPORAL_PROFILE``, …), those of AWS from the AWS SDK's, the cluster's from ``KUBECONFIG`` or the
pod's service account.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from errors import InputError


class Settings(BaseSettings):
    """Where this installation acts and where it keeps what it finds."""

    # The defaults stand for "not set", which no pattern has to allow.
    model_config = SettingsConfigDict(
        env_prefix="FIREBREAK_", frozen=True, hide_input_in_errors=True, validate_default=False, env_ignore_empty=True
    )

    account: Annotated[str, Field(pattern=r"^\d{12}$", description="AWS account that findings must come from")] = ""
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z0-9]+)+-\d$", description="AWS region of the detector")] = ""
    cluster: Annotated[str, Field(min_length=1, max_length=100, description="Name of the EKS cluster")] = ""
    detector_id: Annotated[str, Field(description="GuardDuty detector; found by ListDetectors when empty")] = ""
    evidence: Annotated[str, Field(description="s3://bucket[/prefix] or a local folder")] = "evidence"
    policy: Annotated[Path | None, Field(description="Policy file; the defaults when absent")] = None
    bindings_kubeconfig: Annotated[
        Path | None, Field(description="Kubeconfig of the identity that edits bindings; the worker's own when absent")
    ] = None
    namespace: Annotated[str, Field(description="Firebreak's own namespace in the cluster")] = "firebreak"
    identity: Annotated[
        Literal["none"], Field(description="How decisions prove who makes them; none: every decision is unproven")
    ] = "none"
    audit_margin_minutes: Annotated[
        int,
        Field(ge=0, le=1440, description="Minutes before and after a finding of which audit events are kept"),
    ] = 60
    log_format: Literal["console", "json"] = "json"
    temporal_ui: Annotated[str, Field(description="Base address of the Temporal UI, for links")] = ""


def require_installation(settings: Settings) -> Settings:
    """The settings of a process that acts: it must know whose findings it answers, and where.

    Raises:
        InputError: One of account, region and cluster is not set; the error names it.
    """
    for name in ("account", "region", "cluster"):
        if not getattr(settings, name):
            description = Settings.model_fields[name].description or ""
            raise InputError(f"FIREBREAK_{name.upper()}", description[:1].lower() + description[1:], "nothing")
    return settings


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        InputError: A variable is missing or malformed; the error names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "FIREBREAK_" + "_".join(str(p) for p in first["loc"]).upper()
        raise InputError(name, str(first["msg"]).lower()) from None
