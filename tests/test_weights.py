"""A model from a hub into the models folder: the program as it is, against a hub over real sockets."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from moe import weights
from tests.backends.tiny import GENERAL
from tests.fakes import RefusedPort
from tests.fakes.hub import COMMIT, Hub, serve_hub

ROOT = Path(__file__).parents[1]
HANG_S = 60
REPO = "tiny-org/Tiny-1M-Instruct-GGUF"
NAME = "tiny-1m-instruct-q4_k_m.gguf"
TINY = GENERAL.read_bytes()
STEP = 10 * 1024 * 1024  # as large as the library's own pieces would be, were they not made smaller
LARGE = TINY + bytes(2 * STEP)


class Machine:
    """A models folder, and the program that fills it."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self.home = folder / "hf"

    def start(self, name: str, hub: str, *, terminal: int = -1, **extra: str) -> subprocess.Popen[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "MOE_"))}
        environment |= {"HF_ENDPOINT": hub, "HF_HOME": str(self.home), "NO_PROXY": "*"} | extra
        command = [sys.executable, "-m", "moe.weights", *(["--models", str(self.models)] if not extra else []), name]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.STDOUT if terminal < 0 else terminal)  # fmt: skip

    def get(self, name: str, hub: str, **extra: str) -> tuple[int, str]:
        process = self.start(name, hub, **extra)
        printed = process.communicate(timeout=HANG_S)[0]
        return process.returncode, printed

    def files(self) -> list[str]:
        """Everything under the models folder."""
        found = (path for path in self.models.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.models).as_posix() for path in found)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub(Hub({"README.md": b"# Tiny\n", NAME: TINY}, repo=REPO)) as hub:
        yield hub


# Fetching


def test_a_model_arrives_whole_under_its_own_name(hub: Hub, machine: Machine) -> None:
    code, printed = machine.get(REPO, hub.url)
    assert code == 0, printed
    assert (machine.models / NAME).read_bytes() == TINY
    assert list(machine.models.iterdir()) == [machine.models / NAME]
    assert f"{REPO}/{NAME}: 1 MB, licence apache-2.0\n" in printed
    assert printed.splitlines()[-1] == f"Model ready: {machine.models / NAME}, 1 MB"
    assert f"/{REPO}/resolve/{COMMIT}/{NAME}" in {asked.path for asked in hub.asked}


def test_without_a_terminal_the_progress_is_lines_and_no_bar(hub: Hub, machine: Machine) -> None:
    printed = machine.get(REPO, hub.url)[1]
    assert re.search(rf"^  {re.escape(NAME)} 100%  613k of 613k  \S+B/s$", printed, re.MULTILINE), printed
    assert "\r" not in printed
    assert len(printed.splitlines()) < 8


def test_on_a_terminal_the_progress_is_a_bar(hub: Hub, machine: Machine) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = machine.start(REPO, hub.url, terminal=theirs)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux ends a terminal's last line with EIO
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    process.communicate(timeout=HANG_S)
    assert process.returncode == 0, shown
    assert re.search(rb"\r" + re.escape(NAME).encode() + rb": 100%\|\S+\| 613k/613k", shown), shown


def test_a_second_run_fetches_nothing(hub: Hub, machine: Machine) -> None:
    machine.get(REPO, hub.url)
    code, printed = machine.get(f"{REPO}:Q4_K_M", hub.url)
    assert (code, printed) == (0, f"Model ready: {machine.models / NAME}, 1 MB, was there already\n")
    assert hub.ranges(NAME) == [None]


def test_a_connection_that_breaks_is_taken_up_again_at_once(hub: Hub, machine: Machine) -> None:
    hub.files[NAME], hub.cut_at[NAME] = LARGE, [STEP + 1000]
    code, printed = machine.get(REPO, hub.url)
    assert code == 0, printed
    assert hub.ranges(NAME) == [None, f"bytes={STEP}-"]
    assert (machine.models / NAME).read_bytes() == LARGE


def test_little_is_lost_of_a_download_that_breaks_early(hub: Hub, machine: Machine) -> None:
    hub.files[NAME], hub.hang_at[NAME] = LARGE, 1_000_000
    process = machine.start(REPO, hub.url)
    wait_for_part(machine, 900_000)
    process.kill()
    process.communicate(timeout=HANG_S)
    assert machine.get(REPO, hub.url)[0] == 0
    first, second = hub.ranges(NAME)
    assert first is None
    assert second is not None and int(second.removeprefix("bytes=").removesuffix("-")) > 900_000
    assert (machine.models / NAME).read_bytes() == LARGE


@pytest.mark.slow  # a second before each of the five further attempts
def test_a_connection_that_keeps_breaking_is_left_for_another_time(hub: Hub, machine: Machine) -> None:
    hub.files[NAME], hub.cut_at[NAME] = LARGE, [STEP + 1000] * 6
    code, printed = machine.get(REPO, hub.url)
    assert code == 1
    assert printed.splitlines()[-1] == f"{NAME} broke off after 10 MB, where the next try goes on"
    assert machine.get(REPO, hub.url)[0] == 0
    assert set(hub.ranges(NAME)[1:]) == {f"bytes={STEP}-"}
    assert (machine.models / NAME).read_bytes() == LARGE


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_download_that_was_ended_goes_on_where_it_stopped(hub: Hub, machine: Machine, ending: signal.Signals) -> None:
    hub.files[NAME], hub.hang_at[NAME] = LARGE, STEP + 1000
    process = machine.start(REPO, hub.url)
    part = wait_for_part(machine, STEP)
    process.send_signal(ending)
    printed = process.communicate(timeout=HANG_S)[0]
    if ending is signal.SIGINT:
        assert process.returncode == 130
        assert printed.splitlines()[-1].startswith("Stopped. What has arrived is kept")
        assert "Traceback" not in printed
    assert machine.files() == [f".downloads/{part.name}"]
    code, printed = machine.get(REPO, hub.url)
    assert code == 0, printed
    assert hub.ranges(NAME) == [None, f"bytes={STEP}-"]
    assert (machine.models / NAME).read_bytes() == LARGE
    assert machine.files() == [NAME]


def wait_for_part(machine: Machine, size_bytes: int) -> Path:
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline:
        for part in machine.models.glob(".downloads/*.part"):
            if part.stat().st_size >= size_bytes:
                return part
        time.sleep(0.02)
    raise TimeoutError(f"no part of {size_bytes} bytes: {machine.files()}")


def test_what_was_kept_of_an_older_file_is_not_built_upon(hub: Hub, machine: Machine) -> None:
    hub.files[NAME], hub.hang_at[NAME] = LARGE, STEP + 1000
    process = machine.start(REPO, hub.url)
    wait_for_part(machine, STEP)
    process.kill()
    process.communicate(timeout=HANG_S)
    hub.files[NAME] = newer = LARGE + b"newer"
    code, printed = machine.get(REPO, hub.url)
    assert code == 0, printed
    assert hub.ranges(NAME) == [None, None]
    assert (machine.models / NAME).read_bytes() == newer


def test_a_part_that_cannot_be_a_beginning_is_thrown_away(hub: Hub, machine: Machine) -> None:
    part = machine.models / ".downloads" / f"{NAME}.{hashlib.sha256(TINY).hexdigest()[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(TINY + b"more than there is")
    code, printed = machine.get(REPO, hub.url)
    assert code == 0, printed
    assert hub.ranges(NAME) == [None]


def test_a_token_goes_to_the_hub_and_not_to_where_it_sends_us(hub: Hub, machine: Machine) -> None:
    code, printed = machine.get(REPO, hub.url, HF_TOKEN="hf_secret", MOE_MODELS=str(machine.models))
    assert code == 0, printed
    tokens = {asked.path.split("/")[1]: asked.token for asked in hub.asked}
    assert tokens == {"api": "Bearer hf_secret", REPO.split("/")[0]: "Bearer hf_secret", "storage": None}
    assert "hf_secret" not in printed
    assert machine.files() == [NAME]


def test_a_file_from_a_folder_of_the_hub_lies_directly_in_ours(machine: Machine) -> None:
    with serve_hub(Hub({"Q4/tiny.gguf": TINY})) as hub:
        code, printed = machine.get("o/r", hub.url)
    assert code == 0, printed
    assert machine.files() == ["tiny.gguf"]


# Refusing


def test_a_file_with_another_checksum_is_refused_and_thrown_away(hub: Hub, machine: Machine) -> None:
    hub.checksums[NAME] = "0" * 64
    code, printed = machine.get(REPO, hub.url)
    assert code == 1
    assert f"{NAME} is refused: its checksum is {hashlib.sha256(TINY).hexdigest()}, expected was {'0' * 64}" in printed
    assert machine.files() == []


def test_what_is_no_gguf_is_refused_whatever_its_name(hub: Hub, machine: Machine) -> None:
    hub.files[NAME] = b"<html>a page that wants a password</html>"
    code, printed = machine.get(REPO, hub.url)
    assert (code, machine.files()) == (1, [])
    assert f"{NAME} is refused: it is no GGUF file, it begins with b'<htm'" in printed


def test_a_file_that_has_no_room_is_not_begun(hub: Hub, machine: Machine) -> None:
    hub.sizes[NAME] = 10**15
    code, printed = machine.get(REPO, hub.url)
    assert code == 1
    assert re.search(r"^no room: 1000000\.0 GB are needed and [\d.]+ [GM]B free in \S+$", printed, re.MULTILINE)
    assert (hub.ranges(NAME), machine.files()) == ([], [])


def test_a_file_of_ours_with_that_name_is_left_alone(hub: Hub, machine: Machine) -> None:
    machine.models.mkdir()
    (machine.models / NAME).write_bytes(TINY[:-1] + b"!")
    code, printed = machine.get(REPO, hub.url)
    assert code == 1
    assert f"{NAME} is there, but is not the hub's file of that name: move it away first" in printed
    assert (machine.models / NAME).read_bytes() == TINY[:-1] + b"!"
    assert hub.ranges(NAME) == []


def test_a_repository_that_is_not_there_is_named(hub: Hub, machine: Machine) -> None:
    code, printed = machine.get("tiny-org/Typo-GGUF", hub.url)
    assert (code, printed) == (1, f"{hub.url} has no repository tiny-org/Typo-GGUF, or it is private\n")
    assert not machine.models.exists()


def test_a_gated_repository_says_what_to_do(hub: Hub, machine: Machine) -> None:
    hub.is_gated = True
    code, printed = machine.get(REPO, hub.url)
    assert code == 1
    assert f"{REPO} is gated: accept its terms at {hub.url}/{REPO} and set HF_TOKEN" in printed


@pytest.mark.parametrize("offline", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_without_a_network_one_line_says_so_and_nothing_is_changed(machine: Machine, offline: dict[str, str]) -> None:
    with RefusedPort() as port:
        code, printed = machine.get(weights.DEFAULT, port.url, MOE_MODELS=str(machine.models), **offline)
    assert code == 1
    (line,) = printed.splitlines()
    assert line.startswith(f"{port.url} cannot be reached: ")
    assert line.endswith(f" By hand: put any .gguf file into {machine.models}; the next start finds it.")
    assert not machine.models.exists()


def test_without_a_network_a_model_that_is_there_stays_good(machine: Machine) -> None:
    machine.models.mkdir()
    (machine.models / NAME).write_bytes(TINY)
    with RefusedPort() as port:
        code, printed = machine.get(f"{REPO}/{NAME}", port.url)
    assert code == 0
    assert f"{machine.models / NAME} is there already; not compared with the hub's" in printed


def test_a_wrong_name_gets_the_list(machine: Machine) -> None:
    with RefusedPort() as port:
        code, printed = machine.get("qwen2.5-15b", port.url)
    assert code == 1
    assert printed.startswith("There is no model 'qwen2.5-15b'. There are\n")
    for name, entry in weights.CATALOG.items():
        assert re.search(rf"^  {re.escape(name)} .*{re.escape(entry.licence)}", printed, re.MULTILINE)
