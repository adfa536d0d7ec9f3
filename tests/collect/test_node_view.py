"""The view of containers from their node: what the script prints of a made-up node, and what becomes of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from activities.collect.node_view import documents
from activities.collect.node_view.collector import still_open
from activities.collect.node_view.documents import Seen
from activities.collect.node_view.instrument import container_ids, view_pod
from activities.collect.node_view.lines import View, read_view
from activities.collect.node_view.script import SCRIPT
from activities.collect.node_view.sockets import STILL_OPEN, sockets
from contracts.common import PodTarget

ANY = "0.0.0.0"  # noqa: S104 - Nothing is bound to it.
MINE, OTHER = "a1" * 32, "b2" * 32
POD = PodTarget(namespace="shop", name="checkout-1", uid="u-1")


def endpoint(address: str, port: int) -> str:
    words = struct.unpack("<I", bytes(int(part) for part in address.split(".")))
    return f"{words[0]:08X}:{port:04X}"


def tcp(*rows: tuple[str, int, str, int, int, int]) -> str:
    lines = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"]
    for n, (local, port, remote, remote_port, state, inode) in enumerate(rows):
        ends = f"{endpoint(local, port)} {endpoint(remote, remote_port)}"
        lines.append(f"   {n}: {ends} {state:02X} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0")
    return "\n".join(lines) + "\n"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with one process of the container and one of another, and a layer that the container has written into."""
    layer = tmp_path / "host" / "var" / "snapshots" / "7" / "fs"
    (layer / "opt").mkdir(parents=True)
    (layer / "opt" / "miner").write_bytes(b"MZ")
    (layer / "opt" / f"x\nhashes {MINE} 0 ZmFrZQ==").write_text("a name that looks like a line of the view")
    for pid, container in ((40, MINE), (41, OTHER), (1, "")):
        folder = tmp_path / "proc" / str(pid)
        (folder / "net").mkdir(parents=True)
        (folder / "fd").mkdir()
        (folder / "ns").mkdir()
        (folder / "cgroup").write_text(f"0::/kubepods/besteffort/podu-1/{container}\n")
        (folder / "status").write_text("Name:\tevil\nState:\tS (sleeping)\nPPid:\t1\nUid:\t0\t0\t0\t0\nThreads:\t3\n")
        (folder / "cmdline").write_bytes(b"/opt/miner\0--pool\0evil.example\0")
        (folder / "exe").symlink_to("/opt/miner\nend")
        (folder / "cwd").symlink_to("/opt")
        (folder / "ns" / "net").symlink_to("net:[4026532001]")
        (folder / "fd" / "3").symlink_to("socket:[777]")
        (folder / "net" / "tcp").write_text(
            tcp(
                ("10.244.0.5", 51000, "203.0.113.9", 443, 1, 777),
                (ANY, 8080, ANY, 0, 10, 778),
                ("127.0.0.1", 9000, "127.0.0.1", 9001, 1, 779),
            )
        )
        (folder / "mountinfo").write_text("36 35 98:0 / / rw,noatime - overlay overlay rw,lowerdir=/a,upperdir=/etc\n")
    options = "rw,lowerdir=/l,upperdir=/var/snapshots/7/fs,workdir=/w"
    mounted = f"90 1 0:50 / /run/k8s.io/{MINE}/rootfs rw - overlay overlay {options}\n"
    (tmp_path / "proc" / "1" / "mountinfo").write_text(mounted)
    return tmp_path


def look(node: Path, *containers: str) -> View:
    environment = {"CONTAINERS": " ".join(containers), "PROC": str(node / "proc"), "HOST": str(node / "host")}
    ended = subprocess.run(
        [str(shutil.which("sh")), "-c", SCRIPT],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        check=True,
    )
    return read_view([ended.stdout], containers)


def seen(node: Path) -> list[Seen]:
    view = look(node, MINE)
    assert view.complete and set(view.containers) == {MINE}
    return [Seen("app", MINE, view.containers[MINE])]


def test_the_processes_of_the_container_and_of_no_other(node: Path) -> None:
    (container,) = documents.processes(seen(node))["containers"]
    (process,) = container["processes"]
    assert (process["pid"], process["name"], process["threads"]) == (40, "evil", "3")
    assert process["command"] == ["/opt/miner", "--pool", "evil.example"]
    assert process["executable"] == "/opt/miner\nend", "whatever it is called, it does not end the view"
    assert (process["directory"], process["open_files"], container["running"]) == ("/opt", 1, True)


def test_sockets_with_the_process_that_has_them_open(node: Path) -> None:
    found = documents.open_sockets(seen(node))
    assert [(s.local, s.remote, s.state, s.process) for s in found] == [
        ("10.244.0.5:51000", "203.0.113.9:443", "ESTABLISHED", 40),
        (f"{ANY}:8080", f"{ANY}:0", "LISTEN", 0),
        ("127.0.0.1:9000", "127.0.0.1:9001", "ESTABLISHED", 0),
    ]
    assert [s.is_open for s in found] == [True, False, False], "only what leads out of the pod outlives a policy"
    said = still_open(POD, [s for s in found if s.is_open])
    assert STILL_OPEN in said and "203.0.113.9:443" in said and "isolating its node" in said


def test_an_address_of_ipv6_and_one_of_ipv4_in_it() -> None:
    head = "  sl  local_address remote_address st\n"
    mapped = "0000000000000000FFFF00000500F40A:C738 0000000000000000FFFF0000097100CB:01BB 01"
    local = "00000000000000000000000001000000:1F90 00000000000000000000000001000000:1F91 01"
    rest = "00000000:00000000 00:00000000 00000000     0        0 5 1 0\n"
    table = f"{head}   0: {mapped} {rest}   1: {local} {rest}   2: nonsense\n".encode()
    one, two = sockets({"tcp6": table}, {})
    assert (one.local, one.remote, one.is_open) == ("10.244.0.5:51000", "203.0.113.9:443", True)
    assert (two.local, two.is_open) == ("[::1]:8080", False)


def test_what_the_container_wrote_into_its_layer(node: Path) -> None:
    (container,) = documents.files(seen(node))["containers"]
    files = {f["path"]: f for f in container["files"]}
    miner = files["/opt/miner"]
    assert (miner["change"], miner["size"]) == ("written", 2)
    assert miner["sha256"] == hashlib.sha256(b"MZ").hexdigest()
    assert f"/opt/x?hashes {MINE} 0 ZmFrZQ==" in files, "a hostile name is a name, and no line of the view"
    assert not any("/etc" in path for path in files), "the container's own table does not decide where is looked"


def test_mounts_as_the_container_sees_them(node: Path) -> None:
    (container,) = documents.mounts(seen(node))["containers"]
    assert [(m["point"], m["type"]) for m in container["mounts"]] == [("/", "overlay")]


def test_a_container_without_a_process_is_said_to_run_none(node: Path) -> None:
    view = look(node, "c3" * 32)
    assert view.complete and documents.processes([Seen("gone", "c3" * 32, view.containers.get("c3" * 32))]) == {
        "containers": [{"name": "gone", "id": "c3" * 32, "running": False, "processes": []}]
    }


@pytest.mark.parametrize(
    "output",
    [b"", b"end of it\n", f"status {MINE} 40 !!!\n".encode(), f"evil {MINE} 40 AAAA\n".encode(),
     f"status {OTHER} 40 AAAA\n".encode(), f"status {MINE} x AAAA\n".encode(), b"\xff\xfe" * 100],
)  # fmt: skip
def test_what_is_no_line_of_the_view_is_passed_over(output: bytes) -> None:
    view = read_view([output], [MINE])
    assert (view.containers, view.complete) == ({}, False)


def test_only_ids_of_a_runtime_reach_the_manifest() -> None:
    rows = [
        {"name": "app", "containerID": f"containerd://{MINE}"},
        {"name": "evil", "containerID": "containerd://$(id)"},
        {"name": "new", "containerID": ""},
    ]
    ids = container_ids({"status": {"containerStatuses": rows}})
    assert ids == {"app": MINE}
    spec = view_pod("view-1", "node-1", "tools", list(ids.values()))["spec"]
    (container,) = spec["containers"]
    assert container["env"][0] == {"name": "CONTAINERS", "value": MINE}
    assert "privileged" not in container["securityContext"]
    assert spec["volumes"] == [{"name": "node", "hostPath": {"path": "/"}}] and container["volumeMounts"][0]["readOnly"]
    assert spec["automountServiceAccountToken"] is False
