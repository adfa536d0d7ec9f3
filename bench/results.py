"""What a benchmark hands back, and how it is shown: one table for people, one document for machines."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

MB = 1_000_000


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where the line has no target and only explains another one."""

    what: str
    measured: str
    beside: str = ""
    target: str = ""
    met: bool | None = None


@dataclass
class Result:
    """One benchmark: its lines, a table of detail for people, and every figure for machines."""

    name: str
    rows: list[Row] = field(default_factory=list)
    details: list[Table] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent lie, interpolated between its neighbours."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def ms(seconds: float) -> str:
    """A duration for the table."""
    return f"{seconds:.2f} s" if seconds >= 10 else f"{seconds * 1000:,.0f} ms"


def machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was before they were."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "load_at_start": [round(load, 2) for load in os.getloadavg()],
        "memory_mb": memory // MB,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def show(results: Sequence[Result], facts: dict[str, Any]) -> None:
    """Print the table, and below it where the time goes."""
    # A file or a pipe has no width of its own, and 80 columns would break every cell.
    console = Console(width=None if sys.stdout.isatty() else 170)
    load = ", ".join(str(part) for part in facts["load_at_start"])
    table = Table(
        title=f"{facts['cores']} cores, {facts['memory_mb']:,} MB, load {load} at the start, Python {facts['python']}"
    )
    for column in ("benchmark", "what", "measured", "beside it, in the same run", "target", "met"):
        table.add_column(column)
    for result in results:
        for number, row in enumerate(result.rows):
            met = "" if row.met is None else "[green]yes" if row.met else "[red]no"
            table.add_row("" if number else result.name, row.what, row.measured, row.beside, row.target, met)
        table.add_section()
    console.print(table)
    for result in results:
        for detail in result.details:
            console.print(detail)


def document(results: Sequence[Result], facts: dict[str, Any]) -> str:
    """The same for machines."""
    content = {
        "machine": facts,
        "benchmarks": {r.name: {"rows": [asdict(row) for row in r.rows], "figures": r.figures} for r in results},
    }
    return json.dumps(content, indent=2)
