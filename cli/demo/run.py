"""What `demo` does: the stage, a worker, and the scenes that were asked for."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from cli.connect import connect, run_async
from cli.demo.configuration import ConfigurationScene
from cli.demo.image import ImageScene
from cli.demo.incidents import Incidents
from cli.demo.node import NodeScene
from cli.demo.pod import PodScene
from cli.demo.stage import DemoError, Worker, await_worker, stage, worker_process
from cli.demo.telling import Teller
from cli.demo.user import UserScene
from cli.ending import Code
from cli.output import Output
from errors import InputError

if TYPE_CHECKING:
    from devstack.kube import KubeApi
    from devstack.stack import StackInfo


class _Plays(Protocol):
    async def play(self) -> tuple[Code, dict[str, JsonValue]]:
        """Play the scene."""
        ...


SCENES: dict[str, Callable[[Teller, Incidents, KubeApi], _Plays]] = {
    "pod": PodScene,
    "configuration": ConfigurationScene,
    "user": UserScene,
    "image": ImageScene,
    "node": NodeScene,
}
"""By path."""
ALL = "all"
_SCENE_SECONDS = 300.0
"""An incident waits without end for what does not answer. Somebody who watches sees it, a build server does not."""


def demonstrate(path: str, approve: str, *, keep: bool, output: Output) -> Code:
    """Run the demo."""
    if path not in (*SCENES, ALL):
        raise InputError("--path", f"one of {', '.join((*SCENES, ALL))}", path[:40])
    if approve not in ("ask", "auto"):
        raise InputError("--approve", "ask or auto", approve[:40])
    if approve == "ask" and not sys.stdin.isatty():
        raise InputError("--approve", "auto, because there is no terminal to ask in", "ask")
    leave = keep or approve == "ask"
    # What was started must end with the demo also when a build server ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with stage(output, leave=leave) as info, worker_process(info) as worker:
        code = run_async(_play(path, output, info, worker, ask=approve == "ask"))
    if leave:
        output.line(f"\nThe stack still runs: Temporal UI {info.temporal_ui}, `firebreak list --all`.")
        output.line("For more incidents start a worker: firebreak worker.   To take everything down: firebreak down")
    return code


async def _play(path: str, output: Output, info: StackInfo, worker: Worker, *, ask: bool) -> Code:
    """Play one scene, or all of them one after another; the result of one stands alone."""
    from devstack.kube import KubeApi

    teller = Teller(output, info)
    admin = KubeApi.from_kubeconfig(info.kubeconfig_admin)
    client = await connect(output)
    await await_worker(client, worker)
    incidents = Incidents(teller, client, Path(tempfile.mkdtemp(prefix="firebreak-demo-")), ask=ask)
    worst, documents = Code.DONE, {}
    for name in SCENES if path == ALL else (path,):
        try:
            async with asyncio.timeout(None if ask else _SCENE_SECONDS):
                code, documents[name] = await SCENES[name](teller, incidents, admin).play()
        except TimeoutError:
            text = f"scene {name} did not come to its end within {_SCENE_SECONDS:g} s; the worker's log is {worker.log}"
            raise DemoError(text) from None
        worst = max(worst, code)
    whole: dict[str, JsonValue] = {"ok": worst is Code.DONE, "paths": {**documents}}
    output.result(whole if path == ALL else documents[path])
    return worst
