"""JSON that was asked for is JSON that fits, or an error, whoever answers and in every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama, fake_openai, http_error
from tests.live import Live, live_server
from tests.talk import Dialect, Told, talk

AGE = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 130}}, "required": ["age"]}
GOOD, BAD, WORDS = '{"age": 36}', '{"age": 1360}', "I think 36."
EXPERTS = (
    {"id": 1, "label": "primary", "model_name": "main:4b", "fallback": "spare", "system_prompt": "Be exact."},
    {"id": 2, "label": "spare", "model_name": "spare:4b"},
    {"id": 3, "label": "parrot", "type": "echo", "fallback": "parrot"},
    {"id": 0, "label": "fallback", "model_name": "main:4b"},
)
WAYS: list[tuple[Dialect, bool]] = [("openai", False), ("openai", True), ("ollama", False), ("ollama", True),
                                    ("generate", False), ("generate", True)]
ways = pytest.mark.parametrize(("dialect", "stream"), WAYS)
wholes = pytest.mark.parametrize("dialect", ["openai", "ollama", "generate"])


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel("main:4b", loaded=True), FakeModel("spare:4b", loaded=True)]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0}}
    with live_server(tmp_path_factory.mktemp("structured"), config=config, experts=EXPERTS) as live:
        yield live


@pytest.fixture(autouse=True)
def _quiet(ollama: FakeOllama) -> None:
    for model in ("main:4b", "spare:4b"):
        ollama.script(model, [])
    ollama.forget_requests()


def want(dialect: Dialect, schema: Any = AGE) -> dict[str, Any]:
    if dialect != "openai":
        return {"format": schema}
    if schema == "json":
        return {"response_format": {"type": "json_object"}}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "age", "schema": schema}}}


def ask(server: Live, dialect: Dialect, stream: bool, schema: Any = AGE, **more: Any) -> Told:
    return talk(server.url, "How old is she?", dialect=dialect, stream=stream, model="primary",
                **want(dialect, schema), **more)


def asked(ollama: FakeOllama, model: str = "main:4b") -> list[Any]:
    return [r.json for r in ollama.requests_for(model) if r.path in ("/api/chat", "/api/generate")]


@ways
def test_what_fits_passes_as_it_came(server: Live, ollama: FakeOllama, dialect: Dialect, stream: bool) -> None:
    ollama.script("main:4b", [answer(chunks=['{"age"', ": 3", "6}"])])
    told = ask(server, dialect, stream)
    assert (told.is_good, told.text, told.expert) == (True, GOOD, "primary")
    assert len(asked(ollama)) == 1


@wholes
@pytest.mark.parametrize("wrong", [BAD, WORDS, "{}", '{"age": 3'])
def test_what_does_not_is_asked_again_once_with_the_fault(
    server: Live, ollama: FakeOllama, dialect: Dialect, wrong: str
) -> None:
    ollama.script("main:4b", [answer(chunks=[wrong]), answer(chunks=[GOOD])])
    told = ask(server, dialect, False)
    assert (told.is_good, told.text, told.expert, told.fallback) == (True, GOOD, "primary", None)
    first, second = asked(ollama)
    assert second["format"] == first["format"] == AGE
    *former, said, note = second["messages"]
    assert former == first["messages"]
    assert (said["role"], said["content"], note["role"]) == ("assistant", wrong, "user")
    assert ("130" in note["content"]) == (wrong == BAD)


@ways
@pytest.mark.parametrize("model", ["primary", "main:4b"])
@pytest.mark.parametrize("chunks", [[f"```json\n{GOOD}\n```"], ["\n", "```", "json\n", *GOOD, "\n``", "`\n"]])
def test_a_code_block_is_taken_off_though_the_server_was_to_bind_what_it_writes(
    server: Live, ollama: FakeOllama, dialect: Dialect, stream: bool, model: str, chunks: list[str]
) -> None:
    ollama.script("main:4b", [answer(chunks=chunks)])
    told = talk(server.url, "How old?", dialect=dialect, stream=stream, model=model, **want(dialect))
    assert (told.is_good, told.text) == (True, GOOD)
    assert len(asked(ollama)) == 1


@pytest.mark.parametrize("dialect", ["openai", "ollama", "generate"])
def test_a_stream_that_begins_with_words_is_held_back_and_asked_again(
    server: Live, ollama: FakeOllama, dialect: Dialect
) -> None:
    ollama.script("main:4b", [answer(chunks=[" ", "I think", " 36."]), answer(chunks=[GOOD])])
    told = ask(server, dialect, True)
    assert (told.is_good, told.text, told.expert) == (True, GOOD, "primary")
    assert len(asked(ollama)) == 2


@wholes
def test_twice_wrong_goes_to_the_next(server: Live, ollama: FakeOllama, dialect: Dialect) -> None:
    ollama.script("main:4b", [answer(chunks=[WORDS])])
    ollama.script("spare:4b", [answer(chunks=[GOOD])])
    told = ask(server, dialect, False)
    assert (told.is_good, told.text, told.expert, told.fallback) == (True, GOOD, "spare", "primary")
    assert (len(asked(ollama)), len(asked(ollama, "spare:4b"))) == (2, 1)


@wholes
def test_when_nobody_keeps_to_it_the_client_is_told_and_no_breaker_opens(
    server: Live, ollama: FakeOllama, dialect: Dialect
) -> None:
    for model in ("main:4b", "spare:4b"):
        ollama.script(model, [answer(chunks=[BAD])])
    for _ in range(4):
        told = ask(server, dialect, False)
        assert (told.status, told.error) == (502, "the answer breaks properties/age/maximum of the schema")
        assert "1360" not in told.raw
        if dialect == "openai":
            assert told.code == "invalid_structured_output"
    assert len(asked(ollama)) == 8
    ollama.script("main:4b", [answer(chunks=[GOOD])])
    assert ask(server, dialect, False).expert == "primary"


def test_no_more_than_one_other_expert_is_asked_whom_the_form_binds(tmp_path: Path) -> None:
    names = [f"m{number}:4b" for number in range(6)]
    with fake_ollama([FakeModel(name, loaded=True) for name in names]) as many:
        for name in names:
            many.script(name, [answer(chunks=[WORDS])])
        experts = [{"id": 1, "label": "one", "model_name": names[0], "fallback": "parrot"},
                   {"id": 2, "label": "parrot", "type": "echo", "fallback": "two"},
                   {"id": 3, "label": "two", "model_name": names[1], "fallback": "three"},
                   {"id": 0, "label": "three", "model_name": names[2]}]
        config = {"expert_runner": {"ollama_url": many.url}}
        with live_server(tmp_path, config=config, experts=experts) as live:
            told = talk(live.url, dialect="openai", stream=False, model="one", **want("openai"))
        assert (told.status, told.code) == (502, "invalid_structured_output")
        assert told.headers["x-should-retry"] == "false"
        assert [len(asked(many, name)) for name in names] == [2, 2, 0, 0, 0, 0]


@pytest.mark.parametrize("dialect", ["openai", "ollama", "generate"])
def test_a_stream_that_was_bound_and_breaks_the_form_all_the_same_ends_in_an_error(
    server: Live, ollama: FakeOllama, dialect: Dialect
) -> None:
    ollama.script("main:4b", [answer(chunks=['{"age"', ": 13", "60}"])])
    told = ask(server, dialect, True)
    assert (told.status, told.has_ended, told.text) == (200, False, BAD)
    assert told.error == "the answer breaks properties/age/maximum of the schema"
    if dialect == "openai":
        assert told.code == "invalid_structured_output"
    assert len(asked(ollama)) == 1


@ways
def test_json_without_a_schema_is_checked_too(
    server: Live, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    ollama.script("main:4b", [answer(chunks=['{"any": "thing"}'])])
    assert ask(server, dialect, stream, "json").text == '{"any": "thing"}'
    ollama.script("main:4b", [answer(chunks=["[1]"])])
    ollama.script("spare:4b", [answer(chunks=["no"])])
    told = ask(server, dialect, stream, "json")
    assert told.error and not told.is_good


@ways
def test_what_was_cut_at_its_limit_says_so_and_is_not_asked_again(
    server: Live, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    ollama.script("main:4b", [answer(chunks=['{"age"', ": 3"], finish="length")])
    told = ask(server, dialect, stream)
    assert (told.status, told.text, told.finish) == (200, '{"age": 3', "length")
    assert len(asked(ollama)) == 1


def test_a_call_is_not_held_to_the_form(server: Live, ollama: FakeOllama) -> None:
    ollama.script("main:4b", [answer(tool_calls=[("weather", {"city": "Bonn"})])])
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    told = ask(server, "openai", False, tools=[tool])
    assert (told.status, told.finish) == (200, "tool_calls")


@ways
@pytest.mark.parametrize("schema", [{"type": "obj"}, {"pattern": "["}, {"$ref": "http://127.0.0.1:9/x"}])
def test_what_is_no_schema_is_refused_before_anybody_is_asked(
    server: Live, ollama: FakeOllama, dialect: Dialect, stream: bool, schema: Any
) -> None:
    told = ask(server, dialect, stream, schema)
    assert told.status == 400
    assert told.error.startswith("the JSON schema of the answer cannot be used: ")
    assert not asked(ollama)


@ways
def test_reasoning_before_the_json_is_no_part_of_it(
    server: Live, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    ollama.script("main:4b", [answer(chunks=["<think>", "She is", " 36.</thi", "nk>\n", GOOD])])
    told = ask(server, dialect, stream)
    assert (told.is_good, told.text) == (True, GOOD)


# Whom nothing binds


def parrot(server: Live, says: str, *, dialect: Dialect = "ollama", stream: bool = False, **more: Any) -> Told:
    return talk(server.url, says, dialect=dialect, stream=stream, model="parrot", **want(dialect), **more)


@ways
@pytest.mark.parametrize("says", [GOOD, f"```json\n{GOOD}\n```", f"<think>Hm.</think>```\n{GOOD}\n```"])
def test_the_code_block_of_a_model_that_was_not_bound_is_taken_off(
    server: Live, dialect: Dialect, stream: bool, says: str
) -> None:
    told = parrot(server, says, dialect=dialect, stream=stream)
    assert (told.is_good, told.text, told.expert) == (True, GOOD, "parrot")


@pytest.mark.parametrize("stream", [False, True])
def test_its_stream_is_held_back_until_it_is_known_to_be_good(
    server: Live, ollama: FakeOllama, stream: bool
) -> None:
    ollama.script("main:4b", [answer(chunks=[GOOD])])
    told = parrot(server, WORDS, stream=stream)
    assert (told.is_good, told.text, told.expert, told.fallback) == (True, GOOD, "fallback", "parrot")


def test_a_server_that_takes_no_schema_is_told_it_in_words(tmp_path: Path) -> None:
    with fake_openai(["gpt-4o"]) as fake:
        fake.script("gpt-4o", [answer(chunks=[BAD]), answer(chunks=[GOOD])])
        experts = [{"id": 0, "label": "cloud", "type": "api", "model_name": "gpt-4o", "api_base": fake.api_base}]
        with live_server(tmp_path, experts=experts) as server:
            told = talk(server.url, dialect="openai", stream=False, model="cloud", **want("openai"))
        assert (told.is_good, told.text) == (True, GOOD)
        first, second = (json.loads(request.body) for request in fake.requests_for("gpt-4o"))
        assert first["response_format"]["json_schema"]["schema"] == AGE
        assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]


def test_a_failure_before_the_first_word_is_no_matter_of_form(server: Live, ollama: FakeOllama) -> None:
    ollama.script("main:4b", [http_error(500)])
    ollama.script("spare:4b", [answer(chunks=[GOOD])])
    told = ask(server, "openai", True)
    assert (told.is_good, told.text, told.fallback) == (True, GOOD, "primary")
