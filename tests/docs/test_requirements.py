"""The table of requirements against the source: every id once, every step and every test of it exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path as FilePath
from typing import NamedTuple

import pytest

from contracts.steps import VERBS
from plans.model import Path
from plans.planner import UNBUILT_STEPS

ROOT = FilePath(__file__).parents[2]
IDS = (
    *(f"G{n}" for n in range(1, 6)),
    *(f"C{n}" for n in range(1, 5)),
    *(f"U{n}" for n in range(1, 9)),
    *(f"P{n}" for n in range(1, 10)),
    *(f"I{n}" for n in range(1, 6)),
    *(f"N{n}" for n in range(1, 5)),
)
"""Every requirement of GuardDuty's guide on EKS audit logs, as this project numbers them."""
NOT_YET = "not yet"
PURE = {
    "G2": "It reads the finding, and changes nothing that could be looked at before and after.",
    "G5": "It chooses paths from the finding; what they change is shown on their own rows.",
}
"""What needs no end-to-end test, and why."""
_STEP = re.compile(r"`((?:configuration|user|pod|image|node|triage)\.[a-z_]+)`( \(not yet\))?")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_RELEASE = re.compile(r"incident\.release\(|firebreak\('release'")
_MODULE = re.compile(r"\]\(\.\./\.\./([\w/]+\.py)\)")


class Row(NamedTuple):
    id: str
    done_by: str
    shown_by: str


def rows() -> list[Row]:
    text = (ROOT / "docs" / "reference" / "requirements.md").read_text()
    found = re.findall(r"^\| ([A-Z]\d) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    return [Row(*row) for row in found]


@cache
def planned_steps() -> frozenset[str]:
    """Every step that some plan can have: `action` of a draft, by the file of its path."""
    found = set()
    for file in (ROOT / "plans" / "paths").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            # What several paths draft alike stands in files of other names.
            if not isinstance(node, ast.Call) or file.stem not in set(Path):
                continue
            words = [k.value for k in node.keywords if k.arg == "action"]
            words += node.args[1:2] if getattr(node.func, "id", "") == "_step" else []
            for word in words:
                if isinstance(word, ast.Constant) and isinstance(word.value, str) and word.value:
                    found.add(f"{file.stem}.{word.value}")
    return frozenset(found)


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, kinds) and n.name.startswith("test_"))


def body(file: str, name: str) -> list[str]:
    """The text of one test."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        ast.unparse(n) for n in ast.parse((ROOT / file).read_text()).body if isinstance(n, kinds) and n.name == name
    ]


def test_every_requirement_stands_once_and_in_order() -> None:
    assert [row.id for row in rows()] == list(IDS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_what_does_it_exists_and_a_test_shows_it(row: Row) -> None:
    steps = [step for step, _ in _STEP.findall(row.done_by)]
    modules = _MODULE.findall(row.done_by)
    assert [step for step in steps if step not in planned_steps() | set(VERBS)] == []
    assert [m for m in modules if not (ROOT / m).is_file()] == []
    shown = _TEST.findall(row.shown_by)
    assert [f"{file}::{name}" for file, name in shown if name not in names_in(file)] == []
    if NOT_YET not in row.done_by:
        assert steps or modules
        assert shown


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_a_whole_incident_shows_it(row: Row) -> None:
    whole = [file for file, _ in _TEST.findall(row.shown_by) if file.startswith("tests/e2e/")]
    assert bool(whole) != (row.id in PURE), PURE.get(row.id, "a whole incident must show it, from the finding on")


@pytest.mark.parametrize("row", [r for r in rows() if r.id not in PURE], ids=lambda row: row.id)
def test_one_of_these_incidents_is_released_by_command_and_looked_at_again(row: Row) -> None:
    """What stands behind `release` is looked at: a test that ends with it shows nothing of it."""
    bodies = [
        b for file, name in _TEST.findall(row.shown_by) if file.startswith("tests/e2e/") for b in body(file, name)
    ]
    assert any(_RELEASE.search(body) and "assert" in _RELEASE.split(body, maxsplit=1)[-1] for body in bodies)


def test_what_is_not_built_yet_is_exactly_what_is_said_to_be() -> None:
    marked = {step for row in rows() for step, later in _STEP.findall(row.done_by) if later}
    assert marked == UNBUILT_STEPS


def test_every_step_belongs_to_a_requirement() -> None:
    named = {step for row in rows() for step, _ in _STEP.findall(row.done_by)}
    # What several paths do alike, by one activity, is named on one of them.
    carried_out = {VERBS[step] for step in named if step in VERBS}
    assert {step for step, activity in VERBS.items() if activity not in carried_out} == set()
    assert planned_steps() - named - set(VERBS) - {"triage.review"} == set()
