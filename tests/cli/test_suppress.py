"""Whoever is not at a terminal is not asked, and so creates nothing without saying so."""

from __future__ import annotations

import sys

import pytest
import typer

from cli.output import Output
from cli.suppressing import asked


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that were asked; each is answered with yes, at a terminal."""
    questions: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        questions.append(question)
        return True

    monkeypatch.setattr(typer, "confirm", confirm)
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    return questions


def test_a_person_at_a_terminal_is_asked_once_there_is_a_reason(answers: list[str]) -> None:
    assert asked("our scanner", Output())
    assert answers == ["Create this filter?"]
    assert not asked(" ", Output())
    assert len(answers) == 1


def test_a_program_is_never_asked(answers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not asked("our scanner", Output(json=True))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert not asked("our scanner", Output())
    assert answers == []
