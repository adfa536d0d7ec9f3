"""The one place that says what the workflow sandbox passes through; shared by worker, replayer and tests."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

PASSED_THROUGH = ("contracts", "errors", "findings", "plans")
"""Own packages that hold only models and pure functions; the workflow modules themselves are never passed through."""


def workflow_runner() -> SandboxedWorkflowRunner:
    """The runner under which workflows execute and replay."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
