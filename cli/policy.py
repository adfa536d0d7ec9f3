"""`policy check`: whether a policy file says what was meant."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from cli.ending import Code
from cli.options import Json
from cli.output import Output

app = typer.Typer(help="The policy: what Firebreak does by itself, and what waits for a person.", add_completion=False)


@app.callback()
def policy() -> None:
    """The policy: what Firebreak does by itself, and what waits for a person."""


@app.command("check")
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A policy file, YAML.", show_default=False)],
    json: Json = False,
) -> int:
    """Check a policy file and show what it comes to, the defaults included.

    Example: `firebreak policy check policy.yaml`
    """
    output = Output(json)

    from cli.policy_file import load_policy_file
    from cli.text import clean, counted, duration

    policy = load_policy_file(Path(file))
    output.result({"ok": True, "digest": policy.digest, "policy": policy.model_dump(mode="json")})
    output.line(f"{file} is valid.", "bold green")
    for name in type(policy.gates).model_fields:
        gate = getattr(policy.gates, name)
        waits = "" if gate.mode == "never" else f", waits at most {duration(timedelta(seconds=gate.deadline))}"
        people = ", two people" if gate.approvals == 2 else ""
        above = f" from severity {gate.auto_from_severity:g}, else approval" if gate.mode == "auto" else ""
        output.line(f"  {name:<12} {gate.mode.value}{above}{people}{waits}")
    output.line(f"  {counted(len(policy.rules), 'rule')} before these defaults" if policy.rules else "  no rules")
    for rule in policy.rules:
        if rule.reason:
            output.line(f"    {clean(rule.reason, 300)}")
    hourly = policy.budget.containments_per_hour
    output.line(
        f"  budget: {hourly.cluster} automatic containments an hour, {hourly.namespace} in one namespace, "
        f"{policy.budget.incident_pods} pods in one incident"
    )
    output.line(f"  digest {policy.digest}", "dim")
    return Code.DONE
