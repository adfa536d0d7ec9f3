"""Reading the findings that a command is given: a file or stdin, bounded, or an `InputError`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from cli.output import Output
from cli.text import clean
from errors import InputError
from findings.model import Finding
from findings.reader import MAX_BYTES, read_findings

STDIN = "-"


@dataclass(frozen=True)
class Given:
    """What was handed in."""

    findings: tuple[Finding, ...]
    many: bool
    """Whether the answer is a list: the input was one, or held several findings."""


def read_given(file: str, output: Output) -> Given:
    """Read the findings of a file, or of stdin for `-`.

    Raises:
        InputError: There is no such file, it is too long, or it is not a finding.
    """
    raw = _read(file, output)
    findings = read_findings(raw)
    many = len(findings) > 1 or raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    return Given(tuple(findings), many)


def _read(file: str, output: Output) -> bytes:
    # One byte more than is allowed is enough to know that it is too long, however long it is.
    limit = MAX_BYTES + 1
    if file == STDIN:
        if sys.stdin.isatty():
            output.say("reading a finding from the terminal; end it with Ctrl-D")
        raw = sys.stdin.buffer.read(limit)
        where = "stdin"
    else:
        try:
            with Path(file).open("rb") as stream:
                raw = stream.read(limit)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a file name"
            raise InputError("FILE", "a readable file, or - for stdin", f"{clean(file, 200)} ({reason})") from None
        where = clean(file, 200)
    if len(raw) == limit:
        raise InputError("FILE", f"at most {MAX_BYTES // (1024 * 1024)} MB of JSON", f"more in {where}")
    return raw
