"""The command line as a process: how it ends, what it says when nothing answers, what it prints where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.app import run
from cli.ending import Code, worst
from cli.text import clean, duration
from tests.cli.conftest import detail

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.usefixtures("clean_environment")]


def firebreak(*arguments: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(ROOT / "starter.py"), *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **variables},
        timeout=60,
        check=False,
    )


COMMANDS = (
    "demo", "up", "down", "env", "worker", "plan", "start", "list", "show", "watch", "approve", "deny", "retry",
    "release", "pause", "resume", "report", "doctor", "evidence list", "evidence get", "evidence verify",
    "policy check",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_each_command_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    assert "--json" in shown


def test_the_process_ends_with_the_code_and_all_output_flushed() -> None:
    made = json.dumps(detail()).encode()
    ran = firebreak("plan", "-", "--offline", "--json", stdin=made)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["paths"]
    assert firebreak("plan", "-", "--offline", stdin=b"{").returncode == 2


def test_no_server_is_one_line_with_what_to_do() -> None:
    ran = firebreak("list", TEMPORAL_ADDRESS="127.0.0.1:9")
    assert ran.returncode == 1
    assert ran.stderr.decode() == (
        "error: Temporal does not answer at 127.0.0.1:9: start the embedded stack with `firebreak up` or set "
        "TEMPORAL_ADDRESS\n"
    )
    ran = firebreak("list", "--json", TEMPORAL_ADDRESS="127.0.0.1:9")
    assert json.loads(ran.stdout)["error"]["code"] == "Unavailable"


def test_a_reader_that_went_away_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "starter.py"), "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(30)


def test_the_worst_of_several_codes() -> None:
    assert worst([]) is Code.DONE
    assert worst([0, 3]) is Code.WAITING
    assert worst([3, 4, 0]) is Code.REFUSED
    assert worst([4, 1, 3]) is Code.FAILED


def test_unexpected_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boom \x1b[31m")

    monkeypatch.setattr("cli.findings.read_given", broken)
    assert run(["plan", "x", "--offline"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: RuntimeError: boom")
    assert "\x1b" not in error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[0mb", "a\ufffd[0mb"),
        ("a\nb\tc", "a b c"),
        ("\u202eabc", "\ufffdabc"),
        ("\ud800", "\ufffd"),
        ("x" * 9, "xxxx…"),
    ],
)
def test_text_from_outside_is_made_printable(text: str, shown: str) -> None:
    assert clean(text, 5 if text.startswith("x") else 100) == shown


def test_durations_read_like_people_say_them() -> None:
    from datetime import timedelta

    assert [duration(timedelta(seconds=s)) for s in (0.212, 4.25, 185, 7800, 86400 * 3 + 4 * 3600)] == [
        "212 ms", "4.2 s", "3 min 5 s", "2 h 10 min", "3 d 4 h",
    ]  # fmt: skip
