"""Starting and ending processes, with small ones instead of a cluster."""

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devstack import processes
from devstack.processes import Command
from devstack.state import StackError, StackPaths, locked_folder
from errors import InputError


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackPaths:
    monkeypatch.setenv("FIREBREAK_STATE_DIR", str(tmp_path))
    paths = StackPaths("unit")
    paths.create()
    return paths


def python(name: str, script: str, **environment: str) -> Command:
    return Command(name, [sys.executable, "-c", script], environment)


def test_a_process_has_its_own_session_environment_and_log(paths: StackPaths) -> None:
    script = "import os, sys; print(os.getsid(0) == os.getpid(), os.environ['WORD'], flush=True); sys.stdin.read()"
    record = processes.spawn(paths, python("p", script, WORD="hello"))
    log = paths.logs / "p.log"
    processes.poll("output", lambda: "hello" in log.read_text(), 10)
    assert log.read_text().strip() == "True hello"
    processes.stop(paths, processes.records(paths))
    assert record.process() is None


def test_the_shell_s_proxy_stays_outside(paths: StackPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    processes.spawn(paths, python("p", "import os; print('seen', os.environ.get('HTTPS_PROXY'))"))
    processes.poll("output", lambda: "seen" in (paths.logs / "p.log").read_text(), 10)
    assert "None" in (paths.logs / "p.log").read_text()
    processes.stop(paths, processes.records(paths))


def test_what_ignores_sigterm_is_killed(paths: StackPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.5)
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    record = processes.spawn(paths, python("p", script))
    processes.poll("output", lambda: "on" in (paths.logs / "p.log").read_text(), 10)
    processes.stop(paths, [record])
    assert record.process() is None
    assert processes.records(paths) == []


def test_a_later_process_with_the_same_pid_is_not_ours(paths: StackPaths) -> None:
    record = processes.spawn(paths, python("p", "input()"))
    ours = replace(record, pid=os.getpid())
    assert ours.process() is None
    processes.stop(paths, [ours, record])


def test_waiting_ends_with_the_process_and_shows_its_log(paths: StackPaths) -> None:
    record = processes.spawn(paths, python("p", "raise SystemExit('no such flag')"))
    with pytest.raises(StackError, match=r"p ended before readiness; log .*p\.log: no such flag"):
        processes.await_condition("readiness", lambda: False, paths=paths, record=record, timeout=30)


def test_waiting_ends_in_time(paths: StackPaths) -> None:
    record = processes.spawn(paths, python("p", "import time; time.sleep(60)"))
    with pytest.raises(StackError, match=r"no readiness within 0 s; log .*: empty"):
        processes.await_condition("readiness", lambda: False, paths=paths, record=record, timeout=0.1)
    processes.stop(paths, [record])


def test_a_process_without_a_record_is_found_by_its_mark(paths: StackPaths) -> None:
    record = processes.spawn(paths, python("p", "import time; print('on', flush=True); time.sleep(60)"))
    processes.poll("output", lambda: "on" in (paths.logs / "p.log").read_text(), 10)
    assert processes.strays(paths) == []
    (paths.pids / "p.json").unlink()
    [stray] = processes.strays(paths)
    assert stray.pid == record.pid
    processes.stop(paths, [stray])
    assert record.process() is None


def test_a_kill_is_at_once(paths: StackPaths) -> None:
    record = processes.spawn(paths, python("p", "import time; time.sleep(60)"))
    processes.kill(paths, record)
    assert record.process() is None
    assert processes.records(paths) == []


def test_a_missing_program_is_named(paths: StackPaths) -> None:
    with pytest.raises(StackError, match="p cannot be started"):
        processes.spawn(paths, Command("p", [str(paths.root / "missing")], {}))


def test_ports_are_distinct() -> None:
    ports = processes.free_ports(50)
    assert len(set(ports)) == 50


@pytest.mark.parametrize("name", ["", "Upper", "-x", "a/b", "..", "x" * 41])
def test_names_that_are_no_folder_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="name"):
        StackPaths(name)


def test_a_folder_that_goes_while_it_is_made_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stack"
    original = Path.mkdir
    refused = iter([FileExistsError(17, "File exists")])

    def mkdir(path: Path, *arguments: Any, **more: Any) -> None:
        for error in refused:
            raise error
        original(path, *arguments, **more)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with locked_folder(folder):
        assert folder.is_dir()


def test_what_is_no_folder_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "stack").touch()
    with pytest.raises(FileExistsError), locked_folder(tmp_path / "stack"):
        pytest.fail("a file was taken for a folder")


def test_a_waiter_notices_that_the_folder_was_removed_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    order: list[str] = []

    def wait() -> None:
        with locked_folder(folder):
            order.append("second")
            assert folder.is_dir()

    waiter = threading.Thread(target=wait)
    with locked_folder(folder):
        waiter.start()
        order.append("first")
        folder.rmdir()
    waiter.join(timeout=10)
    assert order == ["first", "second"]
