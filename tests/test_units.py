"""The service files for systemd and launchd, and what README.md says of them and of Docker."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import app
from moe.config.settings import ROOT
from moe.web.server import GRACE_S, LAST_WORDS_S

UNIT = ROOT / "docs" / "moe.service"
PLIST = ROOT / "docs" / "com.moe.server.plist"
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENDS_WITHIN_S = app.DRAIN_S + LAST_WORDS_S + GRACE_S
HANG_S = 60


def read_unit(text: str) -> dict[str, list[tuple[str, str]]]:
    """The settings of each section; a key may come again."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            settings = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            key, separator, value = line.partition("=")
            assert separator, line
            settings.append((key, value))
    return sections


@pytest.fixture
def service() -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for key, value in read_unit(UNIT.read_text(encoding="utf-8"))["Service"]:
        told.setdefault(key, []).append(value)
    return told


def test_the_unit_starts_the_server_and_gives_it_time_to_end(service: dict[str, list[str]]) -> None:
    python, program = service["ExecStart"][0].split()
    assert (python, program) == ("/opt/moe/venv/bin/python", "/opt/moe/app.py")
    assert "-HUP" in service["ExecReload"][0]
    assert float(service["TimeoutStopSec"][0]) > ENDS_WITHIN_S


def test_the_unit_keeps_everything_where_its_own_user_may_write(service: dict[str, list[str]]) -> None:
    places = dict(pair.split("=", 1) for line in service["Environment"] for pair in line.split())
    assert service["DynamicUser"] == ["yes"]
    own = (f"/var/lib/{service['StateDirectory'][0]}", f"/var/log/{service['LogsDirectory'][0]}")
    assert places.pop("ORT_DISABLE_TELEMETRY") == "1"  # onnxruntime would report to its maker
    assert {name for name, value in places.items() if not value.startswith(own)} == set()
    assert {"MOE_CONFIG", "MOE_DATA", "MOE_LOGS", "HOME"} <= set(places)
    known = (ROOT / "moe" / "config" / "settings.py").read_text(encoding="utf-8")
    assert [name for name in places if name.startswith("MOE_") and f'"{name}"' not in known] == []


def test_the_unit_names_no_key_itself_and_leaves_the_server_no_rights(service: dict[str, list[str]]) -> None:
    assert service["EnvironmentFile"] == ["-/etc/moe.env"]
    assert service["CapabilityBoundingSet"] == [""]
    assert service["ProtectHome"] == ["yes"]
    assert "User" not in service


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    python = tmp_path / "moe" / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    for program in (python, tmp_path / "moe" / "start.sh"):
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    inline = re.findall(r"^```ini\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(inline) == 1
    for place, text in enumerate([UNIT.read_text(encoding="utf-8"), *inline]):
        file = tmp_path / f"moe{place}.service"
        file.write_text(text.replace("/opt/moe", str(tmp_path / "moe")).replace("%h", str(tmp_path)))
        told = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=HANG_S,
                              env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}, check=False)  # fmt: skip
        assert [line for line in told.stderr.splitlines() if f"moe{place}.service" in line] == []
        assert told.returncode == 0, told.stderr


def test_the_launchd_job_starts_at_login_and_again_only_after_a_failure() -> None:
    job: dict[str, Any] = plistlib.loads(PLIST.read_bytes())
    assert f"{job['Label']}.plist" == PLIST.name
    assert job["ProgramArguments"] == ["/path/to/moe/start.sh"]
    assert job["RunAtLoad"] is True and job["KeepAlive"] == {"SuccessfulExit": False}
    assert job["ExitTimeOut"] > ENDS_WITHIN_S
    places = (job["WorkingDirectory"], job["StandardOutPath"], job["StandardErrorPath"])
    assert [place for place in places if not place.startswith("/path/to/moe")] == []


def test_the_line_that_installs_the_launchd_job_puts_the_folder_in(tmp_path: Path) -> None:
    found = re.search(r"^\$ (sed .*docs/com\.moe\.server\.plist) > (\S+)$", README, re.MULTILINE)
    assert found is not None and found[2].endswith(f"LaunchAgents/{PLIST.name}")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    made = subprocess.run(["sh", "-c", found[1]], cwd=tmp_path, capture_output=True, timeout=HANG_S, check=True).stdout
    assert b"/path/to/moe" not in made
    assert plistlib.loads(made)["ProgramArguments"] == [f"{tmp_path}/start.sh"]


def console() -> list[str]:
    """The commands of README.md's console blocks, continued lines joined."""
    blocks = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def test_every_command_that_publishes_a_port_publishes_it_to_this_machine_alone() -> None:
    published = [found for line in console() if line.startswith("docker run")
                 for found in re.findall(r" (?:-p|--publish)[ =](\S+)", line)]  # fmt: skip
    assert published
    assert [port for port in published if not re.fullmatch(r"127\.0\.0\.1:\d+:11435", port)] == []


def test_every_file_that_a_command_names_is_there() -> None:
    path = re.compile(r"(?<![\w~/])(?:/opt/moe/)?((?:docs|docker)/[\w./-]+)")
    named = [found for line in console() for found in path.findall(line)]
    assert {"docker/Dockerfile", "docker/compose.yaml", "docs/moe.service", "docs/com.moe.server.plist"} <= set(named)
    assert [path for path in named if not (ROOT / path).exists()] == []
