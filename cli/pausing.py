"""What `pause` and `resume` do: the switch that every worker reads before each change."""

from __future__ import annotations

from activities.control import Pause, pause, read_pause, resume
from cli.embedded import use_embedded_stack
from cli.ending import Code
from cli.output import Output
from cli.signature import signed
from cli.text import clean
from clients.kubernetes import Kubernetes
from errors import TargetGone
from settings import load_settings


def set_paused(paused: bool, *, reason: str, by: str, output: Output) -> Code:
    """Throw the switch and say how it stands."""
    use_embedded_stack(output)
    settings = load_settings()
    kubernetes = Kubernetes.from_environment()
    who = signed(by)
    before = read_pause(kubernetes, settings.namespace)
    held: Pause | None = None
    if paused:
        try:
            held = pause(kubernetes, settings.namespace, by=who, reason=clean(reason, 300))
        except TargetGone:
            raise TargetGone(f"the namespace {settings.namespace} does not exist: is Firebreak installed?") from None
    elif before is not None:
        resume(kubernetes, settings.namespace)
    changed = (before is None) if paused else (before is not None)
    known = held or before
    output.result({
        "paused": paused,
        "changed": changed,
        "by": known.by if known else "",
        "reason": known.reason if known else "",
        "at": known.at if known else "",
    })  # fmt: skip
    output.line(_sentence(paused, changed, known), "bold yellow" if paused else "bold green")
    return Code.DONE


def _sentence(paused: bool, changed: bool, known: Pause | None) -> str:
    if not paused:
        return "Changes go on." if changed else "Nothing was paused."
    if changed:
        return "Paused: no incident changes anything until `firebreak resume`. What was contained stays contained."
    why = f": {clean(known.reason, 300)}" if known and known.reason else ""
    return f"Paused already, by {clean(known.by, 200) if known and known.by else 'somebody'}{why}."
