"""The documentation against the source: links lead somewhere, and what the source names is described."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

import errors
from cli.app import app
from cli.collection import Collection
from cli.reading import Brief, Reading, Source
from cli.view import incident_document
from contracts.activities import CollectProgress
from contracts.names import Handler
from contracts.states import Containment, GateState, IncidentState, StepState
from contracts.timing import TIMINGS
from plans.policy import Policy
from settings import Settings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],  # noqa: S607 - git is on PATH.
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_CODE = re.compile(r"^(?: {4}.*|```.*?^```.*?)$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_MACHINE = re.compile(r"(?<![\w/.])/(?:work|root|tmp|Users|home/(?!temporal\b))[/\w]*")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#{1,6} +(.+?)\s*$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in _LINK.findall(re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_no_path_of_somebodys_machine(path: Path) -> None:
    assert _MACHINE.findall(path.read_text()) == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in DOCUMENTS if p.is_relative_to(ROOT / "docs")]
    # The page on the benchmarks is reached through its folder, which the index names.
    itself = {"README.md", "how-to/benchmarks.md"}
    assert [p for p in pages if p not in itself and f"]({p})" not in index] == []


def commands(command: Any, name: str = "") -> Iterator[str]:
    # Typer brings its own copy of click, so that a type of click's would match nothing.
    children = getattr(command, "commands", None)
    if children is None:
        yield name
        return
    for child, sub in children.items():
        yield from commands(sub, f"{name} {child}".strip())


def test_every_command_is_described() -> None:
    text = (REFERENCE / "cli.md").read_text()
    found = list(commands(typer.main.get_command(app)))
    assert "evidence verify" in found
    assert [c for c in found if not re.search(rf"firebreak {c}\b", text)] == []


def test_every_setting_is_described() -> None:
    text = (REFERENCE / "settings.md").read_text()
    assert [f for f in Settings.model_fields if f"`FIREBREAK_{f.upper()}`" not in text] == []


def test_every_error_is_described() -> None:
    text = (REFERENCE / "errors.md").read_text()
    codes = [e.code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.FirebreakError)]
    assert [c for c in codes if f"`{c}`" not in text] == []


def names_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from names_in(one)


def test_every_key_of_an_incident_is_described() -> None:
    brief = Brief("i", "r", True, "running", "f", "t", 8.0, "c", "s", ("eradicate",), datetime.now(UTC), None)
    reading = Reading(Source.VISIBILITY, brief, collections=(Collection("pod.collect", CollectProgress()),))
    found = set(names_in(incident_document(reading)))
    assert {"collection", "artefacts", "waves", "pod_count"} <= found
    section = re.search(r"^## show$.*?^## ", (REFERENCE / "cli.md").read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None
    assert [k for k in sorted(found) if f'"{k}"' not in section[0]] == []


def test_every_state_is_described() -> None:
    text = (REFERENCE / "errors.md").read_text()
    states = [s.value for kind in (IncidentState, Containment, GateState, StepState) for s in kind]
    assert [s for s in states if f"`{s}`" not in text] == []


def test_every_activity_and_handler_is_described() -> None:
    timing, messages = ((REFERENCE / f"{name}.md").read_text() for name in ("timing", "messages"))
    assert [a.value for a in TIMINGS if f"`{a.value}`" not in timing] == []
    assert [h.value for h in Handler if f"`{h.value}`" not in messages] == []


def keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind)


def test_every_key_of_the_policy_is_described() -> None:
    # Within code, since "set" and "when" are words as well.
    code = " ".join(_CODE.findall((REFERENCE / "policy.md").read_text()))
    assert [k for k in sorted(set(keys(Policy))) if not re.search(rf"\b{k}\b", code)] == []
