"""`approve`, `deny`, `retry`, `release`, `suppress`, `pause`, `resume`: what people tell incidents."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import By, GateName, IncidentId, Json, Reason
from cli.output import Output

Digest = Annotated[
    str,
    typer.Option(
        "--digest", help="Decide only about the plan with this digest, from `show --json`.", show_default=False
    ),
]
Nonce = Annotated[
    str,
    typer.Option("--nonce", help="With --digest: queue the decision although no worker is up.", show_default=False),
]
OptionalReason = Annotated[str, typer.Option("--reason", help="Why, for the record.", show_default=False)]


def approve(
    incident: IncidentId,
    gate: GateName = "",
    reason: Reason = "",
    image: Annotated[
        str,
        typer.Option(
            "--image",
            metavar="REPO@sha256:…",
            help="The fixed image by digest, where workloads are redeployed.",
            show_default=False,
        ),
    ] = "",
    by: By = "",
    digest: Digest = "",
    nonce: Nonce = "",
    json: Json = False,
) -> int:
    """Approve what waits at a gate. Look at it first: `firebreak show ID`.

    GATE may be left out when exactly one gate waits. The decision names the plan that it is about, so what was changed
    since cannot be approved by accident. Exit codes: 0 counted (or queued, and it says so), 1 not counted, 2 bad usage,
    4 the gate was denied or had expired.

    Example: `firebreak approve f2c3859c --reason "image rebuilt" --image registry.example/app@sha256:4f5e…`
    """
    from cli.connect import run_async
    from cli.deciding import Wish, decide
    from contracts.states import Verb

    wish = Wish(Verb.APPROVE, gate=gate, reason=reason, image=image, by=by, digest=digest, nonce=nonce)
    return run_async(decide(incident, wish, Output(json)))


def deny(
    incident: IncidentId,
    gate: GateName = "",
    reason: Reason = "",
    by: By = "",
    digest: Digest = "",
    nonce: Nonce = "",
    json: Json = False,
) -> int:
    """Deny what waits at a gate. The containment stays; `firebreak release` undoes it.

    Example: `firebreak deny f2c3859c eradicate --reason "false alarm, see OPS-81"`
    """
    from cli.connect import run_async
    from cli.deciding import Wish, decide
    from contracts.states import Verb

    wish = Wish(Verb.DENY, gate=gate, reason=reason, by=by, digest=digest, nonce=nonce)
    return run_async(decide(incident, wish, Output(json)))


def retry(
    incident: IncidentId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="Such as pod.redeploy; `show` lists them.")],
    reason: OptionalReason = "",
    by: By = "",
    json: Json = False,
) -> int:
    """Try one failed step again, or open the question of a denied or expired gate again.

    Example: `firebreak retry f2c3859c pod.redeploy`
    """
    from cli.connect import run_async
    from cli.releasing import retry_step

    return run_async(retry_step(incident, step, reason=reason, by=by, output=Output(json)))


def release(
    incident: IncidentId,
    reason: OptionalReason = "",
    by: By = "",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not stay until it is done.")] = False,
    json: Json = False,
) -> int:
    """Undo the containment and every other change of an incident, running or over.

    Each change is undone only where the object is still as it was left; what somebody changed since, or another
    incident holds, is kept and said.

    Example: `firebreak release f2c3859c --reason "false alarm"`
    """
    from cli.connect import run_async
    from cli.releasing import release_incident

    return run_async(release_incident(incident, reason=reason, by=by, wait=not no_wait, output=Output(json)))


def suppress(
    incident: IncidentId,
    reason: OptionalReason = "",
    by: By = "",
    yes: Annotated[bool, typer.Option("--yes", help="Create the filter without asking.")] = False,
    json: Json = False,
) -> int:
    """Propose a GuardDuty filter for a finding that was expected, and create it when you say so.

    The filter names the finding type, the cluster, and all that the finding says of namespace, workload and user. Look
    at what else it hides. On a terminal you are asked; elsewhere it takes --yes. `firebreak release` deletes it.

    Example: `firebreak suppress f2c3859c --reason "the scanner of the platform team, OPS-83"`
    """
    from cli.connect import run_async
    from cli.suppressing import suppress_finding

    return run_async(suppress_finding(incident, reason=reason, by=by, yes=yes, output=Output(json)))


def pause(reason: OptionalReason = "", by: By = "", json: Json = False) -> int:
    """Hold every change in the cluster, of all incidents, until `firebreak resume`.

    Example: `firebreak pause --reason "deployment freeze"`
    """
    from cli.pausing import set_paused

    return set_paused(True, reason=reason, by=by, output=Output(json))


def resume(by: By = "", json: Json = False) -> int:
    """Let changes go on after `firebreak pause`.

    Example: `firebreak resume`
    """
    from cli.pausing import set_paused

    return set_paused(False, reason="", by=by, output=Output(json))
