"""How the demo speaks: titles and lines on stderr, so that stdout holds nothing but the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.text import Text

from cli.output import Output
from cli.text import clean

if TYPE_CHECKING:
    from devstack.stack import StackInfo

State = Mapping[str, str]
"""What a scene looks at, and what is there now; both in words of our own around names that the demo made."""


class Teller:
    """Tells one demo."""

    def __init__(self, output: Output, info: StackInfo) -> None:
        self.output = output
        self.info = info

    def title(self, text: str) -> None:
        """A new part of a scene."""
        self.output.err.print(Text(f"\n{text}", style="bold underline"))

    def tell(self, text: str, style: str = "") -> None:
        """One line."""
        self.output.say(f"  {text}", style=style)

    def state(self, when: str, now: State, before: State | None = None) -> None:
        """What the cluster and the account hold; what differs from before is marked."""
        self.tell(f"{when}:", "bold")
        width = max((len(name) for name in now), default=0)
        for name, value in now.items():
            moved = before is not None and before.get(name) != value
            self.tell(f"  {name:<{width}}  {clean(value, 160)}", "yellow" if moved else "dim")

    def page(self, incident: str) -> str:
        """The incident's page in the Temporal UI."""
        return f"{self.info.temporal_ui}/namespaces/default/workflows/{quote(incident, safe='')}"

    def quiet(self) -> Output:
        """For commands that are used on the way: only the demo's own result may reach stdout."""
        return Output(silent=True)
