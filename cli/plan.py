"""`plan`: what would be done about a finding. It changes nothing."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import JsonValue

from cli.ending import Code
from cli.options import FindingFile, Json
from cli.output import Output


def plan(
    file: FindingFile,
    offline: Annotated[bool, typer.Option("--offline", help="Ask neither the cluster nor AWS.")] = False,
    act_on_sample: Annotated[
        bool, typer.Option("--act-on-sample", help="Plan for a sample finding as for a real one.")
    ] = False,
    json: Json = False,
) -> int:
    """Show what would be done about a finding, step by step, and why. It changes nothing.

    Without --offline GuardDuty is asked whether the finding is real, and cluster and AWS what it would hit: each step
    then says what it would change now.

    Example: `firebreak plan finding.json --offline`
    """
    output = Output(json)

    from cli.findings import read_given
    from cli.plan_screen import Previews, plan_screen
    from cli.policy_file import load_policy_file
    from plans.document import plan_document
    from plans.planner import make_plan
    from settings import load_settings

    given = read_given(file, output)
    if offline:
        policy = load_policy_file(load_settings().policy)
        plans = [
            (make_plan(finding, None, policy, act_on_sample=act_on_sample), Previews()) for finding in given.findings
        ]
    else:
        from cli.assessing import assess_without_acting

        plans = assess_without_acting(given.findings, act_on_sample, output)
    documents: list[JsonValue] = [
        {**plan_document(made), "previews": {step: [*said] for step, said in previews.items()}}
        for made, previews in plans
    ]
    if json:
        output.document(documents if given.many else documents[0])
    for made, previews in plans:
        output.show(plan_screen(made, previews))
    return Code.DONE
