"""`check`: whether a start would accept the configuration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from moe.config.settings import ROOT
from tests.cli.house import EXPERTS, House
from tests.config.test_lemoe import LEMOE


def test_a_good_config_is_fine(inside: House) -> None:
    done = inside.moe("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{inside.folder}/config is fine: 3 experts, 0 warnings\n"


def test_the_shipped_config_is_fine_and_made_from_the_examples(inside: House) -> None:
    folder = inside.folder / "shipped"
    folder.mkdir()
    for name in ("config", "experts"):
        shutil.copy(ROOT / "config" / f"{name}.example.json", folder)
    done = inside.moe("check", "--config", "shipped")
    assert done.returncode == 0
    assert "is fine: 13 experts" in done.stdout
    assert done.stderr.splitlines() == [f"made {folder}/{name}.json from the example" for name in ("config", "experts")]


def test_every_error_of_a_broken_config_has_its_file_line_and_expert(inside: House) -> None:
    (inside.folder / "config" / "config.json").write_text('{\n "server": {\n  "prot": 1\n }\n}\n')
    (inside.folder / "config" / "experts.json").write_text(
        '{"experts": [\n {"id": 1, "label": "a/b",\n  "keywords": "x"},\n {"id": 1, "label": "two", "tipe": "api"}\n]}'
    )
    done = inside.moe("check")
    config = f"{inside.folder}/config"
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        f'error: {config}/config.json:3: at $.server.prot: unknown field "prot"; did you mean "port"?',
        f'error: {config}/experts.json:3: at $.experts[0].keywords (expert "a/b"): expected array, got str',
        f'error: {config}/experts.json:4: at $.experts[1].tipe (expert "two"): unknown field "tipe"; '
        'did you mean "type"?',
        f"error: {config}/experts.json:1: at $.experts: no expert has id 0: one must be the fallback",
        f'error: {config}/experts.json:2: at $.experts[0].label (expert "a/b"): '
        '"a/b" must be a visible name without / \\ .. or an ending :latest',
        f'error: {config}/experts.json:4: at $.experts[1].id (expert "two"): the id 1 stands twice',
        "refused: 6 errors",
    ]


def test_warnings_do_not_refuse(inside: House) -> None:
    few = {"id": 3, "label": "few", "model_name": "auto", "keywords": ["x"], "regex_triggers": []}
    inside.write(experts=[*EXPERTS, few])
    done = inside.moe("check")
    assert done.returncode == 0
    assert [line.split(": ")[0] for line in done.stdout.splitlines()[:-1]] == ["warning"] * 2
    assert '(expert "few"): "regex_triggers" belongs to LeMoE' in done.stdout
    assert '(expert "few"): 1 keywords; 15 or more route better' in done.stdout


def test_what_would_not_run_here_is_a_warning(inside: House) -> None:
    shutil.copytree(LEMOE, inside.folder / "lemoe")
    done = inside.moe("check", "--config", "lemoe", env={"OPENAI_API_KEY": ""})
    assert done.returncode == 0
    told = done.stdout.splitlines()
    assert 'warning: expert "cloud" cannot answer: the environment variable OPENAI_API_KEY is not set' in told
    assert 'warning: expert "local_math" cannot answer: models/math.gguf is not there' in told
    assert 'warning: expert "local_translate" cannot answer: models/t5-small is not there' in told
    assert any("all-MiniLM-L6-v2" in line for line in told)
    assert told[-1].endswith("5 experts, 4 warnings")


def test_a_missing_encoder_is_a_warning_unless_keywords_were_chosen(inside: House) -> None:
    inside.write(config={"router": {"model_path": None}})
    assert "warning: no encoder" in inside.moe("check").stdout


@pytest.mark.parametrize(
    ("config", "experts", "told"),
    [
        ({"server": {"port": 4711}, "expert_runner": {"ollama_url": "http://localhost:4711"}}, EXPERTS,
         "is this server itself"),
        ({"server": {"port": 4711}}, [*EXPERTS, {"id": 3, "label": "loop", "url": "http://127.0.0.1:4711"}],
         'expert "loop": http://127.0.0.1:4711 is this server itself'),
        ({"expert_runner": {"ollama_allowed_hosts": ["localhost"]}},
         [*EXPERTS, {"id": 3, "label": "far", "url": "http://ollama.example.org"}],
         'expert "far": ollama.example.org is not in ollama_allowed_hosts'),
    ],
)
def test_what_only_a_start_would_refuse_is_refused_too(
    inside: House, config: Mapping[str, Any], experts: Any, told: str
) -> None:
    inside.write(config=config, experts=experts)
    done = inside.moe("check", env={"MOE_PORT": ""})
    assert done.returncode == 2
    assert told in done.stdout


def test_a_folder_that_is_not_there_is_refused_and_not_made(inside: House) -> None:
    done = inside.moe("check", "--config", "typo")
    assert (done.returncode, done.stdout) == (2, f"error: {inside.folder}/typo: is not a folder\nrefused: 1 error\n")
    assert not (inside.folder / "typo").exists()


def test_a_terminal_sequence_in_a_label_is_shown_and_not_obeyed(inside: House) -> None:
    text = json.dumps({"experts": [{"id": 0, "label": "\x1b[2J"}]})
    (inside.folder / "config" / "experts.json").write_text(text)
    done = inside.moe("check")
    assert done.returncode == 2
    assert "\x1b" not in done.stdout


def test_a_port_that_is_none_is_a_misuse(inside: House) -> None:
    done = inside.moe("check", env={"MOE_PORT": "http"})
    assert (done.returncode, done.stderr) == (2, "moe: MOE_PORT must be a port number, not 'http'\n")


def test_no_secret_is_shown(inside: House, tmp_path: Path) -> None:
    cloud = {"id": 3, "label": "cloud", "type": "api", "model_name": "gpt-4o", "api_key_env": "sk-secret-1"}
    inside.write(experts=[*EXPERTS, cloud])
    done = inside.moe("check")
    assert done.returncode == 2
    assert "sk-secret" not in done.stdout + done.stderr
