"""`task list`, `task done`: what only people can do, and that it is done."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import By, IncidentId, Json, Reason
from cli.output import Output

app = typer.Typer(help="What only people can do for an incident: list it, say that it is done.", add_completion=False)


@app.command("list")
def list_(incident: IncidentId, json: Json = False) -> int:
    """List the tasks of an incident, the open ones first, each with the command that says that it is done.

    Example: `firebreak task list f2c3859c`
    """
    from cli.connect import run_async
    from cli.tasks import list_tasks

    return run_async(list_tasks(incident, Output(json)))


@app.command("done")
def done(
    incident: IncidentId,
    task: Annotated[str, typer.Argument(metavar="TASK", help="Its id, as `task list` shows it.", show_default=False)],
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> int:
    """Say that a task is done, and what was done. The incident is not Remediated before its last task is.

    Nobody checks it: the name and the words stand in the record. Exit codes: 0 it counts (or is queued, and it says
    so), 1 somebody said so before, or the incident is closed, 2 bad usage.

    Example: `firebreak task done f2c3859c user.rotate_secrets-1a2b3c4d --reason "new password since 14:00, OPS-82"`
    """
    from cli.connect import run_async
    from cli.tasks import finish_task

    return run_async(finish_task(incident, task, reason=reason, by=by, output=Output(json)))
