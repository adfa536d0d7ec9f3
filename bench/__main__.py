"""`python -m bench`: every benchmark in one run, on a stack of its own; one table, or one JSON document."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time

from bench import identify, image, node, one_pod, scale, storm
from bench.arena import arena
from bench.results import Result, document, machine, show

BENCHMARKS = {module.NAME: module.measure for module in (one_pod, storm, scale, identify, image, node)}
"""Each with its name, in the order of the table."""


async def _run(names: list[str], *, quick: bool) -> list[Result]:
    results = []
    for name in names:
        _say(f"{name} …")
        begun = time.monotonic()
        # A stack for each, because thousands of pods of one would slow down the next.
        async with arena() as place:
            results.append(await BENCHMARKS[name](place, quick=quick))
        _say(f"{name}: {time.monotonic() - begun:.0f} s")
    return results


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run what was asked for; 1 when a target is missed, so that a script can tell."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(BENCHMARKS), help="one benchmark; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, measures nothing well")
    parser.add_argument("--json", action="store_true", help="one JSON document with every figure")
    given = parser.parse_args()
    # What was started must end with the benchmark also when a build server ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    facts = machine()
    results = asyncio.run(_run(given.only or list(BENCHMARKS), quick=given.quick))
    if given.json:
        print(document(results, facts))
    else:
        show(results, facts)
    # Small sizes meet or miss nothing.
    return int(not given.quick and any(row.met is False for result in results for row in result.rows))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # As every command of Firebreak ends: Temporal's SDK can abort while the interpreter goes.
    os._exit(code)
