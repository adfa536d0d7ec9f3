"""Addresses, names and cgroups: what a node takes on the host, chosen so that nothing else has it."""

import ipaddress
from pathlib import Path

import pytest

from devstack.real_node import cgroups, network
from devstack.state import StackError


def test_a_network_is_divided_without_overlap() -> None:
    found = network.addresses("10.213.7.0/24")
    link = ipaddress.ip_network(f"{found.host}/{found.link_length}", strict=False)
    assert ipaddress.ip_address(found.node) in link
    assert not link.overlaps(ipaddress.ip_network(found.pods))


def test_what_is_taken_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    every = [ipaddress.IPv4Network(f"10.213.{number}.0/25") for number in range(256) if number != 77]
    monkeypatch.setattr(network, "_taken_networks", lambda: every)
    assert network.free_network() == "10.213.77.0/24"
    monkeypatch.setattr(network, "_taken_networks", lambda: [ipaddress.IPv4Network("10.0.0.0/8")])
    with pytest.raises(StackError, match=r"no /24 of 10\.213\.0\.0/16 is free"):
        network.free_network()


@pytest.mark.real_node
def test_a_free_network_is_no_part_of_a_route_of_this_machine() -> None:
    found = ipaddress.ip_network(network.free_network())
    assert not any(found.overlaps(taken) for taken in network._taken_networks())


def test_names_are_the_stack_s_own_and_short_enough_for_a_link() -> None:
    names = {network.link_name(Path("/state/stacks") / name) for name in ("one", "two")}
    assert len(names) == 2
    assert all(len(name) <= 15 for name in names)


def test_cgroups_of_version_1_are_made_in_every_hierarchy_and_go_with_all_below_them(tmp_path: Path) -> None:
    for name in ("cpu", "cpuset", "unified"):
        (tmp_path / name).mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1")
    cgroups.create("firebreak-x", tmp_path)
    assert (tmp_path / "cpuset" / "firebreak-x" / "cpuset.cpus").read_text() == "0-1"
    (tmp_path / "cpuset" / "firebreak-x" / "cpuset.cpus").unlink()
    (tmp_path / "cpu" / "firebreak-x" / "kubepods" / "pod1").mkdir(parents=True)
    assert cgroups.remove("firebreak-x", tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cpu", "cpuset", "cpuset.cpus", "unified"]


def test_cgroups_of_version_2_are_one(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu cpuset memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("memory pids")
    (tmp_path / "system.slice").mkdir()
    cgroups.create("firebreak-x", tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["firebreak-x", "system.slice"]
    (tmp_path / "firebreak-x" / "busy").touch()
    assert not cgroups.remove("firebreak-x", tmp_path), "a process in it has not ended"
