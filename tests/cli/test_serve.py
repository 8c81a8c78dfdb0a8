"""`serve`, `schema`, `--version`, `--help`, and words that make no sense."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest
import requests

from moe import __version__
from moe.config.settings import ROOT
from tests.cli.house import HANG_S, MATHS, House


def test_serve_serves_from_any_folder_and_ends_on_a_signal(inside: House, tmp_path: Path) -> None:
    inside.env["MOE_PORT"] = ""
    (tmp_path / "app.py").write_text("raise SystemExit('the wrong app.py')")
    with inside.running("serve", "--port", "0", "--config", "config") as process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        found = re.search(r"serves on (http://127\.0\.0\.1:\d+)", line)
        assert found, line
        health = requests.get(f"{found[1]}/health", timeout=HANG_S).json()
        assert (health["version"], list(health["experts"])) == (__version__, ["fallback", "math", "código"])
        assert inside.moe("ask", MATHS, "--url", found[1]).stdout == f"[phi4:14b] you said: {MATHS}\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_S) == 0


def test_a_taken_port_is_one_line(inside: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = inside.moe("serve", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr == f"moe: port {port} on 127.0.0.1 is in use; choose another with --port\n"


@pytest.mark.parametrize("words", [("--port", "99999"), ("--port", "http"), ("--prot", "1")])
def test_serve_refuses_what_makes_no_sense(inside: House, words: tuple[str, ...]) -> None:
    done = inside.moe("serve", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_serve_refuses_a_broken_config_in_full(inside: House) -> None:
    (inside.folder / "config" / "experts.json").write_text("{}")
    done = inside.moe("serve", "--port", "0")
    assert done.returncode == 2
    assert "no expert has id 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_schema_is_printed(inside: House) -> None:
    done = inside.moe("schema")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "config" / "schema.json").read_text(encoding="utf-8")


def test_version_and_help(inside: House) -> None:
    assert inside.moe("--version").stdout == f"moe {__version__}\n"
    told = inside.moe("--help")
    assert told.returncode == 0
    for word in ("ask", "route", "experts", "check", "serve", "schema", "examples:", "exit codes"):
        assert word in told.stdout
    for name in ("ask", "route", "experts", "check", "serve", "schema"):
        assert inside.moe(name, "--help").returncode == 0


@pytest.mark.parametrize("words", [("nonsense",), ("ask",), ("ask", "a", "b"), ("check", "--nope"), ("--url",)])
def test_words_that_make_no_sense_are_exit_code_2(inside: House, words: tuple[str, ...]) -> None:
    done = inside.moe(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: python -m moe" in done.stderr
    assert "Traceback" not in done.stderr
