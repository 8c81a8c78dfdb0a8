"""The scripts, run as they are: with an interpreter that only notes what it is asked, on a PATH made for the test."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ("setup.sh", "start.sh", "test.sh", ".ci/run")
HANG_S = 60
TOOLS = ("bash", "cat", "cksum", "dirname", "env", "getconf", "grep", "id", "mkdir", "sed", "sh", "uniq")

# Answers as an interpreter in a virtual environment would; notes pip, what fills models/, and the server.
INTERPRETER = """#!/bin/sh
here=$(dirname "$0")/../..
for word; do [ "$before" != --models ] || models=$word; before=$word; done
case "$*" in
    *sys.version_info*) echo 3.11 ;;
    *urllib.request.urlopen\\(sys.argv*) exit 1 ;;
    "-c import "*) exit 0 ;;
    -) exec {python} "$@" ;;
    *" pip "*)
        echo "$*" >>"$here/calls"
        case "$*" in *"${{BROKEN:-no such thing}}"*) exit 1 ;; esac ;;
    *moe.encoders*)
        echo "$*" >>"$here/calls"
        mkdir -p "$models/encoder/all-MiniLM-L6-v2"
        echo '{{}}' >"$models/encoder/all-MiniLM-L6-v2/encoder.json"
        echo all-MiniLM-L6-v2 >"$models/encoder/current" ;;
    *moe.weights*)
        echo "$*" >>"$here/calls"
        case "$*" in *"${{BROKEN:-no such thing}}"*) echo "no network" && exit 1 ;; esac
        mkdir -p "$models" && echo GGUF >"$models/tiny.gguf" ;;
    *"-m moe prepare"* | *"-m moe laws"*)
        echo "$*" >>"$here/calls"
        case "$*" in *"${{BROKEN:-no such thing}}"*) exit 1 ;; esac ;;
    *app.py*) echo "$$ $PWD $*" >>"$here/calls" ;;
esac
"""


class Checkout:
    """A copy of the scripts with a fake virtual environment, and a PATH with nothing surprising on it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a check out"
        self.bin = folder / "bin"
        for name in ("setup.sh", "start.sh", "requirements.txt"):
            self.root.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.root)
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        self.tool("uname", "echo Linux")
        self.tool("c++", "true")
        self.calls_file = self.root / "calls"

    def make_venv(self) -> None:
        python = self.root / "venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        (self.root / "venv" / "lib" / "python3.11").mkdir(parents=True)
        python.write_text(INTERPRETER.format(python=sys.executable))
        python.chmod(0o755)

    def add_application(self) -> None:
        """What set-up looks at before it calls on the application."""
        (self.root / "moe").mkdir()
        (self.root / "moe" / "__main__.py").touch()

    def tool(self, name: str, body: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def environment(self, **extra: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "HOME": str(self.root), "OLLAMA_HOST": "127.0.0.1:9"} | extra

    def run(self, *arguments: str, script: str = "setup.sh", cwd: Path | None = None, **extra: str) -> tuple[int, str]:
        done = subprocess.run([str(self.root / script), *arguments], cwd=cwd, env=self.environment(**extra),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=HANG_S, check=False)  # fmt: skip
        return done.returncode, done.stdout

    def calls(self) -> list[str]:
        """What the interpreter was asked since the last time, without pip's constant options."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        self.calls_file.unlink(missing_ok=True)
        return [line.replace("--disable-pip-version-check --no-input --progress-bar off ", "") for line in lines]


BASE = "-m pip install -r requirements.txt"
ENCODER = "-m moe.encoders --language multi --models models"
MODEL = "-m moe.weights --models models"
PREPARE = "-m moe prepare"
LAWS = "-m moe laws import BGB StGB HGB GG"


def pip(*names: str) -> list[str]:
    return [f"-m pip install -r requirements/{name}.txt" for name in names]


@pytest.fixture
def bare(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def checkout(bare: Checkout) -> Checkout:
    bare.make_venv()
    return bare


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    assert checkout.run()[0] == 0
    checkout.calls()
    return checkout


without_nvidia = pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="there is an NVIDIA card here")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_can_be_run_and_parse(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_use_nothing_that_bash_3_2_lacks(script: str) -> None:
    newer = (r"declare -[Ag]", r"local -n", r"\$\{\w+(,,?|\^\^?|@)", r"\b(mapfile|readarray|coproc)\b", "&>>", r"\|&",
             ";;?&", r"printf '%\(", "wait -n")  # fmt: skip
    assert re.findall("|".join(newer), (ROOT / script).read_text()) == []


def test_help_names_every_option_and_touches_nothing(bare: Checkout) -> None:
    code, text = bare.run("--help")
    assert code == 0
    for option in ("--full", "--with", "--model", "--language", "--laws", "--config", "--if-needed", " multi ",
                   "multilingual"):
        assert option in text
    assert not (bare.root / "venv").exists()


@pytest.mark.parametrize("arguments", ["--fast", "--with rocm", "--language fr", "--with", "--with=", "extra"])
def test_what_it_does_not_know_is_refused_with_the_usage(bare: Checkout, arguments: str) -> None:
    code, text = bare.run(*arguments.split())
    assert code == 2
    assert "usage: ./setup.sh" in text


def old_python(checkout: Checkout, version: str) -> None:
    """A python3 of that version; the scripts only ask it through `-c` and `--version`."""
    major, minor = version.split(".")
    checkout.tool("python3", f"""
        case "$1" in
            --version) echo "Python {version}.2" ;;
            -c) exec {sys.executable} -c "import sys, builtins
sys.version_info = ({major}, {minor}, 2)
real = builtins.__import__
def absent(name, *rest):
    if name == 'ensurepip': raise ImportError(name)
    return real(name, *rest)
builtins.__import__ = absent
$2" ;;
        esac""")  # fmt: skip


@pytest.mark.parametrize(
    ("tools", "line"),
    [
        ({"apt-get": "exit 0", "apt-cache": 'case "$2" in python3.1[01]-venv) ;; *) exit 100 ;; esac'},
         "apt-get install -y python3.11 python3.11-venv"),
        ({"apt-get": "exit 0"}, "apt-get install -y python3 python3-venv"),
        ({"dnf": "exit 0"}, "dnf install -y python3.12"),
        ({"pacman": "exit 0"}, "pacman -S --noconfirm python"),
        ({"uname": "echo Darwin"}, "brew install python@3.13"),
        ({}, "https://www.python.org/downloads/"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("version", "said"), [("3.8", "here is Python 3.8.2"), (None, "here is none")])
def test_an_old_or_missing_python_gets_the_install_line(
    bare: Checkout, tools: dict[str, str], line: str, version: str | None, said: str
) -> None:
    for name, body in tools.items():
        bare.tool(name, body)
    if version:
        old_python(bare, version)
    code, text = bare.run()
    assert code == 1
    assert said in text
    assert text.splitlines()[-1].removeprefix("  ").removeprefix("sudo ") == line


def test_a_python_without_its_venv_module_gets_the_line_for_its_own_version(bare: Checkout) -> None:
    bare.tool("apt-get", "exit 0")
    old_python(bare, "3.12")
    code, text = bare.run()
    assert code == 1
    assert "Python 3.12 is here, but its venv module is not" in text
    assert text.splitlines()[-1].endswith("apt-get install -y python3.12-venv")


def test_the_first_run_takes_the_base_packages_and_makes_the_encoder(checkout: Checkout) -> None:
    code, text = checkout.run()
    assert (code, checkout.calls()) == (0, [BASE, ENCODER])
    assert "./start.sh" in text.splitlines()[-1]


def test_where_the_application_is_its_router_is_prepared_after_the_encoder(checkout: Checkout) -> None:
    checkout.add_application()
    code, text = checkout.run("--config", "/etc/mine")
    assert (code, checkout.calls()) == (0, [BASE, ENCODER, "-m moe prepare --config /etc/mine"])
    assert "Router" in text


def test_a_router_that_cannot_be_prepared_fails_no_set_up(checkout: Checkout) -> None:
    checkout.add_application()
    assert checkout.run(BROKEN="moe prepare")[0] == 0
    assert checkout.calls() == [BASE, ENCODER, PREPARE]


def test_with_nothing_new_the_router_is_prepared_only_on_request(ready: Checkout) -> None:
    ready.add_application()
    assert ready.run("--if-needed") == (0, "")
    assert ready.calls() == []
    ready.run()
    assert ready.calls() == [PREPARE]


def test_a_second_run_starts_neither_pip_nor_the_encoder_s_maker(ready: Checkout) -> None:
    assert ready.run()[0] == 0
    assert ready.run("--if-needed") == (0, "")
    assert ready.calls() == []


def test_a_changed_list_is_installed_again_and_no_other(ready: Checkout) -> None:
    ready.run("--with", "extra", "--with=api")
    ready.calls()
    with (ready.root / "requirements" / "extra.txt").open("a") as file:
        file.write("# changed\n")
    ready.run("--with", "extra", "--with", "api")
    assert ready.calls() == pip("extra")


def test_a_venv_of_another_python_is_made_anew(ready: Checkout) -> None:
    shutil.rmtree(ready.root / "venv" / "lib")
    code, text = ready.run()
    assert code == 1
    assert "Python 3.10 or newer is needed" in text


@without_nvidia
def test_full_takes_every_set(ready: Checkout) -> None:
    assert ready.run("--full")[0] == 0
    api, local, torch, extra = pip("api", "local", "torch", "extra")
    assert ready.calls() == [api, local, "-m pip install torch==2.13.0+cpu", torch, extra]


@pytest.mark.parametrize(
    ("expert", "name"),
    [
        ({"type": "api"}, "api"),
        ({"type": "local", "format": "gguf"}, "local"),
        ({"type": "local", "model_path": "models/deep/tiny.gguf"}, "local"),
    ],
)
def test_a_config_that_uses_an_engine_brings_its_packages(ready: Checkout, expert: dict[str, str], name: str) -> None:
    for folder in (ready.root / "config", ready.root.parent / "elsewhere"):
        folder.mkdir()
    (ready.root / "config" / "experts.example.json").write_text(json.dumps({"experts": [{"type": "ollama"}]}))
    ready.run()
    assert ready.calls() == []
    (ready.root.parent / "elsewhere" / "experts.json").write_text(json.dumps({"experts": [expert]}))
    ready.run("--config", "elsewhere", cwd=ready.root.parent)
    assert ready.calls() == pip(name)
    (ready.root / "venv" / f".stamp-{name}").unlink()
    ready.run(MOE_CONFIG=str(ready.root.parent / "elsewhere"))
    assert ready.calls() == pip(name)
    (ready.root / "venv" / f".stamp-{name}").unlink()
    (ready.root / "config" / "experts.json").write_text(json.dumps({"experts": [expert]}, indent=2))
    ready.run()
    assert ready.calls() == pip(name)


@without_nvidia
def test_without_an_nvidia_card_no_other_torch_than_the_cpu_build_is_ever_asked_for(ready: Checkout) -> None:
    code, text = ready.run("--with", "torch", BROKEN="torch")
    assert code == 1
    assert ready.calls() == ["-m pip install torch==2.13.0+cpu"]
    assert "https://download.pytorch.org/whl/cpu:  ./setup.sh --with torch" in text
    assert "Not installed: torch." in text


def test_with_an_nvidia_card_torch_is_taken_as_it_comes(ready: Checkout) -> None:
    ready.tool("nvidia-smi", "exit 0")
    ready.run("--with", "torch")
    assert ready.calls() == pip("torch")


def test_without_a_compiler_local_models_say_what_to_install(ready: Checkout) -> None:
    (ready.bin / "c++").unlink()
    ready.tool("apt-get", "exit 0")
    code, text = ready.run("--with", "local")
    assert (code, ready.calls()) == (1, [])
    assert "apt-get install -y build-essential" in text


def test_what_the_config_asked_for_in_vain_stops_nobody_and_is_tried_again_only_on_request(ready: Checkout) -> None:
    (ready.root / "config").mkdir()
    (ready.root / "config" / "experts.json").write_text('{"experts": [{"type": "api"}]}')
    code, text = ready.run("--if-needed", BROKEN="api.txt")
    assert (code, ready.calls()) == (0, pip("api"))
    assert "Not installed: api. To try again:  ./setup.sh --with api" in text
    assert ready.run("--if-needed") == (0, "")
    assert ready.calls() == []
    assert ready.run("--with", "api")[0] == 0
    assert ready.calls() == pip("api")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("--model", ""),
        ("--model=", ""),
        ("--model --language minilm", ""),
        ("--model qwen3-4b", " qwen3-4b"),
        ("--model=o/r:Q8_0 --with local", " o/r:Q8_0"),
    ],
)
def test_a_model_is_fetched_before_what_runs_it_is_built(ready: Checkout, arguments: str, name: str) -> None:
    code, text = ready.run(*arguments.split(" "))
    assert (code, ready.calls()) == (0, [MODEL + name, *pip("local")])
    assert "In this process: tiny\n" in text


def test_a_model_that_cannot_be_had_ends_the_set_up_before_anything_is_built_for_it(ready: Checkout) -> None:
    code, text = ready.run("--model", "o/r", BROKEN="moe.weights")
    assert (code, ready.calls()) == (1, [f"{MODEL} o/r"])
    assert text.endswith("no network\n")
    assert ready.run("--if-needed") == (0, "")


def test_a_model_in_the_models_folder_brings_its_engine_at_the_next_start(ready: Checkout) -> None:
    (ready.root / "models" / "mine.gguf").write_bytes(b"GGUF")
    code, text = ready.run("--if-needed")
    assert (code, ready.calls()) == (0, pip("local"))
    assert "In this process: mine\n" in text
    assert "No Ollama answers at http://127.0.0.1:9. None is needed.\n" in text
    assert ready.run("--if-needed") == (0, "")


def test_an_engine_that_could_not_be_built_is_tried_again_only_on_request(ready: Checkout) -> None:
    (ready.root / "models" / "mine.gguf").write_bytes(b"GGUF")
    code, text = ready.run("--if-needed", BROKEN="local.txt")
    assert (code, ready.calls()) == (0, pip("local"))
    assert "Not installed: local. To try again:  ./setup.sh --with local" in text
    assert "In this process" not in text
    assert ready.run(script="start.sh") == (0, "")
    assert len(ready.calls()) == 1  # the server
    assert ready.run()[0] == 0
    assert ready.calls() == pip("local")


def test_the_models_folder_is_the_one_the_server_uses(ready: Checkout) -> None:
    elsewhere = ready.root.parent / "my models"
    code, text = ready.run("--model", cwd=ready.root.parent, MOE_MODELS="my models")
    assert (code, "No encoder" in text) == (0, False)
    assert ready.calls() == [f"-m moe.weights --models {elsewhere}", *pip("local"),
                             f"-m moe.encoders --language multi --models {elsewhere}"]  # fmt: skip
    (ready.root / "venv" / ".stamp-local").unlink()
    assert ready.run("--if-needed") == (0, "")
    ready.run("--if-needed", MOE_MODELS=str(elsewhere))
    assert ready.calls() == pip("local")


def test_statutes_are_imported_only_when_asked_for(ready: Checkout) -> None:
    assert ready.run()[0] == 0
    assert ready.calls() == []
    code, text = ready.run("--laws")
    assert (code, ready.calls()) == (0, [LAWS])
    assert "== Statutes: BGB, StGB, HGB, GG" in text
    assert ready.run("--laws", "--if-needed")[0] == 0
    assert ready.calls() == [LAWS]


def test_statutes_that_cannot_be_had_fail_no_set_up(ready: Checkout) -> None:
    code, text = ready.run("--laws", BROKEN="moe laws")
    assert (code, ready.calls()) == (0, [LAWS])
    assert "Not all could be imported. To try again:  ./setup.sh --laws" in text
    assert "./start.sh" in text.splitlines()[-1]


def test_packages_that_cannot_be_had_end_the_set_up(checkout: Checkout) -> None:
    assert checkout.run(BROKEN="requirements.txt")[0] == 1
    assert checkout.calls() == [BASE]


def test_another_language_makes_another_encoder_once(ready: Checkout) -> None:
    ready.run("--language", "minilm")
    assert ready.calls() == []
    ready.run("--language=multilingual")
    assert ready.calls() == ["-m moe.encoders --language multilingual --models models"]


def test_an_encoder_that_could_not_be_made_is_tried_again_only_on_request(ready: Checkout) -> None:
    shutil.rmtree(ready.root / "models")
    assert ready.run("--if-needed") == (0, "")
    assert ready.calls() == []
    ready.run()
    assert ready.calls() == [ENCODER]


def test_on_a_terminal_it_asks_for_the_language(checkout: Checkout) -> None:
    ours, theirs = pty.openpty()
    with open(ours, "r+b", buffering=0) as terminal:
        process = subprocess.Popen([str(checkout.root / "setup.sh")], env=checkout.environment(), stdin=theirs,
                                   stdout=theirs, stderr=theirs, start_new_session=True)  # fmt: skip
        os.close(theirs)
        seen = b""
        while b"[1]: " not in seen:
            seen += terminal.read(4096)
        terminal.write(b"3\n")
        reader = threading.Thread(target=drain, args=(ours,), daemon=True)
        reader.start()
        assert process.wait(HANG_S) == 0
        reader.join(HANG_S)
    assert checkout.calls() == [BASE, "-m moe.encoders --language multilingual --models models"]


def drain(terminal: int) -> None:
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        """Linux ends a terminal's last line with EIO."""


@contextmanager
def ollama(*models: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"models": [{"name": name} for name in models]}).encode()
            self.send_response(200 if self.path == "/api/tags" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_ends_with_the_models_that_ollama_has(ready: Checkout) -> None:
    with ollama("gemma3:4b", "evil\x1b[2J:latest") as address:
        text = ready.run(OLLAMA_HOST=address.replace("127.0.0.1", "0.0.0.0"))[1]
        assert f"Ollama at http://{address}: gemma3:4b, evil[2J:latest\n" in text
        assert f"Ollama at http://{address}: gemma3:4b" in ready.run(MOE_OLLAMA_URL=f"http://{address}/")[1]


def test_an_ollama_without_models_gets_the_pull_line(ready: Checkout) -> None:
    with ollama() as address:
        assert f"Ollama at http://{address}: no model yet. To get one:\n  ollama pull gemma3:4b\n" in \
            ready.run(OLLAMA_HOST=address)[1]


def test_without_ollama_it_ends_with_the_one_line_that_brings_it(ready: Checkout) -> None:
    text = ready.run()[1]
    assert "No Ollama answers at http://127.0.0.1:9. To get it, and a model:" in text
    assert "  curl -fsSL https://ollama.com/install.sh | sh && ollama pull gemma3:4b\n" in text
    assert "Or a model in this process, without Ollama:\n  ./setup.sh --model\n" in text
    ready.tool("ollama", "exit 0")
    assert "  ollama serve & sleep 3; ollama pull gemma3:4b\n" in ready.run()[1]


@pytest.mark.parametrize("spelling", ["--config here", "--config=here"])
def test_start_sets_up_hands_its_arguments_on_and_becomes_the_server(checkout: Checkout, spelling: str) -> None:
    (checkout.root.parent / "here").mkdir()
    (checkout.root.parent / "here" / "experts.json").write_text('{"experts": [{"type": "api"}]}')
    command = [str(checkout.root / "start.sh"), "--port", "1234", *spelling.split()]
    process = subprocess.Popen(command, cwd=checkout.root.parent, env=checkout.environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip
    assert process.wait(HANG_S) == 0
    *made, served = checkout.calls()
    assert made == [BASE, *pip("api"), ENCODER]
    assert served == f"{process.pid} {checkout.root.parent} {checkout.root}/app.py --port 1234 {spelling}"


def test_start_is_quiet_when_everything_is_there(ready: Checkout) -> None:
    assert ready.run(script="start.sh") == (0, "")
    assert ready.run("--help", script="start.sh")[1].startswith("usage: ./start.sh")
    assert len(ready.calls()) == 1
