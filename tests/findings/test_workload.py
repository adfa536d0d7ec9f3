"""How far a workload reaches into its node (guide N1, P2)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from findings.model import Container, Finding, SeverityBand, Volume, VolumeMount, Workload, WorkloadKind
from findings.workload import is_sensitive_host_path
from tests.findings import builders as b


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        *((f"{k}s", k) for k in WorkloadKind if k is not WorkloadKind.UNKNOWN),
        *((k.upper(), k) for k in WorkloadKind if k is not WorkloadKind.UNKNOWN),
        *((f"{k}S".upper(), k) for k in WorkloadKind if k is not WorkloadKind.UNKNOWN),
        ("StatefulSet", WorkloadKind.STATEFULSET),
        ("pod/exec", WorkloadKind.UNKNOWN),
        ("unknowns", WorkloadKind.UNKNOWN),
        ("podss", WorkloadKind.UNKNOWN),
        ("", WorkloadKind.UNKNOWN),
    ],
)
def test_kinds(written: str, kind: WorkloadKind) -> None:
    assert WorkloadKind.of(written) is kind


@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "/..", "/./", "/etc", "/etc/", "//etc", "/etc/kubernetes/pki", "/etc/../root/.ssh", "/proc/1/root",
        "/var", "/var/lib", "/run", "/var/run", "/var/run/docker.sock", "/run/containerd/containerd.sock",
        "/var/lib/kubelet/pods", "/sys/fs/cgroup", "/dev/nvme0n1", "/boot", "/var/log", "/home",
    ],
)  # fmt: skip
def test_sensitive(path: str) -> None:
    assert is_sensitive_host_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "foo", "etc", "/etcetera", "/data", "/opt/app", "/var/lib/kubelet2", "/var/lib/app", "/procfs", "/rooted",
     "/etc/../data", "/home/alice"],
)  # fmt: skip
def test_not_sensitive(path: str) -> None:
    assert not is_sensitive_host_path(path)


def test_mounts_are_joined_by_name() -> None:
    work = Workload(
        containers=(
            Container(name="a", volume_mounts=(VolumeMount(name="root", mount_path="/host"),)),
            Container(
                name="b",
                volume_mounts=(VolumeMount(name="data", mount_path="/etc"), VolumeMount(name="gone", mount_path="/")),
            ),
        ),
        volumes=(
            Volume(name="root", host_path="/"),
            Volume(name="data", host_path="/data"),
            Volume(name="unmounted", host_path="/etc"),
            Volume(name="empty"),
        ),
    )
    (mount,) = work.sensitive_mounts()
    assert (mount.container, mount.volume, mount.host_path, mount.mount_path) == ("a", "root", "/", "/host")


@pytest.mark.parametrize("flag", ["host_network", "host_pid", "host_ipc"])
def test_each_shared_namespace_counts(flag: str) -> None:
    assert Workload.model_validate({flag: True}).shares_host
    assert not Workload().shares_host


def test_privileged_is_said_not_guessed() -> None:
    containers = (
        Container(name="a", image="x", privileged=True),
        Container(name="b", image="x", privileged=False, allow_privilege_escalation=True),
        Container(name="c", image="y"),
    )
    work = Workload(containers=containers)
    assert [c.name for c in work.privileged_containers] == ["a"]
    assert work.images == ("x", "y")


@pytest.mark.parametrize(
    ("severity", "band"),
    [(0.1, "Low"), (3.9, "Low"), (4.0, "Medium"), (6.9, "Medium"), (7.0, "High"), (8.9, "High"), (9.0, "Critical")],
)
def test_bands(severity: float, band: str) -> None:
    assert finding(severity=severity).band is SeverityBand(band)


@pytest.mark.parametrize(
    "wrong", [{"id": "a/b"}, {"id": ".."}, {"account": "1/2"}, {"region": "../x"}, {"severity": 11}, {"type": ""}]
)
def test_the_model_itself_refuses_an_identity_that_climbs(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        finding(**wrong)
    assert "input_value" not in str(error.value)


def test_a_finding_never_changes() -> None:
    with pytest.raises(ValidationError):
        finding().severity = 1.0  # type: ignore[misc]


def finding(**more: Any) -> Finding:
    fields = {"id": "x", "type": "T", "severity": 5, "account": b.ACCOUNT, "region": b.REGION}
    return Finding.model_validate({**fields, **more})
