"""What is said where there can be no real node; nothing is installed or started here."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.app import run
from devstack import stack
from devstack.real_node import __main__ as preparation
from devstack.real_node import cgroups, packages, preconditions
from devstack.state import StackError


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of root's, with Linux, on which no program is installed; programs can be put into this folder."""
    monkeypatch.setattr(preconditions, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(packages, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(preconditions, "PLUGIN_FOLDER", str(tmp_path / "cni"))
    monkeypatch.setattr(preconditions, "_obstacle_of_system", lambda: "")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


@pytest.fixture
def apt(bare: Path) -> Callable[[str], Path]:
    """Installs a stand-in for apt-get that writes its arguments down, and then does what it is told."""

    def install(script: str) -> Path:
        log = bare / "log"
        program = bare / "apt-get"
        program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{script}\n')
        program.chmod(0o755)
        return log

    return install


def test_everything_missing_is_named_at_once_with_the_way_to_get_it(bare: Path) -> None:
    with pytest.raises(StackError) as caught:
        preconditions.check_machine()
    message = caught.value.message
    for name in ("containerd", "ctr", "runc", "iptables", "nsenter", "bridge", "portmap", "a static busybox"):
        assert name in message
    assert "apt-get install containerd runc iptables" in message
    assert "containernetworking-plugins busybox-static" in message


def test_only_root_can_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert preconditions.obstacle() in ("it needs root", "it needs Linux")


def test_the_command_says_so_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIREBREAK_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(preconditions, "obstacle", lambda: "missing: runc (runc). On Debian: apt-get install runc")
    assert run(["up", "--real-node"]) == 1
    assert "no real node on this machine: missing: runc (runc). On Debian: apt-get install runc" in " ".join(
        capsys.readouterr().err.split()
    )
    assert stack.info("default") is None
    assert list(tmp_path.iterdir()) == []


def test_a_busybox_with_libraries_does_not_count(bare: Path) -> None:
    (bare / "busybox").symlink_to("/bin/ls")
    assert preconditions.static_busybox() is None


def test_preparing_asks_apt_for_what_is_missing_only(bare: Path, apt: Callable[[str], Path]) -> None:
    for program in ("containerd", "containerd-shim-runc-v2", "ctr", "ip", "mount", "unshare", "nsenter"):
        (bare / program).touch(mode=0o755)
    log = apt("")
    lines: list[str] = []
    packages.install_packages(lines.append)
    wanted = "runc iptables containernetworking-plugins busybox-static"
    assert log.read_text() == f"install --yes --no-install-recommends {wanted}\n"
    assert lines == [f"installing for the real node: {wanted}"]


def test_lists_of_packages_are_fetched_when_they_are_missing(bare: Path, apt: Callable[[str], Path]) -> None:
    log = apt(f'if [ "$1" = update ]; then touch {bare}/lists; fi; test -e {bare}/lists')
    packages.install_packages(lambda _line: None)
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["install", "update", "install"]


def test_preparing_goes_on_without_and_says_why(
    bare: Path, apt: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    apt("echo E: no network >&2; exit 100")
    preparation.main()
    said = capsys.readouterr().err
    assert "apt-get could not install containerd runc" in said
    assert "E: no network" in said
    assert "its tests will be skipped: missing: containerd" in said


def test_switched_off_nothing_is_installed(
    bare: Path, apt: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = apt("")
    monkeypatch.setenv("FIREBREAK_TEST_REAL_NODE", "off")
    preparation.main()
    assert not log.exists()
    assert "FIREBREAK_TEST_REAL_NODE=off" in capsys.readouterr().err


@pytest.mark.parametrize("version", [1, 2])
def test_missing_cgroup_controllers_are_named(tmp_path: Path, version: int) -> None:
    if version == 2:
        (tmp_path / "cgroup.controllers").write_text("cpuset cpu io pids\n")
    else:
        for name in ("cpu", "cpuset", "pids", "cpuacct", "devices", "freezer"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "tasks").touch()
    assert cgroups.missing(tmp_path) == ["memory"]
