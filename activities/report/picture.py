"""Lays the blast radius out: columns from left to right where there is room, one column on a phone.

Nothing measures text here, so every text from outside is set in a typeface whose letters are equally wide, broken to
fit its box, and clipped by the box where a letter is wider after all.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from activities.report.blast import Box, Layer
from activities.report.words import printable

_CELL: Final = 7.3
"""Width of one letter of the monospaced typeface at 12 px."""
_LINE: Final = 16
_PAD: Final = 10
_APART: Final = 10
_HEADING: Final = 28
_WIDE: Final = 206
_GAP: Final = 46
_NARROW: Final = 318
_RAIL: Final = 22


class Text(NamedTuple):
    """One line of text, and how it is set: `kind`, `name`, `note`, `status` or `heading`."""

    x: float
    y: float
    style: str
    text: str


@dataclass(frozen=True)
class Placed:
    """A box with its place. `title` is all of its text, uncut."""

    x: float
    y: float
    width: float
    height: float
    box: Box
    title: str
    lines: tuple[Text, ...]

    @property
    def middle(self) -> float:
        """The height at which lines meet it."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Picture:
    """Everything that is drawn; the paths are data of SVG's `d`."""

    width: float
    height: float
    headings: tuple[Text, ...]
    boxes: tuple[Placed, ...]
    paths: tuple[str, ...]


def columns(layers: Sequence[Layer]) -> Picture:
    """A column for each layer."""
    heights = [sum(_height(b, _WIDE) for b in layer.boxes) + _APART * (len(layer.boxes) - 1) for layer in layers]
    tallest = max(heights)
    placed: list[list[Placed]] = []
    for n, layer in enumerate(layers):
        top = _HEADING + (tallest - heights[n]) / 2
        placed.append(list(_stack(layer.boxes, n * (_WIDE + _GAP), top, _WIDE)))
    bottom = _HEADING + tallest
    below = bottom + 18
    paths = [path for n, layer in enumerate(layers) for path in _reach(placed, n, layer.reached_from, below)]
    return Picture(
        width=len(layers) * (_WIDE + _GAP) - _GAP,
        height=(below if any(_passes(layers, n) for n in range(len(layers))) else bottom) + 4,
        headings=tuple(Text(n * (_WIDE + _GAP), 14, "heading", layer.title) for n, layer in enumerate(layers)),
        boxes=tuple(b for column in placed for b in column),
        paths=tuple(paths),
    )


def stacked(layers: Sequence[Layer]) -> Picture:
    """One column, with a rail at its left that leads from the finding to everything; a pod names its node."""
    names = {b.id: b.name for layer in layers for b in layer.boxes}
    boxes: list[Placed] = []
    headings: list[Text] = []
    y = 0.0
    for layer in layers:
        headings.append(Text(_RAIL, y + 14, "heading", layer.title))
        found = list(_stack(layer.boxes, _RAIL, y + _HEADING - 4, _NARROW, names))
        boxes += found
        y = found[-1].y + found[-1].height + 14
    rail = f"M8 {boxes[0].middle:g}V{boxes[-1].middle:g}"
    return Picture(
        width=_RAIL + _NARROW,
        height=y,
        headings=tuple(headings),
        boxes=tuple(boxes),
        paths=(rail, *(f"M8 {b.middle:g}H{_RAIL}" for b in boxes)),
    )


def _passes(layers: Sequence[Layer], column: int) -> bool:
    """Whether a layer is reached from one that does not stand beside it."""
    return layers[column].reached_from not in (None, column - 1)


def _reach(placed: Sequence[Sequence[Placed]], column: int, source: int | None, below: float) -> Iterator[str]:
    """The lines from the layer from which a column is reached."""
    if source is None:
        return
    here, there = placed[column], placed[source]
    if any(b.box.places for b in there) and source == column - 1:
        yield from _by_place(there, here)
        return
    bus = here[0].x - _GAP / 2
    ends = [b.middle for b in here]
    if source == column - 1:
        ends += [b.middle for b in there]
        yield from (f"M{b.x + b.width:g} {b.middle:g}H{bus:g}" for b in there)
    else:
        # What lies between is passed below.
        last = there[-1]
        ends.append(below)
        yield f"M{last.x + last.width / 2:g} {last.y + last.height:g}V{below:g}H{bus:g}"
    yield f"M{bus:g} {min(ends):g}V{max(ends):g}"
    yield from (f"M{bus:g} {b.middle:g}H{b.x:g}" for b in here)


def _by_place(there: Sequence[Placed], here: Sequence[Placed]) -> Iterator[str]:
    """A curve from each box to what it runs on; to the box that stands for the others when that one is hidden."""
    shown = {b.box.id: b for b in here}
    others = next((b for b in here if b.box.more), None)
    for one in there:
        for to in dict.fromkeys(shown.get(place, others) for place in one.box.places):
            if to is not None:
                x, y, bend = one.x + one.width, one.middle, _GAP / 2
                yield f"M{x:g} {y:g}C{x + bend:g} {y:g} {to.x - bend:g} {to.middle:g} {to.x:g} {to.middle:g}"


def _stack(
    boxes: Sequence[Box], x: float, y: float, width: float, names: dict[str, str] | None = None
) -> Iterator[Placed]:
    for box in boxes:
        lines = _lines(box, width, names)
        texts = tuple(Text(_PAD + 4, _PAD + 8 + n * _LINE, style, text) for n, (style, text) in enumerate(lines))
        height = len(lines) * _LINE + 2 * _PAD - 4
        title = ": ".join(filter(None, (box.kind, box.name))) + "".join(f", {t}" for t in (box.status, *box.notes) if t)
        yield Placed(x, y, width, height, box, printable(title), texts)
        y += height + _APART


def _height(box: Box, width: float) -> float:
    return len(_lines(box, width)) * _LINE + 2 * _PAD - 4


def _lines(box: Box, width: float, names: dict[str, str] | None = None) -> list[tuple[str, str]]:
    cells = int((width - 2 * _PAD - 4) / _CELL)
    lines = [("kind", box.kind)]
    lines += [("name", part) for part in broken(box.name, cells)]
    lines += [("note", shortened(note, cells)) for note in box.notes]
    if names is not None:
        places = [names[p] for p in box.places if names.get(p)]
        lines += [("note", shortened(f"on {place}", cells)) for place in places[:1] if not box.more]
    return [*lines, ("status", box.status)] if box.status else lines


def broken(text: str, cells: int) -> list[str]:
    """A text on one line or on two; where two are too few its middle is left out, because names differ at the end."""
    text = printable(text)
    if _width(text) <= cells:
        return [text] if text else []
    first = _begin(text, cells)
    mark = max(first.rfind(c) for c in "/:-. ") + 1
    first = first[:mark] if mark > len(first) // 2 else first
    return [first, shortened(text[len(first) :], cells)]


def shortened(text: str, cells: int) -> str:
    """A text on one line, its middle left out where it is too long."""
    text = printable(text)
    if _width(text) <= cells:
        return text
    end = _begin(text[::-1], (cells - 1) // 2)[::-1]
    return f"{_begin(text, cells - 1 - _width(end))}…{end}"


def _begin(text: str, cells: int) -> str:
    """As much of the beginning as fits; marks stay with their letter, for they have no width."""
    used = 0
    for n, letter in enumerate(text):
        used += _width(letter)
        if used > cells:
            return text[:n]
    return text


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )
