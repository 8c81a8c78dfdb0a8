"""Addresses that no upstream may have: refused when the config is read, when a name resolves, and in a loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moe.config import Settings
from moe.config.settings import ROOT
from moe.errors import ConfigError
from moe.service import Service
from tests.adversarial.kit import GUARD_S, ask, assert_serves, call, read_text
from tests.adversarial.program import make_environment, running_program
from tests.fakes import fake_ollama
from tests.live import write_config

FALLBACK = {"id": 0, "label": "fallback", "model_name": "good:1b"}
METADATA = (
    "http://169.254.169.254", "http://169.254.169.254.", "http://169.254.169.254:80/latest", "http://2852039166",
    "http://0xA9FEA9FE", "http://0xa9.0xfe.0xa9.0xfe", "http://0251.0376.0251.0376", "http://0251.077524776",
    "http://169.254.43518", "http://169.16689662", "http://[::ffff:169.254.169.254]", "http://[::ffff:a9fe:a9fe]",
    "http://[0:0:0:0:0:ffff:169.254.169.254]", "http://[::169.254.169.254]", "http://[2002:a9fe:a9fe::]",
    "http://[64:ff9b::a9fe:a9fe]", "http://[fe80::1]", "http://[fe80::1%25eth0]", "http://[FE80::A9FE]",
    "http://[fd00:ec2::254]", "http://[fd00:0ec2:0:0:0:0:0:0254]", "http://169.254.170.2", "http://100.100.100.200",
    "http://168.63.129.16", "http://192.0.0.192", "http://metadata.google.internal", "http://METADATA.google.INTERNAL.",
    "http://metadata", "http://metadata.goog/computeMetadata", "http://instance-data", "https://metadata.azure.com",
    "http://224.0.0.1", "http://[ff02::1]",
)
TRICKS = (
    "http://127.0.0.1@169.254.169.254/", "http://169.254.169.254@127.0.0.1/", "http://user:pass@127.0.0.1",
    "http://127.0.0.1#@169.254.169.254", "http://127.0.0.1?@169.254.169.254", "http://127.0.0.1\\@169.254.169.254",
    "http://169。254。169。254", "http://①⑥⑨.254.169.254", "http://127.0.0.1%00.example", "http://[::1",
    "http://127.0.0.1:99999", "http://127.0.0.1:-1", "http://127.0.0.1:port", "http://", "http:///x", "http://a b",
    "http://a\r\nHost: b", "http://\x00", "file:///etc/passwd", "ftp://127.0.0.1", "gopher://127.0.0.1",
    "unix:///run/docker.sock", "javascript:alert(1)", "data:text/plain,x", "//127.0.0.1", "HTTPS//127.0.0.1", "-",
    "http://[127.0.0.1]",
)


def start(folder: Path, *experts: dict[str, Any], **runner: Any) -> Service:
    write_config(folder, config={"expert_runner": runner}, experts=[FALLBACK, *experts])
    service = Service(Settings(config_folder=folder / "config", data_folder=folder / "data",
                               logs_folder=folder / "logs", models_folder=folder / "models"))
    service.start(own=("127.0.0.1", 11435))
    return service


@pytest.mark.parametrize("url", METADATA + TRICKS, ids=ascii)
@pytest.mark.parametrize("key", ["url", "urls", "api_base"])
def test_an_address_that_is_refused_stops_the_start_and_is_named(tmp_path: Path, key: str, url: str) -> None:
    expert: dict[str, Any] = {"id": 7, "label": "odd", "model_name": "m", key: [url] if key == "urls" else url}
    if key == "api_base":
        expert |= {"type": "api", "provider": "openai"}
    with pytest.raises(ConfigError) as refusal:
        start(tmp_path, expert)
    assert len(refusal.value.problems) == 1
    assert "experts.json:1: at $.experts[1]." + key in refusal.value.problems[0]
    assert '(expert "odd")' in refusal.value.problems[0]
    assert "pass@" not in refusal.value.problems[0]


@pytest.mark.parametrize("url", METADATA, ids=ascii)
def test_the_default_ollama_is_held_to_the_same_rules(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError):
        start(tmp_path, ollama_url=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:11435", "http://localhost:11435/", "http://127.1:11435",
                                 "http://[::1]:11435", "http://0.0.0.0:11435", "http://2130706433:11435",
                                 "http://[::ffff:127.0.0.1]:11435", "http://LOCALHOST.:11435", "http://127.9.9.9:11435"])
@pytest.mark.parametrize("key", ["url", "ollama_url", "api_base"])
def test_an_upstream_that_is_this_server_itself_is_refused(tmp_path: Path, key: str, url: str) -> None:
    with pytest.raises(ConfigError, match="this server itself"):
        if key == "ollama_url":
            start(tmp_path, ollama_url=url)
        kind = {"type": "api"} if key == "api_base" else {}
        start(tmp_path, {"id": 7, "label": "odd", "model_name": "m", key: url, **kind})


def test_the_program_refuses_with_every_fault_at_once_and_opens_nothing(tmp_path: Path) -> None:
    odd = [{"id": i, "label": f"odd{i}", "model_name": "m", "url": url} for i, url in enumerate(METADATA[:9], start=1)]
    write_config(tmp_path, experts=[FALLBACK, *odd])
    program = [sys.executable, "app.py", "--port", "0", "--config", str(tmp_path / "config"), "--data", str(tmp_path)]
    ended = subprocess.run(program, cwd=ROOT, env=make_environment(tmp_path, {}), capture_output=True, text=True,
                           timeout=GUARD_S, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("at $.experts[") == 9
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "network").exists()


@pytest.mark.parametrize(("answers", "is_refused"), [
    ([["169.254.169.254"]], True), ([["fd00:ec2::254"]], True), ([["127.0.0.1", "169.254.169.254"]], True),
    ([["::ffff:169.254.169.254"]], True), ([["100.100.100.200"]], True), ([["127.0.0.1"]], False),
], ids=repr)
def test_a_name_that_leads_to_a_refused_address_is_never_connected_to(
    tmp_path: Path, answers: list[list[str]], is_refused: bool
) -> None:
    with fake_ollama(["good:1b"]) as ollama:
        named = f"http://models.example:{ollama.port}"
        experts = [FALLBACK, {"id": 1, "label": "named", "model_name": "good:1b", "url": named}]
        with running_program(tmp_path, config={"expert_runner": {"ollama_url": ollama.url}}, experts=experts,
                             env={"MOE_NAMES": json.dumps({"models.example": answers})}) as program:
            reply = ask(program, model="named", path="/api/chat")
            assert reply.status == 200
            assert reply.headers["x-moe-expert"] == ("fallback" if is_refused else "named")
            told = call(program, "GET", "/health").json["nodes"][named]
            assert (told["up"], told.get("error")) == ((False, "address refused") if is_refused else (True, None))
        reached = {address[0] for event, address in program.network if event == "socket.connect"}
        assert reached == {"127.0.0.1"}


def test_a_name_that_changes_its_mind_is_judged_by_the_answer_that_is_used(tmp_path: Path) -> None:
    names = json.dumps({"models.example": [["127.0.0.1"], ["169.254.169.254"]]})
    with fake_ollama(["good:1b"]) as ollama:
        experts = [FALLBACK, {"id": 1, "label": "named", "model_name": "good:1b",
                              "url": f"http://models.example:{ollama.port}"}]
        with running_program(tmp_path, config={"expert_runner": {"ollama_url": ollama.url}}, experts=experts,
                             env={"MOE_NAMES": names}) as program:
            for _ in range(5):
                ollama.drop_connections()  # so that the name is asked for again
                assert read_text(ask(program, model="named"))
            assert_serves(program)
        assert {where[0] for event, where in program.network if event == "socket.connect"} == {"127.0.0.1"}


# Paths that lead out

@pytest.mark.parametrize("named", ["/etc/passwd", "../../etc/passwd", "config/../../outside.json", "link.json",
                                   "folder/experts.json", "config/\0", "../outside.json"])
def test_a_categories_file_never_leads_out_of_the_configs_home(tmp_path: Path, named: str) -> None:
    home = tmp_path / "home"
    write_config(home, config={"router": {"categories_file": named}}, experts=[FALLBACK])
    outside = tmp_path / "outside.json"
    outside.write_text((home / "config" / "experts.json").read_text())
    (home / "config" / "experts.json").unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "experts.json").write_text(outside.read_text())
    os.symlink(outside, home / "link.json")
    os.symlink(outside, home / "config" / "passwd")
    os.symlink(outside, home / "config" / "outside.json")
    os.symlink(tmp_path / "elsewhere", home / "folder")
    with pytest.raises(ConfigError) as refusal:
        Service(Settings(config_folder=home / "config", data_folder=home / "data", logs_folder=home / "logs",
                         models_folder=home / "models"))
    assert "categories_file" in str(refusal.value)


def test_an_experts_file_that_is_a_link_out_is_refused_too(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_config(home, experts=[FALLBACK])
    (home / "config" / "experts.json").rename(tmp_path / "outside.json")
    os.symlink(tmp_path / "outside.json", home / "config" / "experts.json")
    with pytest.raises(ConfigError, match="outside"):
        Service(Settings(config_folder=home / "config", data_folder=home / "data", logs_folder=home / "logs",
                         models_folder=home / "models"))
