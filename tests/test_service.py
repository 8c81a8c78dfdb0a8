"""One serving process: the files it makes, the changes it takes, and the ones it refuses."""

from __future__ import annotations

import gc
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from moe.config import Settings
from moe.config.settings import ROOT
from moe.errors import ConfigError
from moe.service import Service, copy_examples
from tests.fakes import answer, fake_ollama
from tests.live import FALLBACK, live_server, write_config
from tests.routing.prompts import EXAMPLES, make_models

HANG_S = 30
PARROT = {**FALLBACK, "type": "echo"}


def becomes(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + HANG_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def labels(url: str) -> list[str]:
    return list(requests.get(f"{url}/health", timeout=HANG_S).json()["experts"])


# The files


def test_the_examples_are_copied_where_nothing_is(tmp_path: Path) -> None:
    made = copy_examples(tmp_path / "config")
    assert [file.name for file in made] == ["config.json", "experts.json"]
    for file in made:
        assert file.read_bytes() == (ROOT / "config" / f"{file.stem}.example.json").read_bytes()
    assert copy_examples(tmp_path / "config") == []


@pytest.mark.parametrize("content", ["{}", "", "{ broken"])
def test_the_user_s_own_files_are_never_written_over(tmp_path: Path, content: str) -> None:
    for name in ("config.json", "experts.json"):
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert copy_examples(tmp_path) == []
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in ("config.json", "experts.json")] == [content] * 2


def test_only_the_missing_one_is_made(tmp_path: Path) -> None:
    (tmp_path / "experts.json").write_text("{}", encoding="utf-8")
    assert copy_examples(tmp_path) == [tmp_path / "config.json"]
    assert (tmp_path / "experts.json").read_text(encoding="utf-8") == "{}"


def test_a_folder_s_own_example_goes_before_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "experts.example.json").write_text('{"experts": []}', encoding="utf-8")
    copy_examples(tmp_path)
    assert (tmp_path / "experts.json").read_text(encoding="utf-8") == '{"experts": []}'


def test_no_experts_are_made_where_the_config_names_its_own(tmp_path: Path) -> None:
    config = {"router": {"categories_file": "config/mine.json"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert copy_examples(tmp_path) == []
    assert not (tmp_path / "experts.json").exists()


def test_a_folder_that_cannot_be_made_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="config: cannot be prepared"):
        copy_examples(tmp_path / "file" / "config")


def test_the_shipped_config_starts_as_it_is(tmp_path: Path) -> None:
    settings = Settings(config_folder=tmp_path / "config", data_folder=tmp_path / "data",
                        models_folder=tmp_path / "models", logs_folder=tmp_path / "logs", ollama_url="127.0.0.1:1")
    service = Service(settings)
    service.start(own=("127.0.0.1", 11435))
    try:
        health = service.gateway().health()
    finally:
        service.close()
    assert (service.host, service.port) == ("127.0.0.1", 11435)
    assert len(health["experts"]) == 13
    assert service.config.warnings == ()


def test_before_the_start_there_is_nothing_to_serve(tmp_path: Path) -> None:
    write_config(tmp_path)
    service = Service(Settings(config_folder=tmp_path / "config", data_folder=tmp_path, models_folder=tmp_path,
                               logs_folder=tmp_path))
    for get in (service.gateway, service.guard):
        with pytest.raises(RuntimeError, match="not started"):
            get()


# Reload


def test_a_changed_file_is_taken_without_being_asked(tmp_path: Path) -> None:
    with live_server(tmp_path, experts=[PARROT]) as server:
        server.service.watch()
        assert labels(server.url) == ["fallback"]
        write_config(tmp_path, experts=[PARROT, {"id": 1, "label": "late", "type": "echo"}])
        assert becomes(lambda: labels(server.url) == ["fallback", "late"])


def test_a_broken_change_keeps_the_last_good_config_and_is_mended_by_the_next(tmp_path: Path) -> None:
    experts = tmp_path / "config" / "experts.json"
    with live_server(tmp_path, experts=[PARROT]) as server, heard("moe.service") as records:
        server.service.watch()
        experts.write_text('{"experts": [\n{"id": 0, "label": "fallback", "timout": 5}]}', encoding="utf-8")
        assert becomes(lambda: any("not reloaded" in text for text in records))
        assert labels(server.url) == ["fallback"]
        assert requests.get(f"{server.url}/health", timeout=HANG_S).json()["status"] == "ok"
        write_config(tmp_path, experts=[PARROT, {"id": 1, "label": "late", "type": "echo"}])
        assert becomes(lambda: labels(server.url) == ["fallback", "late"])
    assert any(f'{experts}:2: at $.experts[0].timout (expert "fallback"): unknown field "timout"' in text
               for text in records)


BROKEN: tuple[tuple[str, Any, str], ...] = (
    ("config.json", "{", "not valid JSON"),
    ("config.json", {"server": {"port": 99999}}, "$.server.port"),
    ("config.json", {"expert_runner": {"ollama_url": "http://169.254.169.254"}}, "link-local"),
    ("config.json", {"router": {"categories_file": "../../etc/passwd"}}, "outside"),
    ("experts.json", {"experts": []}, "no expert has id 0"),
    ("experts.json", {"experts": [FALLBACK, {"id": 1, "label": "fallback"}]}, "already a name"),
    ("experts.json", {"experts": [{**FALLBACK, "url": "http://127.0.0.1:{port}"}]}, "is this server itself"),
)


@pytest.mark.parametrize(("name", "content", "why"), BROKEN, ids=[why for _, _, why in BROKEN])
def test_whatever_is_wrong_with_it_the_old_config_goes_on(tmp_path: Path, name: str, content: Any, why: str) -> None:
    with live_server(tmp_path, experts=[PARROT]) as server, heard("moe.service") as records:
        before = (server.service.gateway(), server.service.guard(), server.service.config)
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "config" / name).write_text(text.replace("{port}", str(server.port)), encoding="utf-8")
        assert server.service.reload() is False
        assert before == (server.service.gateway(), server.service.guard(), server.service.config)
        assert chat(server.url, "still there")["message"]["content"] == "still there"
    assert any("not reloaded" in text and why in text for text in records)


def test_a_file_that_is_gone_keeps_the_last_good_config(tmp_path: Path) -> None:
    with live_server(tmp_path, experts=[PARROT]) as server:
        (tmp_path / "config" / "experts.json").unlink()
        assert server.service.reload() is False
        assert labels(server.url) == ["fallback"]


def test_a_running_stream_ends_whole_on_the_experts_it_began_with(tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(20))
    with fake_ollama(["gemma3:4b"]) as ollama:
        ollama.script("gemma3:4b", [answer(words, chunk_delay_s=0.05)])
        config = {"expert_runner": {"ollama_url": ollama.url}}
        experts = [{**FALLBACK, "model_name": "gemma3:4b"}]
        with live_server(tmp_path, config=config, experts=experts) as server:
            body = {"messages": [{"role": "user", "content": "count"}]}
            with requests.post(f"{server.url}/api/chat", json=body, stream=True, timeout=HANG_S) as reply:
                lines = reply.iter_lines()
                said = [json.loads(next(lines))]
                write_config(tmp_path, config=config, experts=[PARROT])
                assert server.service.reload() is True
                assert chat(server.url, "new ones")["message"]["content"] == "new ones"
                said += [json.loads(line) for line in lines]
    assert "".join(line["message"]["content"] for line in said) == words
    assert said[-1]["done"] is True


def test_a_reload_under_load_loses_no_request(tmp_path: Path) -> None:
    failures: list[object] = []
    over = threading.Event()

    def ask(url: str) -> None:
        while not over.is_set():
            said = chat(url, "hello")
            if said.get("message", {}).get("content") != "hello":
                failures.append(said)

    with live_server(tmp_path, experts=[PARROT]) as server:
        threads = [threading.Thread(target=ask, args=(server.url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(15):
            write_config(tmp_path, experts=[PARROT, {"id": 1, "label": f"number{number}", "type": "echo"}])
            assert server.service.reload()
        over.set()
        for thread in threads:
            thread.join(HANG_S)
        assert labels(server.url) == ["fallback", "number14"]
    assert failures == []


def test_many_reloads_leave_no_threads_behind(tmp_path: Path) -> None:
    with fake_ollama(["gemma3:4b"]) as ollama:
        config = {"expert_runner": {"ollama_url": ollama.url}}
        with live_server(tmp_path, config=config, experts=[{**FALLBACK, "model_name": "gemma3:4b"}]) as server:

            def count() -> int:
                gc.collect()
                return sum(thread.name.startswith("nodes") for thread in threading.enumerate())

            for _ in range(10):
                server.service.reload()
                chat(server.url, "hello")
            assert becomes(lambda: count() <= 8)


def test_who_has_asked_too_often_is_still_refused_after_a_reload(tmp_path: Path) -> None:
    config = {"rate_limit": {"requests_per_minute": 2, "exempt": []}}
    with live_server(tmp_path, config=config, experts=[PARROT]) as server:
        assert [post(server.url, "hello").status_code for _ in range(3)] == [200, 200, 429]
        assert server.service.reload()
        assert post(server.url, "hello").status_code == 429
        write_config(tmp_path, config={"rate_limit": {"requests_per_minute": 5, "exempt": []}}, experts=[PARROT])
        assert server.service.reload()
        assert post(server.url, "hello").status_code == 200


@pytest.mark.parametrize(("key", "value"), [("host", "127.0.0.2"), ("port", 1), ("threads", 16),
                                            ("max_body_bytes_media", 5_000_000)])
def test_what_only_a_start_can_change_is_said(tmp_path: Path, key: str, value: object) -> None:
    with live_server(tmp_path, experts=[PARROT]) as server, heard("moe.service") as records:
        write_config(tmp_path, config={"server": {key: value}}, experts=[PARROT])
        assert server.service.reload()
    assert f"server.{key} takes effect at the next start" in records


def post(url: str, text: str) -> requests.Response:
    body = {"stream": False, "messages": [{"role": "user", "content": text}]}
    return requests.post(f"{url}/api/chat", json=body, timeout=HANG_S)


def chat(url: str, text: str) -> dict[str, Any]:
    said: dict[str, Any] = post(url, text).json()
    return said


@contextmanager
def heard(name: str) -> Iterator[list[str]]:
    """What is logged under `name`, whatever another test set up."""
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield records
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


# The scorer


CHEF = {"id": 1, "label": "chef", "description": "a chef", "examples_file": "chef.jsonl"}
CODER = {"id": 2, "label": "coder", "description": "a coder", "examples": list(EXAMPLES["coder"])}


def test_the_scorer_is_fitted_beside_the_answers_and_again_when_an_examples_file_changes(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    pack = tmp_path / "config" / "chef.jsonl"
    pack.write_text("".join(json.dumps({"text": text}) + "\n" for text in EXAMPLES["chef"]), encoding="utf-8")
    with live_server(tmp_path, config={"router": {"model_path": None}}, experts=[PARROT, CHEF, CODER],
                     models_folder=make_models(tmp_path / "models")) as server:
        server.service.watch()
        assert note(server.url) == "" or "is being fitted" in note(server.url)
        assert becomes(lambda: note(server.url) == "")
        before = scores(server.url, "a sharp knife")
        with pack.open("a", encoding="utf-8") as file:
            file.write('{"text": "which knife is sharp"}\n')
        # Until the new scorer is fitted the four-signal one tells no grams.
        assert becomes(lambda: scores(server.url, "a sharp knife")["chef"].get("grams", 0.0) > before["chef"]["grams"])


def test_lemoe_s_scorer_fits_nothing(tmp_path: Path) -> None:
    with live_server(tmp_path, config={"router": {"model_path": None, "scorer": "lemoe"}}, experts=[PARROT, CODER],
                     models_folder=make_models(tmp_path / "models")) as server:
        assert note(server.url) == ""
        assert "max_keyword" in scores(server.url, "python")["coder"]
    assert not (tmp_path / "data" / "heads").exists()


def note(url: str) -> str:
    return str(requests.get(f"{url}/health", timeout=HANG_S).json()["router"]["note"])


def scores(url: str, text: str) -> dict[str, Any]:
    told: dict[str, Any] = requests.get(f"{url}/v1/route", params={"text": text}, timeout=HANG_S).json()["scores"]
    return told
