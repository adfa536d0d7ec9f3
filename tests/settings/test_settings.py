"""The environment of an installation: what is not set, empty or malformed."""

from __future__ import annotations

import pytest

from errors import InputError
from settings import load_settings, require_installation

COMPLETE = {"FIREBREAK_ACCOUNT": "123456789012", "FIREBREAK_REGION": "us-east-1", "FIREBREAK_CLUSTER": "payments"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*COMPLETE, "FIREBREAK_POLICY", "FIREBREAK_EVIDENCE", "FIREBREAK_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_set_is_enough_to_plan_offline() -> None:
    assert load_settings().account == ""


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*COMPLETE, "FIREBREAK_POLICY", "FIREBREAK_LOG_FORMAT"):
        monkeypatch.setenv(name, "")
    assert load_settings() == type(load_settings())()
    assert load_settings().policy is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FIREBREAK_ACCOUNT", "12345"),
        ("FIREBREAK_REGION", "Ireland"),
        ("FIREBREAK_IDENTITY", "sts"),
        ("FIREBREAK_LOG_FORMAT", "xml"),
    ],
)
def test_a_malformed_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as error:
        load_settings()
    assert error.value.field == name


@pytest.mark.parametrize("missing", sorted(COMPLETE))
def test_a_worker_needs_to_know_where_it_acts(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in COMPLETE.items():
        if name != missing:
            monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as error:
        require_installation(load_settings())
    assert error.value.field == missing
    monkeypatch.setenv(missing, COMPLETE[missing])
    assert require_installation(load_settings()).cluster == "payments"
