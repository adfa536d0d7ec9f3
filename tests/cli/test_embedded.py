"""When the embedded stack is used by itself, and when not."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import embedded
from cli.embedded import NotInstalled, running_stack, use_embedded_stack
from cli.output import Output

pytestmark = [pytest.mark.usefixtures("clean_environment")]

STACK = SimpleNamespace(
    name="default",
    temporal_address="127.0.0.1:1",
    temporal_ui="http://127.0.0.1:2",
    cluster="demo",
    environment=lambda: {"TEMPORAL_ADDRESS": "127.0.0.1:1", "KUBECONFIG": "/stack", "FIREBREAK_CLUSTER": "demo"},
)


@pytest.fixture
def running(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEMPORAL_CONFIG_FILE")
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    # What it sets is taken away again when the test ends.
    for name in ("TEMPORAL_ADDRESS", "KUBECONFIG", "FIREBREAK_CLUSTER", "FIREBREAK_TEMPORAL_UI"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    monkeypatch.setattr(embedded, "running_stack", lambda _name: STACK)


@pytest.mark.usefixtures("running")
def test_taken_whole_and_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/me/production")
    use_embedded_stack(Output(json=True))
    assert os.environ["TEMPORAL_ADDRESS"] == "127.0.0.1:1"
    assert os.environ["KUBECONFIG"] == "/stack"
    captured = capsys.readouterr()
    assert "using the embedded stack 'default'" in captured.err
    assert captured.out == ""


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("name", ["TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "FIREBREAK_CLUSTER", "FIREBREAK_ACCOUNT"])
def test_not_beside_a_configured_installation(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "mine")
    use_embedded_stack(Output())
    assert "KUBECONFIG" not in os.environ


@pytest.mark.usefixtures("running")
def test_not_beside_a_profile_that_names_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "temporalio" / "temporal.toml"
    config.parent.mkdir()
    config.write_text('[profile.default]\naddress = "temporal.example:7233"\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    use_embedded_stack(Output())
    assert "KUBECONFIG" not in os.environ


def test_no_stack_is_no_stack() -> None:
    assert running_stack("default") is None


def test_missing_parts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: Any, **more: Any) -> Any:
        if str(arguments[0]).startswith("devstack"):
            raise ImportError("no", name="moto")
        return original(*arguments, **more)

    original = __import__
    monkeypatch.setattr("builtins.__import__", missing)
    with pytest.raises(NotInstalled, match=r"moto is missing.*firebreak\[devstack\]"):
        running_stack("default")
