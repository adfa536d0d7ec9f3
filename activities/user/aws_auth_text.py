"""The lists of aws-auth are YAML inside of strings: taking rows out of one, and putting them back.

Rows are cut out of the text line by line, so that every other byte stays: comments, order, quotes, line ends. Where the
text is not written that way (all in braces, for one), ruamel.yaml writes it anew and keeps comments and order. Either
way the result is parsed and compared with what it must mean before anybody gets to see it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from pydantic import JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import BlockEntryToken

from errors import InputError
from plans.yamltext import read_plain

Row = dict[str, JsonValue]
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_NO_CONTENT: Final = re.compile(r"\s*(#.*)?\s*")
_EMPTY_LIST: Final = re.compile(r"(?m)^\[\][ \t]*\r?\n?")


class Taken(NamedTuple):
    """A row that was taken out: where it stood, what it said, and its lines."""

    at: int
    row: Row
    lines: str


def rows_of(text: str, what: str) -> list[Row]:
    """The rows of a list.

    Args:
        text: The YAML.
        what: What it is, for messages.

    Raises:
        InputError: It is no YAML, or no list of mappings.
    """
    rows = read_plain(text, what)
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(what, "a list of mappings", type(rows).__name__)
    return [row for row in rows if isinstance(row, dict)]


def without_rows(text: str, wanted: Iterable[int], what: str) -> tuple[str, list[Taken]]:
    """The text without some rows, and the rows.

    Raises:
        InputError: It cannot be read, or not be edited without changing what the other rows mean.
    """
    rows, gone = rows_of(text, what), sorted(wanted)
    chunks = _chunks(text, len(rows))
    expected = [row for i, row in enumerate(rows) if i not in gone]

    def cut() -> str:
        kept, position = [], 0
        for i in gone:
            start, end = chunks[i]
            kept.append(text[position:start])
            position = end
        left = "".join(kept) + text[position:]
        return left if expected else _ended(left) + f"[]{_line_end(text)}"

    def write(data: Any) -> None:
        for i in reversed(gone):
            del data[i]

    result = _first_that_means(expected, what, [cut] if chunks else [], lambda: _rewritten(text, write))
    taken = [Taken(i, rows[i], text[slice(*chunks[i])] if chunks else "") for i in gone]
    return result, taken


def with_rows(text: str, taken: Sequence[Taken], what: str) -> str:
    """The text with rows put back where they stood, as far as that place is still there; those that stand stay.

    Raises:
        InputError: It cannot be read, or not be edited without changing what the other rows mean.
    """
    for row in sorted(taken, key=lambda t: t.at):
        rows = rows_of(text, what)
        if row.row not in rows:
            text = _with_row(text, rows, row, what)
    return text


def _with_row(text: str, rows: list[Row], taken: Taken, what: str) -> str:
    at = min(taken.at, len(rows))
    expected = [*rows[:at], taken.row, *rows[at:]]
    starts = [start for start, _ in _chunks(text, len(rows))]

    def insert() -> str:
        lines = _ended(taken.lines)
        if not rows:
            return _EMPTY_LIST.sub("", _ended(text), count=1) + lines
        lines = _indented(lines, text[starts[0] :])
        if at == len(rows):
            return _ended(text) + lines
        return text[: starts[at]] + lines + text[starts[at] :]

    def write(data: Any) -> None:
        data.insert(at, dict(taken.row))

    by_lines = bool(taken.lines) and (bool(starts) or not rows)
    return _first_that_means(expected, what, [insert] if by_lines else [], lambda: _rewritten(text, write))


def _first_that_means(
    expected: list[Row], what: str, attempts: list[Callable[[], str]], last: Callable[[], str]
) -> str:
    for attempt in (*attempts, last):
        try:
            result = attempt()
            if rows_of(result, what) == expected:
                return result
        except (InputError, YAMLError, TypeError, AttributeError):
            # The next way may do; if none does, that is said below.
            continue
    raise InputError(what, "a list whose rows can be taken out one by one", "one in which they hang together")


def _chunks(text: str, count: int) -> list[tuple[int, int]]:
    """Where each row's lines begin and end; nothing when the list is not written with one dash a row."""
    if not count:
        return []
    dashes = [t.start_mark for t in YAML(typ="safe", pure=True).scan(text) if isinstance(t, BlockEntryToken)]
    starts = [text.rfind("\n", 0, d.index) + 1 for d in dashes if d.column == dashes[0].column]
    if len(starts) != count:
        return []
    ends = [*starts[1:], len(text)]
    return [(start, start + _content(text[start:end])) for start, end in zip(starts, ends, strict=True)]


def _content(chunk: str) -> int:
    """How much of a chunk is the row: comments and blank lines behind it belong to what follows."""
    lines = _LINE.findall(chunk)
    while len(lines) > 1 and _NO_CONTENT.fullmatch(lines[-1]):
        lines.pop()
    return sum(len(line) for line in lines)


def _rewritten(text: str, edit: Callable[[Any], None]) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    data = yaml.load(text) or []
    edit(data)
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def _indented(lines: str, beside: str) -> str:
    """Lines with the indentation of those beside which they are to stand."""
    old = len(lines) - len(lines.lstrip(" "))
    new = len(beside) - len(beside.lstrip(" "))
    if old == new:
        return lines
    return "".join(" " * new + line[old:] if line.strip() else line for line in _LINE.findall(lines))


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + _line_end(text)


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
