"""`up`, `down`, `env`: the embedded stack. `worker`: the process that carries incidents out."""

from __future__ import annotations

import os
import shlex
from typing import Annotated

import typer

from cli.embedded import DEFAULT_STACK, environment_of, running_stack, start_stack, stop_stack, use_embedded_stack
from cli.ending import Code
from cli.options import Json, StackName
from cli.output import Output
from errors import InputError


def up(
    name: StackName = DEFAULT_STACK,
    real_node: Annotated[
        bool,
        typer.Option("--real-node", help="Add a node that runs containers: needs root, Linux and containerd."),
    ] = False,
    json: Json = False,
) -> int:
    """Start the embedded stack: Temporal, Kubernetes and a stand-in for AWS, all on this machine.

    The first start builds Kubernetes, which takes some minutes; later ones take seconds. A stack that runs already is
    left as it is.

    The stack's nodes are played: their pods run no containers. With --real-node one more node is real; what is
    missing for it on this machine is named, and nothing is installed.

    Example: `firebreak up`, then `firebreak worker` in another terminal, then `firebreak start finding.json`.
    """
    output = Output(json)
    info = start_stack(name, output.say, real_node=real_node)
    document = {"name": info.name, "temporal_ui": info.temporal_ui, "real_node": info.real_node}
    output.result({**document, "environment": dict(environment_of(info))})
    output.line(f"Stack {info.name} is up.", "bold green")
    output.line(f"  Temporal UI   {info.temporal_ui}")
    output.line(f"  Kubernetes    KUBECONFIG={shlex.quote(str(info.kubeconfig_admin))}")
    output.line(f"  AWS stand-in  {info.aws_endpoint}")
    if info.real_node:
        output.line(f"  Real node     {info.real_node}")
    suffix = "" if name == DEFAULT_STACK else f" --name {name}"
    if name == DEFAULT_STACK:
        output.line("Every firebreak command uses it until you configure something else. Next: firebreak worker")
    output.line(f'For other tools: eval "$(firebreak env{suffix})"   To stop it: firebreak down{suffix}')
    return Code.DONE


def down(name: StackName = DEFAULT_STACK, json: Json = False) -> int:
    """Stop the embedded stack and remove everything that it kept.

    Example: `firebreak down`
    """
    output = Output(json)
    was_running = running_stack(name) is not None
    stop_stack(name)
    output.result({"name": name, "was_running": was_running})
    output.line(f"Stack {name} is down; nothing of it is left." if was_running else f"Stack {name} was not running.")
    return Code.DONE


def env(name: StackName = DEFAULT_STACK, json: Json = False) -> int:
    """Print the variables that lead other tools to the embedded stack.

    Example: `eval "$(firebreak env)"`, after which `kubectl get pods -A` and `temporal workflow list` look into it.
    """
    output = Output(json)
    info = running_stack(name)
    if info is None:
        raise InputError("--name", "a stack that runs; start it with `firebreak up`", name)
    variables = environment_of(info)
    output.result(dict(variables))
    for key, value in variables.items():
        output.line(f"export {key}={shlex.quote(value)}")
    return Code.DONE


def worker(
    stack: Annotated[
        str, typer.Option("--name", help="Work for the embedded stack of this name.", show_default=False)
    ] = "",
    json: Json = False,
) -> int:
    """Run a worker: it carries incidents out. At least one must run; several share the work.

    It stops on Ctrl-C or SIGTERM after finishing what it has begun. Its log goes to stderr, as JSON with --json or
    with FIREBREAK_LOG_FORMAT=json.

    Example: `firebreak worker`
    """
    output = Output(json)
    if stack:
        info = running_stack(stack)
        if info is None:
            raise InputError("--name", f"a stack that runs; start it with `firebreak up --name {stack}`", stack)
        os.environ.update(environment_of(info))
    else:
        use_embedded_stack(output)
    # A person's terminal gets lines to read, unless the installation asked for something else.
    os.environ.setdefault("FIREBREAK_LOG_FORMAT", "json" if json or not output.err.is_terminal else "console")

    from cli.connect import run_async
    from cli.working import work

    return run_async(work(output))
