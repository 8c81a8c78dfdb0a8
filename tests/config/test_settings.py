from __future__ import annotations

from pathlib import Path

import pytest

from moe.config import Settings, secret, wants_plain_text
from moe.config.settings import ROOT


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "HOSTS", "PORT", "CONFIG", "DATA", "MODELS", "LOGS", "OLLAMA_URL", "LOG_LEVEL"):
        monkeypatch.delenv(f"MOE_{name}", raising=False)


def test_without_a_word_everything_is_beside_the_program() -> None:
    settings = Settings.gather()
    assert (settings.config_folder, settings.data_folder) == (ROOT / "config", ROOT / "data")
    assert (settings.host, settings.port) == (None, None)


def test_an_argument_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOE_HOST", "1.2.3.4")
    monkeypatch.setenv("MOE_PORT", "4711")
    monkeypatch.setenv("MOE_CONFIG", "/from/variable")
    settings = Settings.gather()
    assert (settings.host, settings.port, settings.config_folder) == ("1.2.3.4", 4711, Path("/from/variable"))
    settings = Settings.gather(host="::1", port=0, config=str(tmp_path))
    assert (settings.host, settings.port, settings.config_folder) == ("::1", 0, tmp_path)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOE_HOST", "MOE_PORT", "MOE_CONFIG", "MOE_DATA"):
        monkeypatch.setenv(name, "")
    assert Settings.gather() == Settings.gather(config=str(ROOT / "config"), data=str(ROOT / "data"))


@pytest.mark.parametrize(("text", "hosts"), [
    ("", ()), (" , ,", ()), ("moe.example.org", ("moe.example.org",)), ("*", ("*",)),
    (" moe.example.org ,*.team.example, 203.0.113.7,", ("moe.example.org", "*.team.example", "203.0.113.7")),
])  # fmt: skip
def test_hosts_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, text: str, hosts: tuple[str, ...]) -> None:
    monkeypatch.setenv("MOE_HOSTS", text)
    assert Settings.gather().hosts == hosts


@pytest.mark.parametrize("text", ["https://moe.example.org", "moe.example.org:443", "a b", "ok.example;bad", "*.*"])
def test_a_host_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MOE_HOSTS", f"moe.example.org,{text}")
    with pytest.raises(ValueError, match="MOE_HOSTS: .* is no host"):
        Settings.gather()


def test_a_relative_folder_counts_from_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.gather(config="mine").config_folder == tmp_path / "mine"


@pytest.mark.parametrize("port", ["abc", "-1", "65536", "1.5", "²", " 80", "9" * 400])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("MOE_PORT", port)
    with pytest.raises(ValueError, match="port"):
        Settings.gather()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_out_of_range_on_the_command_line_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 65535"):
        Settings.gather(port=port)


def test_a_secret_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert secret("MOE_TEST_KEY") == ""
    monkeypatch.setenv("MOE_TEST_KEY", "value")
    assert secret("MOE_TEST_KEY") == "value"


@pytest.mark.parametrize(
    ("name", "value", "is_plain"),
    [("NO_COLOR", "1", True), ("NO_COLOR", "", False), ("TERM", "dumb", True), ("TERM", "xterm", False)],
)
def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, is_plain: bool) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert wants_plain_text() is is_plain
