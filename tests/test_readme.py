"""The pages for people against the code: every key, path, header, command, file and example they name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from app import create_app
from moe.config import Settings
from moe.config.schema import ConfigFile, ExpertsFile
from moe.config.settings import ROOT
from moe.core import Decision
from moe.experts import Expert
from moe.routing.names import RESERVED
from moe.service import Service
from moe.web.guard import EXPOSED_HEADERS
from tests.embed.kit import make_encoder
from tests.fakes import FakeModel, fake_ollama
from tests.live import FALLBACK, Live, live_server, write_config

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "models/README.md")
ADDRESS = "127.0.0.1:11435"
HANG_S = 60
REQUIRED = "required"


def section(title: str, page: str = README) -> str:
    """What stands under a heading, up to the next of its rank or above."""
    rank = title.split(" ")[0]
    found = re.search(rf"^{re.escape(title)}\n(.*?)(?=^#{{1,{len(rank)}}} |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, headings and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    tables = re.split(r"^\|[-|]+\|$", text, flags=re.MULTILINE)
    assert len(tables) > 1
    heads = {table.rstrip().rpartition("\n")[2] for table in tables[:-1]}
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line not in heads]
    return [[cell.strip() for cell in row] for row in cells]


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


# The configuration


def keys(kind: type, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each key with its default as JSON; a nested section's keys have its name before them."""
    for field in msgspec.structs.fields(kind):
        default = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if isinstance(default, msgspec.Struct):
            yield from keys(type(default), f"{prefix}{field.name}.")
        else:
            plain = REQUIRED if default is msgspec.NODEFAULT else json.loads(msgspec.json.encode(default))
            yield prefix + field.name, plain


REFERENCE = {
    "### config.json": dict(keys(ConfigFile)),
    "### experts.json": dict(keys(ExpertsFile)) | dict(keys(Expert)),
}


@pytest.mark.parametrize("title", REFERENCE)
def test_the_reference_has_every_key_and_no_other(title: str) -> None:
    told = [row[0].strip("`") for row in rows(section(title)) if row[0].startswith("`")]
    assert sorted(told) == sorted(REFERENCE[title])


@pytest.mark.parametrize("title", REFERENCE)
def test_the_reference_gives_every_default_as_it_is(title: str) -> None:
    in_words = {"server.cors_origins"}
    told = {row[0].strip("`"): row[1] for row in rows(section(title)) if row[0].startswith("`")}
    read = {key: json.loads(cell.strip("`")) if cell.startswith("`") else cell for key, cell in told.items()}
    wanted = {key: default for key, default in REFERENCE[title].items() if key not in in_words}
    assert {key: value for key, value in read.items() if key not in in_words} == wanted


def test_every_environment_variable_is_named() -> None:
    code = (ROOT / "moe" / "config" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'env(?:iron)?\.get\("(\w+)"', code))
    told = {name for row in rows(section("### Environment")) for name in re.findall(r"`(\w+)`", row[0])}
    assert told == read


def test_the_shipped_experts_are_the_ones_named() -> None:
    shipped = json.loads((ROOT / "config" / "experts.example.json").read_text(encoding="utf-8"))["experts"]
    told = re.findall(r"`(\w+)`", section("## Experts").split("\n\n")[1])
    assert told == [expert["label"] for expert in shipped if expert["id"]]


def test_the_router_s_own_names_and_the_stages_are_named() -> None:
    text = section("## How a prompt is routed")
    assert all(f"`{name}`" in text + section("## Several experts, one answer") for name in RESERVED)
    stages = {row[0].strip("`") for row in rows(text)}
    known = set(msgspec.json.schema(Decision)["$defs"]["Decision"]["properties"]["stage"]["enum"])
    assert stages == known - {"classifier"}


# HTTP


def test_every_endpoint_is_listed_with_its_methods(tmp_path: Path) -> None:
    write_config(tmp_path)
    service = Service(Settings(config_folder=tmp_path / "config", data_folder=tmp_path, models_folder=tmp_path,
                               logs_folder=tmp_path))
    served: dict[str, set[str]] = {}
    for rule in create_app(service).url_map.iter_rules():
        path = re.sub(r"<\w+:(\w+)>", r"<\1>", rule.rule)
        served.setdefault(path, set()).update((rule.methods or set()) - {"HEAD", "OPTIONS"})
    told = {path.strip("`"): set(re.findall(r"[A-Z]+", methods)) for methods, path, *_ in endpoints()}
    assert told == served


def endpoints() -> list[list[str]]:
    return [row for row in rows(section("## HTTP")) if row[1].startswith("`/")]


def test_every_header_of_an_answer_is_listed() -> None:
    told = [row[0].strip("`") for row in rows(section("## HTTP")) if row[0].startswith("`X-")]
    assert sorted(told) == sorted(set(EXPOSED_HEADERS.split(", ")) - {"Retry-After"})


# Files and commands


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_file_named_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:moe|tests|config|requirements)/[\w./]*\w\.?\w*/?)`", text)
    made = {"config/experts.json", "config/config.json"}
    assert len(named) > 1
    assert [path for path in named if path not in made and not (ROOT / path).exists()] == []


def test_the_map_names_every_room_and_its_modules() -> None:
    table = section("## The map", CONTRIBUTING)
    rooms = {path.parent.name for path in (ROOT / "moe").glob("*/__init__.py")}
    assert {room for room in rooms if f"`moe/{room}/`" not in table} == set()
    alone = {path.name for path in (ROOT / "moe").glob("[a-z]*.py")}
    assert {name for name in alone if f"`moe/{name}`" not in table} == set()


def test_the_names_that_the_trace_mentions_are_in_the_code() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "app.py", *(ROOT / "moe").rglob("*.py")])
    known = set(re.findall(r"(?:def|class) (\w+)|\b(\w+) *[:=]", code))
    words = {word for pair in known for word in pair}
    for title in ("## One request", "## How to add …"):
        names = re.findall(r"`(_?[A-Za-z]\w*(?:\.\w+)?)`", section(title, CONTRIBUTING))
        assert len(names) > 10
        assert [name for name in names if not name.endswith(".py") and name.rpartition(".")[2] not in words] == []


def test_every_dependency_is_explained() -> None:
    told = re.split(r"[, ()`]+", " ".join(row[0] for row in rows(section("## Dependencies", CONTRIBUTING))))
    files = [ROOT / "requirements.txt", *(ROOT / "requirements").glob("*.txt")]
    pinned = {line.split("==")[0] for file in files for line in file.read_text("utf-8").splitlines() if "==" in line}
    assert pinned - {name.replace("_", "-") for name in told} - set(told) == set()


def commands() -> list[str]:
    """Every command of the README, one a line: from its blocks, and from its text and tables."""
    written = [block.replace("\\\n", " ") for block in blocks("sh")] + blocks("sh", CONTRIBUTING)
    inline = re.findall(r"`((?:\./|venv/bin/)[^`]+)`", README + CONTRIBUTING)
    return [line.replace("\\|", "|") for line in [*"".join(written).splitlines(), *inline] if line]


@pytest.mark.parametrize("command", sorted({command for command in commands() if "curl" not in command}))
def test_every_command_named_is_there_with_its_options(command: str) -> None:
    words = command.split(" > ")[0].split()
    program = words[0]
    assert (ROOT / program).exists() or program.startswith("venv/")
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    if "-m" in words:
        module, *rest = words[words.index("-m") + 1 :]
        assert find_spec(module) is not None
        if not options or module == "pip":
            return
        named = rest[:2] if rest[:1] == ["laws"] else rest[:1]
        told = subprocess.run([sys.executable, "-m", module, *(word for word in named if word.isalpha()), "--help"],
                              cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=True).stdout
    elif options:
        told = subprocess.run([str(ROOT / program), "--help"], capture_output=True, text=True, timeout=HANG_S,
                              check=True).stdout
    assert [option for option in options if option not in told] == []


# The examples, run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    models = [FakeModel("gemma3:4b", capabilities=("completion", "tools", "vision")), "phi4:14b"]
    shipped = json.loads((ROOT / "config" / "experts.example.json").read_text(encoding="utf-8"))["experts"]
    folder = tmp_path_factory.mktemp("readme")
    make_encoder(folder / "models" / "encoder" / "all-MiniLM-L6-v2")
    (folder / "models" / "encoder" / "current").write_text("all-MiniLM-L6-v2")
    with fake_ollama(models) as ollama:
        config = {"expert_runner": {"ollama_url": ollama.url}}
        with live_server(folder, config=config, experts=shipped or [FALLBACK]) as live:
            live.gateway.catalog.stand_ins()  # the nodes have been asked once
            yield live


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("block", [block for block in blocks("sh") if "curl" in block])
def test_every_curl_example_is_answered(server: Live, block: str) -> None:
    command = block.replace(ADDRESS, f"{server.host}:{server.port}").replace("curl ", "curl --noproxy '*' -sS --fail ")
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=HANG_S, check=False)
    assert told.returncode == 0, told.stderr
    assert all(json.loads(line) for line in told.stdout.removeprefix("data: ").splitlines())
    assert '"error"' not in told.stdout


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_example_prints_an_answer(server: Live, block: str) -> None:
    code = block.replace(ADDRESS, f"{server.host}:{server.port}")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S, check=False)
    assert told.returncode == 0, told.stderr
    assert "you said:" in told.stdout


def test_the_benchmarks_show_their_figures() -> None:
    section = README.split("## Benchmarks")[1].split("\n## ")[0]
    assert "| chat, 32 clients, share of the floor's throughput |" in section