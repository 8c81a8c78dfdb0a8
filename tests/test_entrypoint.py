"""The images' entrypoint: what it does with mounts that are empty, filled, root's, someone else's or read-only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from moe.config.settings import ROOT
from tests.test_service import HANG_S, becomes

MOE, OTHER = 1000, 1001
IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can give folders away")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the images are Linux's")


class Image:
    """An /app as an image has it, where everyone may look; `run` starts it like a container."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "docker").mkdir(parents=True)
        shutil.copy(ROOT / "docker" / "entrypoint.sh", root / "docker")
        self.write("defaults/config/config.example.json", "{}")
        self.write("defaults/config/experts.example.json", "[]")
        self.write("defaults/models/README.md", "models")
        self.write("defaults/models/encoder/current", "tiny\n")
        self.write("defaults/models/encoder/tiny/model.onnx", "graph")
        for name in ("config", "models", "data"):
            (root / name).mkdir()

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def give(self, user: int, *names: str) -> None:
        if IS_ROOT:
            for name in names:
                os.chown(self.root / name, user, user, follow_symlinks=False)

    def run(self, *command: str, user: int | None = MOE) -> subprocess.CompletedProcess[str]:
        """As `--user` would; None is the image's own start, as root."""
        who = {"user": user, "group": user, "extra_groups": []} if IS_ROOT and user is not None else {}
        return subprocess.run([str(self.root / "docker" / "entrypoint.sh"), *command], capture_output=True, text=True,
                              timeout=HANG_S, check=False, **who)  # type: ignore[call-overload, no-any-return] # fmt: skip

    def files(self, name: str) -> dict[str, str]:
        folder = self.root / name
        return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def image() -> Iterator[Image]:
    # Not tmp_path, whose parents are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Image(Path(folder) / "app")


@pytest.fixture
def own(image: Image) -> Image:
    """The mounts belong to the one who starts it."""
    image.give(MOE, "config", "models", "data")
    return image


def test_empty_mounts_get_the_defaults_and_nothing_else(own: Image) -> None:
    assert own.run("true").stderr == ""
    assert own.files("config") == {"config.example.json": "{}", "experts.example.json": "[]"}
    assert own.files("models") == own.files("defaults/models")
    assert [path.name for path in (own.root / "models").iterdir() if path.name.startswith(".")] == []
    assert own.files("data") == {}


def test_what_is_there_is_never_touched(own: Image) -> None:
    own.write("config/experts.example.json", "mine")
    own.write("models/tiny.gguf", "weights")
    own.write("models/encoder/current", "another")
    (own.root / "config" / "config.example.json").symlink_to("nowhere")
    assert own.run("true").returncode == 0
    assert own.files("config") == {"experts.example.json": "mine"}
    assert os.readlink(own.root / "config" / "config.example.json") == "nowhere"
    assert own.files("models") == {"tiny.gguf": "weights", "encoder/current": "another", "README.md": "models"}
    before = {path: path.lstat() for path in own.root.rglob("*")}
    own.run("true")
    after = {path: path.lstat() for path in own.root.rglob("*")}
    assert {path: stat.st_ino for path, stat in after.items()} == {path: stat.st_ino for path, stat in before.items()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_copies_ends_it_before_the_command_and_leaves_no_half(own: Image, number: int) -> None:
    slow = own.write("slow/cp", '#!/bin/sh\n/bin/cp "$@"; : > "$0.began"; sleep 0.5\n')
    slow.chmod(0o755)
    own.give(MOE, "slow")
    who = {"user": MOE, "group": MOE, "extra_groups": []} if IS_ROOT else {}
    with subprocess.Popen(
        [str(own.root / "docker" / "entrypoint.sh"), "echo", "served"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"}, text=True, **who,  # type: ignore[call-overload]
    ) as process:
        assert becomes(lambda: (own.root / "slow" / "cp.began").exists())
        process.send_signal(number)
        assert process.communicate(timeout=HANG_S) == ("", "")
    assert process.returncode == 0
    assert own.files("config") == own.files("models") == {}


def test_what_cannot_be_copied_whole_is_not_there_at_all(own: Image) -> None:
    shutil.rmtree(own.root / "defaults" / "models" / "encoder" / "tiny")
    (own.root / "defaults" / "models" / "encoder" / "tiny").mkdir(mode=0)
    done = own.run("echo", "served")
    assert done.returncode != 0 and done.stdout == ""
    assert not (own.root / "models" / "encoder").exists()


def test_it_becomes_the_command_with_its_arguments_and_exit_code(own: Image) -> None:
    code = "import os, sys; print(os.getppid(), sys.argv[1:]); sys.exit(7)"
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin")
    if python is None:
        pytest.skip("no python3 that every user can start")
    done = own.run(python, "-c", code, "two words", "*", "")
    assert (done.returncode, done.stdout) == (7, f"{os.getpid()} ['two words', '*', '']\n")


def test_mounts_that_cannot_be_written_are_named_with_what_follows_and_it_starts_all_the_same(own: Image) -> None:
    for name in ("config", "models", "data"):
        (own.root / name).chmod(0o555)
    done = own.run("echo", "served")
    assert done.stdout == "served\n"
    config, models, data = done.stderr.splitlines()
    user = f"the user {MOE}:{MOE}" if IS_ROOT else f"the user {os.getuid()}:{os.getgid()}"
    assert config.startswith(f"moe: {own.root}/config cannot be written by {user} and has no config.json")
    assert f'"model_path": "{own.root}/defaults/models/encoder/tiny"' in models
    assert data == f"moe: {own.root}/data cannot be written by {user}: no counts and logs are kept"


def test_mounts_that_cannot_be_written_but_lack_nothing_are_fine(own: Image) -> None:
    own.write("config/config.json", "{}")
    own.write("models/encoder/current", "another")
    for name in ("config", "models"):
        (own.root / name).chmod(0o555)
    assert own.run("true").stderr == ""
    assert own.files("config") == {"config.json": "{}"}


@as_root
def test_root_gives_its_mounts_away_but_not_what_is_in_them_and_leaves_those_of_others(image: Image) -> None:
    mine = image.write("models/tiny.gguf", "weights")
    os.chown(image.root / "data", OTHER, OTHER)
    done = image.run("sh", "-c", 'id -u; echo "$1"', "sh", "two  words", user=None)
    assert done.stdout == f"{MOE}\ntwo  words\n"
    owners = {name: (image.root / name).stat().st_uid for name in ("config", "models", "data")}
    assert owners == {"config": MOE, "models": MOE, "data": OTHER}
    assert mine.stat().st_uid == 0
    assert (image.root / "models" / "encoder" / "current").stat().st_uid == MOE
    assert done.stderr.splitlines() == [f"moe: {image.root}/data cannot be written by the user {MOE}:{MOE}: "
                                        "no counts and logs are kept"]  # fmt: skip


@as_root
def test_nothing_of_root_is_left_when_the_command_runs(image: Image) -> None:
    status = image.run("cat", "/proc/self/status", user=None).stdout
    told = {key: value.split() for key, value in (line.split(":", 1) for line in status.splitlines())}
    assert told["Uid"] == told["Gid"] == [str(MOE)] * 4
    assert told["Groups"] == []
    assert told["NoNewPrivs"] == ["1"]
    assert [int(value, 16) for key in ("CapEff", "CapPrm", "CapInh", "CapAmb") for value in told[key]] == [0] * 4


@as_root
def test_a_root_that_cannot_become_another_says_how_to_start(image: Image) -> None:
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    done = subprocess.run([setpriv, "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid",
                           str(image.root / "docker" / "entrypoint.sh"), "echo", "served"],
                          capture_output=True, text=True, timeout=HANG_S, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert f"start the container with --user {MOE}:{MOE}" in done.stderr
