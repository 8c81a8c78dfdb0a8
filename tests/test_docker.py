"""The images, without an engine to build them: what the files say, and their steps and scripts by hand."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import app
from moe import __version__, net
from moe.config.schema import ServerConfig
from moe.config.settings import ROOT
from moe.web.hosts import Hosts
from moe.web.server import GRACE_S, LAST_WORDS_S
from tests.fakes import RefusedPort, SilentPort, fake_ollama, http_error
from tests.live import write_config
from tests.test_service import HANG_S, PARROT, becomes

FILES = ("Dockerfile", "Dockerfile.debian", "Dockerfile.cuda")
HEALTHCHECK = ROOT / "docker" / "healthcheck.py"
FOLDERS = ["/app/config", "/app/models", "/app/data"]
PORT = ServerConfig().port


class Line(NamedTuple):
    word: str
    text: str


Stage = list[Line]


def read_stages(file: str) -> list[Stage]:
    """The instructions of each stage, its FROM first; comments dropped and continued lines joined."""
    text = (ROOT / "docker" / file).read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    lines = [Line(*line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]
    starts = [place for place, line in enumerate(lines) if line.word == "FROM"]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]


def texts(stage: Stage, word: str) -> list[str]:
    return [line.text for line in stage if line.word == word]


def copies(stage: Stage) -> list[tuple[list[str], str]]:
    """What is copied out of the build context, and where to."""
    words = [text.split() for text in texts(stage, "COPY") if not text.startswith("--from")]
    return [(sources, target) for *sources, target in words]


def variables(stage: Stage) -> dict[str, str]:
    return dict(pair.split("=", 1) for text in texts(stage, "ENV") for pair in shlex.split(text))


def ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_left_out(path: str) -> bool:
    """Whether .dockerignore keeps `path`, or a folder above it, out of the context: the last line that fits decides."""
    out = False
    for line in ignored():
        pattern = re.escape(line.lstrip("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if re.match(rf"{pattern}(?:/|\Z)", path):
            out = not line.startswith("!")
    return out


def context() -> list[str]:
    """The files here that reach the context: all that an exception names, less what is left out again."""
    named = [found for line in ignored() if line.startswith("!") for found in ROOT.glob(line[1:])]
    files = [file for found in named for file in ([found] if found.is_file() else found.rglob("*")) if file.is_file()]
    paths = [file.relative_to(ROOT).as_posix() for file in files]
    return [path for path in paths if not is_left_out(path)]


# What the Dockerfiles say


@pytest.mark.parametrize("file", FILES)
def test_every_base_image_is_pinned_to_a_version(file: str) -> None:
    bases = [text.split()[0] for stage in read_stages(file) for text in texts(stage, "FROM")]
    own = {name for stage in read_stages(file) for name in re.findall(r" AS (\w+)", texts(stage, "FROM")[0])}
    outside = [base for base in bases if base not in own]
    assert outside
    assert [base for base in outside if not re.search(r":(?=.*(\d+\.\d+|trixie))", base)] == []


@pytest.mark.parametrize("file", FILES)
def test_what_is_copied_is_there_and_reaches_the_context(file: str) -> None:
    wanted = [source.rstrip("/") for stage in read_stages(file) for sources, _ in copies(stage) for source in sources]
    reached = context()
    assert wanted
    assert [path for path in wanted if not any(f"{known}/".startswith(f"{path}/") for known in reached)] == []


@pytest.mark.parametrize("path", [
    "venv/bin/python", ".git/config", "data/models.json", "logs/moe.log", "config/config.json", "config/experts.json",
    "config/config.json.bak", "models/tiny.gguf", "models/encoder/current", "tests/test_docker.py", ".env",
    "moe/__pycache__/core.cpython-311.pyc", "moe/web/x.pyc", "docker/compose.yaml", "docs/moe.service",
])  # fmt: skip
def test_what_is_the_users_or_not_needed_stays_out_of_the_context(path: str) -> None:
    assert is_left_out(path)


@pytest.mark.parametrize("file", FILES)
def test_the_image_serves_on_the_port_it_exposes_and_keeps_what_its_volumes_hold(file: str) -> None:
    last = read_stages(file)[-1]
    assert texts(last, "EXPOSE") == [str(PORT)]
    assert {"MOE_HOST": "0.0.0.0", "MOE_PORT": str(PORT)}.items() <= variables(last).items()
    assert [json.loads(text) for text in texts(last, "VOLUME")] == [FOLDERS]
    assert variables(last)["MOE_LOGS"].startswith(variables(last)["HOME"] + "/")
    assert variables(last)["HOME"] in FOLDERS
    assert variables(last)["ORT_DISABLE_TELEMETRY"] == "1"  # onnxruntime would report to its maker


@pytest.mark.parametrize("file", FILES)
def test_the_image_starts_with_the_entrypoint_and_no_shell_stands_before_the_server(file: str) -> None:
    last = read_stages(file)[-1]
    assert [json.loads(text) for text in texts(last, "ENTRYPOINT")] == [["/app/docker/entrypoint.sh"]]
    assert [json.loads(text) for text in texts(last, "CMD")] == [["/app/venv/bin/python", "/app/app.py"]]
    assert os.access(ROOT / "docker" / "entrypoint.sh", os.X_OK)


@pytest.mark.parametrize("file", FILES)
def test_the_healthcheck_is_the_script_and_outlasts_its_own_limit(file: str) -> None:
    options, command = texts(read_stages(file)[-1], "HEALTHCHECK")[0].split(" CMD ")
    assert json.loads(command) == ["/app/venv/bin/python", "/app/docker/healthcheck.py"]
    limit = re.search(r"^LIMIT_S = (\d+)$", HEALTHCHECK.read_text(encoding="utf-8"), re.MULTILINE)
    given = re.search(r"--timeout=(\d+)s", options)
    assert limit is not None and given is not None
    assert int(limit[1]) < int(given[1])


@pytest.mark.parametrize("file", FILES)
def test_the_build_has_every_module_that_makes_the_encoder(file: str, tmp_path: Path) -> None:
    build = next(stage for stage in read_stages(file) if texts(stage, "FROM")[0].endswith(" AS build"))
    for sources, target in copies(build):
        for source in sources:
            place = tmp_path / target / ("" if (ROOT / source).is_dir() else Path(source).name)
            place.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, place)
    code = "from moe.encoders.__main__ import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--language" in done.stdout
    assert any("--language" in text and "test -s models/encoder/current" in text for text in texts(build, "RUN"))


@pytest.mark.parametrize("file", FILES[1:])
def test_llama_cpp_is_built_for_other_processors_than_the_one_at_hand(file: str) -> None:
    flags = [text for stage in read_stages(file) for text in texts(stage, "ARG") if text.startswith("CMAKE_ARGS=")]
    assert len(flags) == 1
    assert "-DGGML_NATIVE=OFF" in flags[0] and "-DGGML_AVX2=ON" in flags[0] and "AVX512" not in flags[0]
    assert ("-DGGML_CUDA=ON" in flags[0]) == file.endswith("cuda")


def test_the_images_differ_in_their_base_alone() -> None:
    lasts = [[line for line in read_stages(file)[-1] if line.word != "FROM" and "apt-get" not in line.text]
             for file in FILES]  # fmt: skip
    assert lasts[0] == lasts[1] == lasts[2]
    assert f'version="{__version__}"' in texts(lasts[0], "LABEL")[0]


def test_compose_publishes_to_this_machine_alone_and_waits_for_what_it_needs() -> None:
    compose: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert list(services) == ["moe", "ollama", "open-webui"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert f"127.0.0.1:{PORT}:{PORT}" in published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert [s["image"] for s in services.values() if not re.search(r":(v?\d+\.\d+|general)", s["image"])] == []
    for service in services.values():
        assert {wish["condition"] for wish in service.get("depends_on", {}).values()} <= {"service_healthy"}
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(compose["volumes"])
    assert "test" in services["ollama"]["healthcheck"]


def test_compose_joins_open_webui_to_moe_and_moe_to_ollama() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    ours = services["moe"]
    assert services["open-webui"]["environment"]["OLLAMA_BASE_URL"] == f"http://moe:{PORT}"
    assert Hosts(variables(read_stages("Dockerfile")[-1])["MOE_HOST"], ()).serve(f"moe:{PORT}")
    assert "moe" in services["open-webui"]["depends_on"] and "ollama" in ours["depends_on"]
    assert ours["environment"]["MOE_OLLAMA_URL"] == f"http://ollama:{net.OLLAMA_PORT}"
    assert net.check_url(ours["environment"]["MOE_OLLAMA_URL"]) == ""
    assert [volume.split(":")[1] for volume in ours["volumes"]] == FOLDERS
    assert (ROOT / "docker" / ours["build"]["context"] / ours["build"]["dockerfile"]).exists()
    assert int(ours["stop_grace_period"].removesuffix("s")) > app.DRAIN_S + LAST_WORDS_S + GRACE_S


# What the images do


def ask_health(port: int, **extra: str) -> tuple[int, str]:
    environment = {"MOE_HOST": "0.0.0.0", "MOE_PORT": str(port), **extra}
    done = subprocess.run([sys.executable, str(HEALTHCHECK)], env=environment, capture_output=True, text=True,
                          timeout=HANG_S, check=False)  # fmt: skip
    return done.returncode, done.stdout.strip()


def test_a_server_that_is_not_there_or_says_nothing_or_fails_is_not_healthy() -> None:
    with RefusedPort() as refused:
        code, told = ask_health(refused.port)
        assert code == 1 and "refused" in told
    with SilentPort() as silent:
        code, told = ask_health(silent.port)
        assert code == 1 and told.startswith("no answer: ")
    with fake_ollama([]) as broken:
        broken.script("/health", [http_error(503)])
        assert ask_health(broken.port)[0] == 1


def test_what_the_image_copies_is_a_whole_server_that_its_healthcheck_finds(tmp_path: Path) -> None:
    lay_out(tmp_path)
    shutil.copytree(tmp_path / "defaults" / "config", tmp_path / "config")
    write_config(tmp_path, experts=[PARROT])
    environment = {"MOE_HOST": "127.0.0.1", "MOE_PORT": "0", "HOME": str(tmp_path), "ORT_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "app.py"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            log = tmp_path / "logs" / "moe.log"
            assert becomes(lambda: process.poll() is not None or (log.exists() and "serves on" in log.read_text()))
            found = re.search(r"serves on http://127.0.0.1:(\d+)", log.read_text())
            assert found is not None
            assert ask_health(int(found[1]), http_proxy="http://127.0.0.1:1") == (0, "200")
            process.terminate()
            assert process.wait(HANG_S) == 0
        finally:
            process.kill()
        assert ask_health(int(found[1]))[0] == 1


def lay_out(folder: Path) -> None:
    """What the last stage copies out of the context, as it would lie in /app."""
    reached = context()
    for sources, target in copies(read_stages("Dockerfile")[-1]):
        for source in sources:
            if (ROOT / source).is_file():
                place = folder / target / Path(source).name if target.endswith("/") else folder / target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
            for path in (path for path in reached if path.startswith(f"{source}/")):
                place = folder / target / Path(path).relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, place)
