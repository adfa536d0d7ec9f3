"""What a command prints: for people on a terminal, or one JSON document for machines.

Results go to stdout, progress and errors to stderr. Markup is off everywhere, so that brackets in a name stay
brackets; whoever prints text from outside passes it through `cli.text.clean` first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from pydantic import JsonValue
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

_WIDTH = 100
"""Everything is laid out to be readable in so many columns, in a ticket as on a terminal."""


def _console(stream: IO[str]) -> Console:
    console = Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=False)
    if not console.is_terminal or console.width > _WIDTH:
        console.width = _WIDTH
    return console


class Output:
    """Where one command prints.

    Attributes:
        json: Whether stdout carries JSON documents instead of text.
        silent: Whether results are not printed at all; for a command that uses others on its way.
        out, err: The consoles of stdout and stderr.
    """

    def __init__(self, json: bool = False, *, silent: bool = False) -> None:
        self.json = json
        self.silent = silent
        # A character that the terminal's encoding lacks is shown as a question mark instead of ending the command.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        self.out = _console(sys.stdout)
        self.err = _console(sys.stderr)

    def document(self, document: JsonValue) -> None:
        """One JSON document on one line of stdout. ASCII only: nothing in it can drive a terminal."""
        sys.stdout.write(json.dumps(document, ensure_ascii=True) + "\n")
        sys.stdout.flush()

    def raw(self, data: bytes) -> None:
        """A file as it is, to the byte, on stdout."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def show(self, *parts: RenderableType) -> None:
        """Print for people; nothing in JSON mode."""
        if not self.json and not self.silent:
            for part in parts:
                self.out.print(part, crop=False)

    def line(self, text: str, style: str = "") -> None:
        """One line for people that is never wrapped, so that a command in it can be copied."""
        if not self.json and not self.silent:
            self.out.print(Text(text, style=style), soft_wrap=True)

    def result(self, document: JsonValue, *parts: RenderableType) -> None:
        """The command's result: the document in JSON mode, else the parts."""
        if self.json:
            self.document(document)
        else:
            self.show(*parts)

    def say(self, text: str, style: str = "dim") -> None:
        """Progress and remarks, on stderr in either mode."""
        self.err.print(Text(text, style=style), soft_wrap=True)

    @contextmanager
    def live(self, on: Console | None = None) -> Iterator[Live | None]:
        """A region of stderr (or of `on`) that can be redrawn, or None where that is no terminal."""
        console = on or self.err
        if not console.is_terminal:
            yield None
            return
        with Live(console=console, auto_refresh=False, transient=True) as region:
            yield region
