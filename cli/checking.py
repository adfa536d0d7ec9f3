"""What `doctor` does: run every check, print each with its fix."""

from __future__ import annotations

from pydantic import JsonValue
from rich.text import Text

from cli.check_cluster import check_cluster
from cli.check_installation import check_installation
from cli.check_temporal import check_temporal
from cli.checks import Check, Status
from cli.connect import run_async
from cli.ending import Code
from cli.output import Output
from cli.text import hanging
from settings import load_settings

_SIGNS = {
    Status.OK: ("ok  ", "green"),
    Status.WARN: ("warn", "bold yellow"),
    Status.FAIL: ("FAIL", "bold red"),
    Status.SKIP: ("skip", "dim"),
}


def examine(output: Output) -> Code:
    """Check everything and print it; a failed check is exit code 1."""
    # Connecting comes first because it may take over the environment of the embedded stack, which the others read.
    temporal = run_async(check_temporal(output))
    settings = load_settings()
    checks = [*check_installation(settings), *temporal, *check_cluster(settings)]
    good = all(check.status is not Status.FAIL for check in checks)
    output.result({"ok": good, "checks": [_document(check) for check in checks]}, *(_lines(check) for check in checks))
    output.line("Ready." if good else "Not ready: see the lines marked FAIL.", "bold green" if good else "bold red")
    return Code.DONE if good else Code.FAILED


def _document(check: Check) -> JsonValue:
    return {"name": check.name, "status": check.status.value, "detail": check.detail, "fix": check.fix}


def _lines(check: Check) -> Text:
    sign, style = _SIGNS[check.status]
    label = f"{sign}  {check.name:<18}"
    shown = hanging(label, check.detail)
    text = Text(shown[:4], style=style).append(shown[4 : len(label)], style="bold").append(shown[len(label) :])
    # A fix is often a command: it stays on one line, to be copied.
    return text.append(f"\n      fix: {check.fix}") if check.fix else text
