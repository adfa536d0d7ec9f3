"""The command line as a whole: which commands there are, and how each of them ends.

The modules of the commands import little: Temporal's SDK alone takes a second to import, so they import what does the
work when they are called, and `firebreak --help` answers at once.
"""

from __future__ import annotations

import typer

from cli import decide, doctor, evidence, incidents, plan, policy, report, stack, task
from cli.demo import command as demo
from cli.ending import Code
from cli.failing import explain
from cli.output import Output

_INTERRUPTED = 130
"""What typer returns after Ctrl-C."""

_STACK, _INCIDENTS, _DECISIONS, _RECORDS, _INSTALLATION = (
    "Try it here",
    "Incidents",
    "Decisions",
    "Records",
    "Installation",
)

app = typer.Typer(
    name="firebreak",
    help="Answers Amazon GuardDuty findings about EKS clusters: contains, keeps the evidence, asks, repairs, and can "
    "undo it.\n\nNew here? `firebreak demo` shows all of it on this machine, without AWS.",
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command("demo", rich_help_panel=_STACK)(demo.demo)
app.command("up", rich_help_panel=_STACK)(stack.up)
app.command("down", rich_help_panel=_STACK)(stack.down)
app.command("env", rich_help_panel=_STACK)(stack.env)
app.command("plan", rich_help_panel=_INCIDENTS)(plan.plan)
app.command("start", rich_help_panel=_INCIDENTS)(incidents.start)
app.command("list", rich_help_panel=_INCIDENTS)(incidents.list_)
app.command("show", rich_help_panel=_INCIDENTS)(incidents.show)
app.command("watch", rich_help_panel=_INCIDENTS)(incidents.watch)
app.command("approve", rich_help_panel=_DECISIONS)(decide.approve)
app.command("deny", rich_help_panel=_DECISIONS)(decide.deny)
app.command("retry", rich_help_panel=_DECISIONS)(decide.retry)
app.add_typer(task.app, name="task", rich_help_panel=_DECISIONS)
app.command("release", rich_help_panel=_DECISIONS)(decide.release)
app.command("suppress", rich_help_panel=_DECISIONS)(decide.suppress)
app.command("pause", rich_help_panel=_DECISIONS)(decide.pause)
app.command("resume", rich_help_panel=_DECISIONS)(decide.resume)
app.add_typer(evidence.app, name="evidence", rich_help_panel=_RECORDS)
app.command("report", rich_help_panel=_RECORDS)(report.report)
app.command("worker", rich_help_panel=_INSTALLATION)(stack.worker)
app.command("doctor", rich_help_panel=_INSTALLATION)(doctor.doctor)
app.add_typer(policy.app, name="policy", rich_help_panel=_INSTALLATION)


def run(arguments: list[str]) -> int:
    """Run one command and give its exit code; whatever goes wrong is said in one line."""
    output = Output(json="--json" in arguments)
    try:
        code = app(arguments or ["--help"], prog_name="firebreak", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the last net of a command line: it says what it caught and fails
        return explain(error, output)
    if code == _INTERRUPTED:
        return explain(typer.Abort(), output)
    return code if isinstance(code, int) else Code.DONE
