"""The policy in force, whatever somebody does to the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from activities.assess.policy_file import PolicyFile
from errors import InputError
from plans.policy import Policy


def write(path: Path, text: str, at: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(at, at))


def test_without_a_file_the_defaults_hold() -> None:
    assert PolicyFile(None).current() == (Policy(), "")


def test_a_change_is_read_and_a_mistake_is_not(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    write(path, "budget: {containments_per_hour: {cluster: 3}}", 1)
    policy = PolicyFile(path)
    assert policy.current()[0].budget.containments_per_hour.cluster == 3
    write(path, "budget: {containments_per_hour: {cluster: 4}}", 2)
    assert policy.current()[0].budget.containments_per_hour.cluster == 4
    write(path, "budget: {containments_per_hour: {cluster: -1}}", 3)
    for _ in range(2):
        kept, warning = policy.current()
        assert kept.budget.containments_per_hour.cluster == 4
        assert "last valid policy stays in force" in warning and "cluster" in warning
    path.unlink()
    kept, warning = policy.current()
    assert kept.budget.containments_per_hour.cluster == 4 and warning
    write(path, "budget: {containments_per_hour: {cluster: 5}}", 4)
    assert policy.current()[0].budget.containments_per_hour.cluster == 5
    assert policy.current()[1] == ""


@pytest.mark.parametrize("text", ["gates: 3", "nonsense: true", "\x00", None])
def test_a_first_policy_that_does_not_fit_stops_the_start(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError):
        PolicyFile(path)
