"""What an API says beside text: refusals, filters, counts, calls that grow, bare completions."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from msgspec import structs

from moe.backends.api import Api
from moe.backends.api_reader import ChunkReader, read_columns
from moe.backends.engine import Engine
from moe.config import RunnerConfig
from moe.core import (
    ChatRequest,
    Completion,
    Done,
    Extract,
    Heartbeat,
    Image,
    Message,
    Refusal,
    Sampling,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    ToolCallPiece,
    ToolResult,
)
from moe.errors import BackendError, BadAnswer, BrokenStream, UpstreamFailure, UpstreamRefusal
from moe.experts import Expert
from tests.backends.rig import MODEL, Rig, api_rig, ask, end_of, said, text_of
from tests.fakes import answer, cut, error_line, fake_openai, garbage, http_error, no_done, stall
from tests.fakes.probe import WEATHER

PROVIDERS = ["", "openai", "hosted_vllm", "openrouter", "mistral", "deepseek"]
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}


def events(*choices: dict[str, Any], **beside: Any) -> Any:
    """An answer frame by frame, just so; `beside` stands in a last frame without a choice."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    frames = [json.dumps({**head, "choices": [{"index": 0, **choice}]}) for choice in choices]
    if beside:
        frames.append(json.dumps({**head, "choices": [], **beside}))
    return garbage("".join(f"data: {frame}\n\n" for frame in (*frames, "[DONE]")).encode(),
                   media_type="text/event-stream")


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {"delta": said, "finish_reason": finish}


def arguments(text: str, index: int = 0, **head: str) -> dict[str, Any]:
    name = {"name": head.pop("name")} if "name" in head else {}
    return delta(tool_calls=[{"index": index, **head, "type": "function", "function": {**name, "arguments": text}}])


def frame(choice: dict[str, Any] | None, **beside: Any) -> bytes:
    choices = [] if choice is None else [{"index": 0, **choice}]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return json.dumps({**head, "choices": choices, **beside}).encode()


def raw(*frames: bytes) -> Any:
    """The same, of whatever bytes."""
    return garbage(b"".join(b"data: " + each + b"\n\n" for each in frames), media_type="text/event-stream")


# Refusals and filters


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_refusal_is_told_as_one(engine: Engine, provider: str) -> None:
    with api_rig(engine, provider=provider) as rig:
        rig.plays(events(delta(role="assistant", content="", refusal=None), delta(refusal="I "),
                         delta(refusal="won’t."), delta("stop")))
        chunks = rig.chat()
    assert chunks[:-1] == [Refusal("I "), Refusal("won’t.")]
    assert end_of(chunks).finish == "stop"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("said", ["", "The fir"])
def test_what_a_filter_took_away_is_told(engine: Engine, provider: str, said: str) -> None:
    with api_rig(engine, provider=provider) as rig:
        rig.plays(events(delta(role="assistant", content=said), delta("content_filter")))
        chunks = rig.chat()
    assert (text_of(chunks), end_of(chunks).finish) == (said, "content_filter")


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_a_call_that_was_cut_is_no_call(api: Rig, finish: str) -> None:
    api.plays(events(delta(tool_calls=[CALL]), arguments('{"city": "Bo'), delta(finish)))
    chunks = api.chat(tools=(WEATHER,))
    assert not any(isinstance(chunk, ToolCall) for chunk in chunks)
    assert end_of(chunks).finish == finish


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("cut", ['{"eur": 1', "", '{"eur": "a}', '{"a": {"b": 1}'])
def test_whatever_the_provider_a_limit_stays_one(engine: Engine, provider: str, cut: str) -> None:
    with api_rig(engine, provider=provider) as rig:
        rig.plays(events(arguments("{}", name="now", id="c0"), delta(tool_calls=[CALL | {"index": 1}]),
                         arguments(cut, 1), delta("length")))
        chunks = rig.chat(tools=(WEATHER, {"type": "function", "function": {"name": "now", "parameters": {}}}))
    assert [chunk.name for chunk in chunks if isinstance(chunk, ToolCall)] == ["now"]
    assert end_of(chunks).finish == "length"


@pytest.mark.parametrize(("said", "finish"), [(8, "length"), (7, "tool_calls")])
def test_a_limit_is_known_by_the_count_too(api: Rig, said: int, finish: str) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": said}
    api.plays(events(delta(tool_calls=[CALL]), arguments('{"city": "Bo'), delta("tool_calls"), usage=usage))
    chunks = api.chat(tools=(WEATHER,), sampling=Sampling(max_tokens=8))
    assert end_of(chunks).finish == finish
    assert any(isinstance(chunk, ToolCall) for chunk in chunks) is (finish == "tool_calls")


# Holes


@pytest.mark.parametrize("bad", [b'{"eur', b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}', b"[1]", b"5",
                                 b'"x"', b'{"choices":"x"}', b'{"choices":["x"]}', b'{"choices":[{"delta":"x"}]}'])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_with_a_hole_is_none(engine: Engine, provider: str, bad: bytes) -> None:
    frames = [frame(delta(content=word)) for word in ("one ", "two ", "three")]
    end = [frame(delta("stop")), frame(None, usage={"prompt_tokens": 1, "completion_tokens": 4}), b"[DONE]"]
    with api_rig(engine, provider=provider) as rig:
        for place in range(4):
            rig.plays(raw(*frames[:place], bad, *frames[place:], *end))
            with pytest.raises(BadAnswer):
                rig.chat()


def test_nor_is_a_call_that_lost_a_part(api: Rig) -> None:
    said = (arguments('{"eur": 1', name="pay", id="c1"), arguments("0}"), delta("tool_calls"))
    parts = [frame(part) for part in said]
    usage = frame(None, usage={"prompt_tokens": 1, "completion_tokens": 0})
    pay = {"type": "function", "function": {"name": "pay", "parameters": {}}}
    for lines in ([parts[0], parts[1][:-9], *parts[1:]], [parts[0], b"{]", *parts[1:]], [b"{]", *parts]):
        api.plays(raw(*lines, usage, b"[DONE]"))
        got: list[Any] = []
        with pytest.raises(BadAnswer):
            got.extend(api.open(tools=(pay,)))
        assert not any(isinstance(chunk, ToolCall) for chunk in got)


def test_what_only_keeps_a_stream_alive_is_no_hole(api: Rig) -> None:
    body = raw(frame(delta(content="hi")), frame(delta("stop")), b"[DONE]").body
    noise = b": PROCESSING\n\n\r\n\0\nevent: message\nid: 7\nretry: 5\ndata:\n\n"
    api.plays(garbage(noise + body.replace(b"\n\n", b"\n\n" + noise, 1), media_type="text/event-stream"))
    assert text_of(api.chat()) == "hi"


def test_a_model_may_say_the_same_a_thousand_times(api: Rig) -> None:
    api.plays(raw(*[frame(delta(content="again "))] * 1000, frame(delta("stop")), b"[DONE]"))
    assert text_of(api.chat()) == "again " * 1000


@pytest.mark.parametrize("said", [delta(refusal="I won’t."), delta(content="")], ids=["refusal", "filter"])
def test_neither_is_asked_again_where_a_call_was_demanded(api: Rig, said: dict[str, Any]) -> None:
    api.plays(events(said, delta("content_filter")))
    chunks = api.chat(tools=(WEATHER,), tool_choice="required")
    assert (end_of(chunks).finish, len(api.asked)) == ("content_filter", 1)


# Counts


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_was_cached_and_what_was_thought_is_counted(engine: Engine, provider: str) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
             "prompt_tokens_details": {"cached_tokens": 6}, "completion_tokens_details": {"reasoning_tokens": 3}}
    with api_rig(engine, provider=provider) as rig:
        rig.plays(events(delta(content="hi"), delta("stop"), usage=usage))
        told = end_of(rig.chat()).usage
        assert told is not None
        assert (told.prompt_tokens, told.completion_tokens, told.cached_tokens, told.reasoning_tokens) == (9, 5, 6, 3)


@pytest.mark.parametrize("usage", ["counted", None])
def test_what_nobody_says_is_not_known(api: Rig, usage: Any) -> None:
    api.plays(answer("hi", usage=usage))
    told = end_of(api.chat()).usage
    assert told is not None and told.estimated is (usage is None)
    assert (told.cached_tokens, told.reasoning_tokens) == (None, None)


# Calls that grow


def test_a_call_is_shown_from_its_first_part_on(api: Rig) -> None:
    api.plays(stall(after=2, for_s=60, tool_calls=[("get_weather", {"city": "Bonn"})]))
    chunks = api.open(tools=(WEATHER,))
    began = time.monotonic()
    first = next(chunk for chunk in chunks if not isinstance(chunk, Heartbeat))
    assert first == ToolCallPiece("call_0_get_weather", "get_weather", "")
    assert time.monotonic() - began < 5
    chunks.close()


def test_the_pieces_of_a_call_are_the_call_and_come_before_the_next_one(api: Rig) -> None:
    given = {"city": "Zürich", "days": 3}
    api.plays(answer(tool_calls=[("get_weather", given), ("sleep", {"note": "z" * 40}), ("now", {})]))
    chunks = api.chat(tools=(WEATHER,))
    pieces: dict[str, str] = {}
    told: list[str] = []
    for chunk in chunks:
        if isinstance(chunk, ToolCallPiece):
            assert chunk.id not in told
            pieces[chunk.id] = pieces.get(chunk.id, "") + chunk.arguments
        elif isinstance(chunk, ToolCall):
            assert chunk.arguments.startswith(pieces[chunk.id])
            assert set(pieces) == {*told, chunk.id}
            told.append(chunk.id)
    assert len(told) == 3
    assert json.loads(pieces[told[0]]) == given


class _Part:
    """A part of a call as LiteLLM gives it."""

    def __init__(self, index: int, text: str, name: str = "", call_id: str = "") -> None:
        self.index, self.id = index, call_id
        self.function = type("Function", (), {"name": name, "arguments": text})


def read(*parts: _Part, names: tuple[str, ...] = ()) -> list[Any]:
    reader = ChunkReader(names)
    found: list[Any] = []
    for part in parts:
        told = type("Delta", (), {"content": "", "tool_calls": [part]})
        choice = type("Choice", (), {"finish_reason": "tool_calls", "delta": told})
        found += reader.read(type("Piece", (), {"choices": [choice]}))
    ended = type("Stream", (), {"received_finish_reason": "stop", "chunks": []})
    return [*found, *reader.finish(ended)]


def test_calls_that_mingle_are_told_one_after_the_other() -> None:
    told = read(_Part(0, "", "f", "a"), _Part(1, "", "g", "b"), _Part(1, '{"y":'), _Part(0, '{"x"'), _Part(0, ":1}"),
                _Part(1, "2}"))
    assert told[:-1] == [
        ToolCallPiece("a", "f", '{"x"'), ToolCallPiece("a", "f", ":1}"), ToolCall("a", "f", '{"x":1}'),
        ToolCallPiece("b", "g", '{"y":2}'), ToolCall("b", "g", '{"y":2}')]


def test_a_name_in_two_parts_is_shown_whole() -> None:
    told = read(_Part(0, "", "get_", "a"), _Part(0, "", "time"), _Part(0, "{}"))
    assert told[:-1] == [ToolCallPiece("a", "get_time", "{}"), ToolCall("a", "get_time", "{}")]


def test_a_call_without_an_id_keeps_the_one_it_was_shown_under() -> None:
    told = read(_Part(0, "", "f"), _Part(0, "{", call_id="late"), _Part(0, "}"), names=("f",))
    assert {chunk.id[:7] for chunk in told[:-1]} == {"call_0_"}
    assert len({chunk.id for chunk in told[:-1]}) == 1


@pytest.mark.parametrize("how", [{}, {"tool_choice": "required"}])
def test_two_calls_that_are_alike_have_different_ids(api: Rig, how: dict[str, Any]) -> None:
    same = events(arguments('{"city": "Bonn"}', name="get_weather"), delta("tool_calls"))
    api.plays(same, same, same)
    turns: list[Message] = [Message("user", (Text("Weather?"),))]
    ids = []
    for _ in range(2):
        call = next(chunk for chunk in api.chat(messages=tuple(turns), tools=(WEATHER,), **how)
                    if isinstance(chunk, ToolCall))
        ids.append(call.id)
        turns += [Message("assistant", (call,)), Message("tool", (ToolResult(call.id, call.name, "sunny"),))]
    again = [chunk.id for chunk in api.chat(messages=tuple(turns[:1]), tools=(WEATHER,)) if isinstance(chunk, ToolCall)]
    assert len(set(ids)) == 2
    assert again == ids[:1]


def test_a_call_that_goes_on_after_its_end_is_no_answer() -> None:
    with pytest.raises(BadAnswer, match="after its end"):
        read(_Part(0, "{}", "f", "a"), _Part(1, "{}", "g", "b"), _Part(0, "{}"))


# What is sent


def test_parts_stay_parts_and_names_stay_names(api: Rig) -> None:
    user = Message("user", (Text("foo "), Image("QUJD"), Text("bar")), name="ann")
    api.chat(messages=(Message("system", (Text("a"), Text("b"))), user, Message("assistant", (Text("c"), Text("d"))),
                       Message("user", (Extract("from a file"), Text("what is it?")))))
    system, first, reply, last = api.body["messages"]
    assert first["name"] == "ann"
    assert [part.get("text") or part["type"] for part in first["content"]] == ["foo ", "image_url", "bar"]
    assert (system["content"], reply["content"], last["content"]) == ("a\nb", "c\nd", "from a file\nwhat is it?")
    assert "name" not in system


def test_texts_and_images_stay_in_order(api: Rig) -> None:
    near, far = Image("QUJD", detail="low"), Image("REVG")
    user = Message("user", (Text("this "), near, Extract("a file"), Text("or"), far, Text(""), Text("that?")))
    api.chat(messages=(Message("control", (Text("thinking"),)), Message("user", (Text(""), far)), user,
                       Message("user", (Text(""), Text("well?")))))
    first, second, third = (message["content"] for message in api.body["messages"])
    assert [part["type"] for part in first] == ["image_url"]
    assert [part.get("text") or part["image_url"].get("detail") for part in second] == [
        "this ", "low", "a file\nor", None, "that?"]
    assert third == "well?"


ROUND = (
    Message("user", (Text("Weather?"),)), Message("assistant", (Thinking("old"), Text("Where?"))),
    Message("user", (Text("Bonn"),)),
    Message("assistant", (Thinking("I look."), ToolCall("call_1", "get_weather", '{"city": "Bonn"}'))),
    Message("tool", (ToolResult("call_1", "get_weather", "sunny"),)),
)


@pytest.mark.parametrize(("provider", "thoughts"), [("deepseek", ["I look."]), ("", []), ("openai", [])])
def test_what_was_thought_in_this_turn_is_told_again_to_whom_it_matters(
    engine: Engine, provider: str, thoughts: list[str]
) -> None:
    with api_rig(engine, provider=provider) as rig:
        rig.chat(messages=ROUND, tools=(WEATHER,))
        sent = [message["reasoning_content"] for message in rig.body["messages"] if "reasoning_content" in message]
    assert sent == thoughts


@pytest.mark.parametrize(("base", "recalls"), [
    ("https://api.moonshot.ai/v1", True), ("https://api.deepseek.com", True), ("http://127.0.0.1:1", False),
    ("https://deepseek.com.example.org", False),
])
def test_such_a_provider_is_known_by_its_address_too(engine: Engine, base: str, recalls: bool) -> None:
    made = Api(Expert(id=1, label="x", type="api", model_name="m", api_base=base), RunnerConfig(), engine)
    assert made._recalls is recalls


BESIDE = {"service_tier": "flex", "verbosity": "low", "prediction": {"type": "content", "content": "x"}}


@pytest.mark.parametrize("provider", ["", "hosted_vllm"])
def test_what_only_such_an_api_understands_is_passed_on(engine: Engine, provider: str) -> None:
    with api_rig(engine, provider=provider) as rig:
        rig.chat(beside=BESIDE)
        assert {name: rig.body.get(name) for name in BESIDE} == BESIDE
        assert rig.backend.ignores(ask(beside=BESIDE)) == ()


def test_or_named_where_the_provider_does_not_take_it(engine: Engine) -> None:
    engine.load()
    claude = Api(Expert(id=1, label="x", type="api", provider="anthropic"), RunnerConfig(), engine)
    assert set(claude.ignores(ask(model="claude-3-5-sonnet-20241022", beside=BESIDE))) >= {"prediction", "verbosity"}


# Bare completions


def complete(rig: Rig, **fields: Any) -> list[Any]:
    return said(rig.backend.chat(bare(**fields)))


def bare(**fields: Any) -> ChatRequest:
    inner = {name: fields.pop(name) for name in ("suffix", "template", "system", "context") if name in fields}
    return ChatRequest(model=MODEL, completion=Completion(prompt="def f(", raw=not inner, **inner), **fields)


@pytest.mark.parametrize("provider", ["", "openai", "hosted_vllm"])
def test_a_bare_prompt_goes_where_bare_prompts_go(engine: Engine, provider: str) -> None:
    with api_rig(engine, provider=provider) as rig:
        assert rig.backend.misfit(bare()) == ""
        rig.plays(answer(chunks=["x):", "\n"]))
        chunks = complete(rig, sampling=Sampling(max_tokens=5, temperature=0.5, stop=("#",), seed=3, top_k=4))
        (request,) = rig.upstream.requests
    assert (text_of(chunks), end_of(chunks).finish) == ("x):\n", "stop")
    assert end_of(chunks).usage is not None
    assert request.path == "/v1/completions"
    expected = {"model": MODEL, "prompt": "def f(", "max_tokens": 5, "temperature": 0.5, "stop": ["#"], "seed": 3,
                "stream": True, "stream_options": {"include_usage": True}}
    assert request.json == expected | ({} if provider == "openai" else {"top_k": 4})
    assert "authorization" not in request.headers


def test_with_its_suffix_and_key(engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret-key")
    with api_rig(engine, api_key_env="MY_KEY") as rig:
        rig.upstream.require_key = "sk-very-secret-key"  # type: ignore[union-attr]
        complete(rig, suffix="return x")
        assert rig.upstream.requests[0].json["suffix"] == "return x"
        rig.plays(http_error(500, message="bad key sk-very-secret-key"))
        with pytest.raises(UpstreamFailure) as failure:
            complete(rig)
        assert failure.value.message == "bad key ***"


def test_its_limit_and_the_probabilities_of_its_tokens_are_told(api: Rig) -> None:
    api.plays(answer("one two three"))
    assert end_of(complete(api, sampling=Sampling(max_tokens=2))).finish == "length"
    columns = {"tokens": [" a", "bytes:\\xc3"], "token_logprobs": [-0.5, None], "top_logprobs": [{" a": -0.5}, None]}
    frame = {"choices": [{"index": 0, "text": " a", "finish_reason": "stop", "logprobs": columns}]}
    api.plays(garbage(f"data: {json.dumps(frame)}\n\ndata: [DONE]\n\n".encode(), media_type="text/event-stream"))
    text, _ = complete(api, logprobs=1)
    assert text == Text(" a", (TokenLogprob(" a", -0.5, (TokenLogprob(" a", -0.5),)),))
    assert api.upstream.requests[-1].json["logprobs"] == 1


@pytest.mark.parametrize("columns", [
    None, 5, {}, {"tokens": 5}, {"tokens": ["a"], "token_logprobs": []}, {"tokens": [5], "token_logprobs": [-1]},
    {"tokens": ["a"], "token_logprobs": [True]},
])
def test_columns_that_are_none_cost_nothing(columns: Any) -> None:
    assert read_columns(columns) == ()


def test_a_token_that_is_no_character_is_known_by_its_bytes() -> None:
    told = {"tokens": ["bytes:\\xf0\\x9f"], "token_logprobs": [-1], "top_logprobs": [{"b": -2, "a": -1, "c": None}]}
    assert read_columns(told) == (
        TokenLogprob("\udcf0\udc9f", -1.0, (TokenLogprob("a", -1.0), TokenLogprob("b", -2.0))),)


@pytest.mark.parametrize(("step", "kind"), [
    (http_error(400, message="no suffix here"), UpstreamRefusal), (http_error(404), UpstreamFailure),
    (cut(after=1, text="one two", clean=True), BrokenStream), (cut(after=1, text="one two"), BrokenStream),
    (error_line(after=1, text="one two", message="boom"), UpstreamFailure), (garbage(), BadAnswer),
    (garbage(b"data: [DONE]x\n\n", media_type="text/event-stream"), BackendError),
    (garbage(b"[]", media_type="application/json"), BadAnswer),
])
def test_a_bare_completion_fails_as_a_chat_does(api: Rig, step: Any, kind: type[BackendError]) -> None:
    api.plays(step)
    with pytest.raises(kind):
        complete(api)
    api.plays(answer("well"))
    assert text_of(complete(api)) == "well"


def test_an_answer_in_one_piece_or_without_its_mark_is_one_too(api: Rig) -> None:
    whole = {"choices": [{"index": 0, "text": "well", "finish_reason": "length"}], "usage": {"prompt_tokens": 2}}
    api.plays(garbage(json.dumps(whole).encode(), media_type="application/json"))
    chunks = complete(api)
    assert (text_of(chunks), end_of(chunks).finish) == ("well", "length")
    api.plays(no_done(text="well"))
    assert text_of(complete(api)) == "well"


@pytest.mark.parametrize(("provider", "fields", "fits"), [
    ("", {}, True), ("", {"suffix": "x"}, True), ("", {"template": "{{ .Prompt }}"}, False),
    ("", {"context": (1, 2)}, False), ("anthropic", {}, False), ("gemini", {}, False),
])
def test_what_no_such_endpoint_takes_is_refused(
    engine: Engine, provider: str, fields: dict[str, Any], fits: bool
) -> None:
    expert = Expert(id=1, label="x", type="api", provider=provider, api_base="http://127.0.0.1:1")
    told = Api(expert, RunnerConfig(), engine).misfit(bare(**fields))
    assert told == ("" if fits else "does not support raw completions")


def test_closing_stops_a_bare_completion(api: Rig) -> None:
    api.plays(stall(after=1, for_s=60, text="one two"))
    chunks = api.backend.chat(bare())
    while not isinstance(next(chunks), Text):
        pass
    chunks.close()
    request = api.upstream.requests[0]
    request.wait_until_over(10)
    assert request.closed_early_at is not None


def test_a_bare_completion_reaches_no_address_that_is_refused(engine: Engine) -> None:
    expert = Expert(id=1, label="x", type="api", model_name=MODEL, api_base="http://169.254.169.254/v1")
    with pytest.raises(BackendError) as failure:
        said(Api(expert, RunnerConfig(), engine).chat(bare()))
    assert failure.value.reason == "address refused"
    with fake_openai([MODEL]) as other, api_rig(engine) as rig:
        rig.plays(http_error(307, headers={"Location": f"{other.api_base}/completions"}))
        with pytest.raises(UpstreamFailure):
            complete(rig)
        assert not other.requests


def test_a_name_with_its_provider_is_sent_without(engine: Engine) -> None:
    with fake_openai(["gpt-x"]) as fake:
        expert = Expert(id=1, label="x", type="api", provider="openai", api_base=fake.api_base)
        chunks = said(Api(expert, RunnerConfig(), engine).chat(structs.replace(bare(), model="openai/gpt-x")))
        assert isinstance(chunks[-1], Done)
        assert fake.requests[0].json["model"] == "gpt-x"
