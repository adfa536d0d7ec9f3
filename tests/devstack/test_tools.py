"""Where the control plane's programs come from; no build happens here."""

from pathlib import Path

import pytest

from devstack import tools
from devstack.state import StackError


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tools, "tools_folder", lambda: tmp_path / "cache" / "key")


def test_assets_come_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    for program in tools.PROGRAMS:
        executable(tmp_path / "path" / program)
    executable(tmp_path / "assets" / "etcd")
    found = tools.ensure_tools()
    assert found["etcd"] == tmp_path / "assets" / "etcd"
    assert found["kwok"] == tmp_path / "path" / "kwok"


def test_an_incomplete_set_does_not_count(tmp_path: Path) -> None:
    for program in tools.PROGRAMS[1:]:
        executable(tmp_path / "path" / program)
    assert tools.find_tools() is None


def test_the_cache_is_used_when_it_is_there(tmp_path: Path) -> None:
    for program in tools.PROGRAMS:
        executable(tmp_path / "cache" / "key" / program)
    assert tools.ensure_tools()["kwok"] == tmp_path / "cache" / "key" / "kwok"


def test_without_go_the_error_names_what_is_missing() -> None:
    with pytest.raises(
        StackError, match=r"etcd, kwok, kube-apiserver.* needs Go 1\.26\.0 or later, which is not installed"
    ):
        tools.ensure_tools()


def test_an_old_go_is_refused(tmp_path: Path) -> None:
    executable(tmp_path / "path" / "go", "#!/bin/sh\necho go1.21.5\n")
    with pytest.raises(StackError, match=r"1\.26\.0 or later; .* is go1\.21\.5"):
        tools.ensure_tools()


def test_a_build_is_whole_or_absent(tmp_path: Path) -> None:
    fake = (
        '#!/bin/sh\nPATH=/usr/bin:/bin\nif [ "$1" = env ]; then echo go1.99.0; exit; fi\necho "$GOFLAGS" >> "$0.log"\n'
    )
    go = executable(
        tmp_path / "path" / "go", fake + 'case "$*" in *scheduler*) echo broken >&2; exit 1;; esac\ntouch "$5"\n'
    )
    lines: list[str] = []
    with pytest.raises(StackError, match="building kube-scheduler failed: broken"):
        tools.ensure_tools(lines.append)
    assert not (tmp_path / "cache" / "key").exists()
    assert "building etcd (1 of 6" in lines[0]
    assert "-mod=readonly" in (tmp_path / "path" / "go.log").read_text()

    executable(go, fake + 'touch "$5"\n')
    found = tools.ensure_tools(lines.append)
    assert all(path.is_file() for path in found.values())


def test_the_kubelet_is_built_beside_the_others_and_not_taken_from_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(
        tmp_path / "path" / "go", '#!/bin/sh\nif [ "$1" = env ]; then echo go1.99.0; exit; fi\n/usr/bin/touch "$5"\n'
    )
    executable(tmp_path / "path" / "kubelet")
    lines: list[str] = []
    assert tools.ensure_kubelet(lines.append) == tmp_path / "cache" / "key-node" / "kubelet"
    assert tools.ensure_kubelet(lines.append).is_file()
    assert lines == ["building kubelet (1 of 1; once, about a minute)"]

    given = executable(tmp_path / "assets" / "kubelet")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assert tools.ensure_kubelet() == given


def test_the_temporal_binary_of_the_environment_is_found() -> None:
    assert tools.temporal_program().is_file()
