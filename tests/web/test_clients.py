"""The official Python clients, `openai` and `ollama`, against the live server: what their users do all day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama as ollama_client
import openai
import pytest

from moe.config.rules import ORCHESTRATORS
from tests.fakes import FakeModel, FakeOllama, answer, cut, fake_ollama, http_error
from tests.live import Live, live_server

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}},
          "required": ["answer", "sure"]}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER: Any = {"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": CITY}}
ALL = ("completion", "tools", "vision", "thinking", "insert")
MODELS = (FakeModel("general:4b", capabilities=ALL), FakeModel("math:4b", capabilities=ALL))
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": "general:4b"},
    {"id": 1, "label": "math", "tools": [], "model_name": "math:4b", "keywords": ["integral"], "description": "sums"},
    {"id": 2, "label": "eyes", "model_name": "general:4b", "vision": True},
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeOllama]:
    with fake_ollama(MODELS) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: FakeOllama) -> Iterator[Live]:
    runner = {"ollama_url": upstream.url, "retries": 0, "breaker_failures": 1000}
    with live_server(tmp_path_factory.mktemp("live"), config={"expert_runner": runner}, experts=EXPERTS) as live:
        yield live


@pytest.fixture
def gpt(server: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def llama(server: Live) -> Iterator[ollama_client.Client]:
    client = ollama_client.Client(host=server.url, timeout=20)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def _well(upstream: FakeOllama) -> Iterator[None]:
    yield
    for model in MODELS:
        upstream.script(model.name, [])


def say(text: str, **more: Any) -> list[Any]:
    return [{"role": "user", "content": text, **more}]


# openai

def test_openai_chats_and_sees_who_answered(gpt: openai.OpenAI) -> None:
    raw = gpt.chat.completions.with_raw_response.create(model="lemoe", messages=say("an integral"))
    reply = raw.parse()
    assert reply.choices[0].message.content == "[math:4b] you said: an integral"
    assert (reply.model, raw.headers["X-MoE-Expert"], raw.headers["X-MoE-Stage"]) == ("math", "math", "keyword")
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    assert reply._request_id == raw.headers["X-Request-Id"]


def test_openai_streams_with_usage(gpt: openai.OpenAI) -> None:
    chunks = list(gpt.chat.completions.create(
        model="gpt-4o", messages=say("hello"), stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "[general:4b] you said: hello"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


def test_openai_sees_the_headers_of_a_stream(gpt: openai.OpenAI) -> None:
    with gpt.chat.completions.with_streaming_response.create(
        model="math", messages=say("hello"), stream=True
    ) as response:
        assert response.headers["X-MoE-Expert"] == "math"
        assert response.headers["X-MoE-Model"] == "math:4b"
        assert float(response.headers["X-MoE-Confidence"]) == 1.0
        lines = list(response.iter_lines())
    assert lines.count("data: [DONE]") == 1


def test_openai_calls_a_tool_and_tells_its_result(gpt: openai.OpenAI, upstream: FakeOllama) -> None:
    upstream.script("general:4b", [answer(tool_calls=[("weather", {"city": "Rom"})]), answer("Sunny in Rome.")])
    messages = say("How is the weather in Rome?")
    call = gpt.chat.completions.create(model="fallback", messages=messages, tools=[WEATHER])
    assert call.choices[0].finish_reason == "tool_calls"
    tool_calls = call.choices[0].message.tool_calls
    assert tool_calls is not None
    assert json.loads(tool_calls[0].function.arguments) == {"city": "Rom"}  # type: ignore[union-attr]
    messages += [call.choices[0].message, {"role": "tool", "tool_call_id": tool_calls[0].id, "content": "sunny"}]
    told = gpt.chat.completions.create(model="fallback", messages=messages, tools=[WEATHER])
    assert told.choices[0].message.content == "Sunny in Rome."
    sent = upstream.requests_for("general:4b")[-1].json["messages"]
    assert sent[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"city": "Rom"}}
    assert (sent[2]["role"], sent[2]["content"], sent[2]["tool_name"]) == ("tool", "sunny", "weather")


def test_openai_streams_a_tool_call(gpt: openai.OpenAI, upstream: FakeOllama) -> None:
    upstream.script("general:4b", [answer(tool_calls=[("weather", {"city": "Rom"}), ("time", {"city": "Bonn"})])])
    with gpt.chat.completions.stream(model="fallback", messages=say("x"), tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Rom", "Bonn"]
    assert len({call.id for call in calls}) == 2


def test_openai_sends_a_picture_to_who_can_see_it(gpt: openai.OpenAI, upstream: FakeOllama) -> None:
    content = [{"type": "text", "text": "what is it?"},
               {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}}]
    raw = gpt.chat.completions.with_raw_response.create(model="auto", messages=say(content))  # type: ignore[arg-type]
    assert (raw.headers["X-MoE-Stage"], raw.headers["X-MoE-Expert"]) == ("vision", "eyes")
    assert upstream.requests_for("general:4b")[-1].json["messages"][-1]["images"] == [PIXEL]


def test_openai_gets_structured_output(gpt: openai.OpenAI, upstream: FakeOllama) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": SCHEMA}}
    reply = gpt.chat.completions.create(model="math", messages=say("x"), response_format=schema)  # type: ignore[call-overload]
    assert json.loads(reply.choices[0].message.content).keys() == {"answer", "sure"}
    assert upstream.requests_for("math:4b")[-1].json["format"] == SCHEMA


def test_openai_passes_its_sampling_on(gpt: openai.OpenAI, upstream: FakeOllama) -> None:
    reply = gpt.chat.completions.create(
        model="math", messages=say("one two three four"), temperature=0.5, top_p=0.25, seed=7, stop=["END"],
        presence_penalty=1, frequency_penalty=-1, max_completion_tokens=2)
    options = upstream.requests_for("math:4b")[-1].json["options"]
    assert options == {"temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["END"], "presence_penalty": 1.0,
                       "frequency_penalty": -1.0, "num_predict": 2}
    assert reply.choices[0].finish_reason == "length"


def test_openai_lists_and_retrieves_models(gpt: openai.OpenAI) -> None:
    names = [model.id for model in gpt.models.list()]
    assert names[:11] == ["lemoe", *ORCHESTRATORS, "fallback", "math", "eyes"]
    assert gpt.models.retrieve("math:4b").id == "math:4b"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("nobody")


def test_openai_knows_each_error_by_its_class(gpt: openai.OpenAI, upstream: FakeOllama) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        gpt.chat.completions.create(model="nobody", messages=say("x"))
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert "'nobody' not found" in unknown.value.message
    for streams in (False, True):
        with pytest.raises(openai.BadRequestError) as bad:
            gpt.chat.completions.create(model="math", messages=[], stream=streams)  # type: ignore[call-overload]
        assert bad.value.param == "messages"
    upstream.script("math:4b", [http_error(400, {"error": "prompt exceeds the context length"})])
    with pytest.raises(openai.BadRequestError) as long:
        gpt.chat.completions.create(model="math", messages=say("x"))
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.APIStatusError) as large:
        gpt.chat.completions.create(model="math", messages=say("x" * 2_000_000))
    assert large.value.status_code == 413
    for model in MODELS:
        upstream.script(model.name, [http_error(500)])
    with pytest.raises(openai.InternalServerError) as down:
        gpt.chat.completions.create(model="math", messages=say("x"))
    assert (down.value.status_code, down.value.code) == (503, "no_expert_available")
    with pytest.raises(openai.BadRequestError, match='"math" does not support embeddings'):
        gpt.embeddings.create(model="math", input="x")


def test_openai_sees_a_stream_that_broke_off_as_an_error(gpt: openai.OpenAI, upstream: FakeOllama) -> None:
    upstream.script("math:4b", [cut(after=3)])
    said = ""
    with pytest.raises(openai.APIError) as broken:
        for chunk in gpt.chat.completions.create(model="math", messages=say("hello"), stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said
    assert broken.value.message == "the answer broke off"


def test_openai_waits_and_tries_again_when_it_asks_too_often(tmp_path: Path, upstream: FakeOllama) -> None:
    config = {"rate_limit": {"requests_per_minute": 2, "exempt": []}, "expert_runner": {"ollama_url": upstream.url}}
    with live_server(tmp_path, config=config, experts=EXPERTS) as live, openai.OpenAI(
        base_url=f"{live.url}/v1", api_key="x", max_retries=0
    ) as client:
        for _ in range(2):
            client.chat.completions.create(model="math", messages=say("x"))
        with pytest.raises(openai.RateLimitError) as often:
            client.chat.completions.create(model="math", messages=say("x"))
        assert 1 <= int(often.value.response.headers["Retry-After"]) <= 60
        assert often.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize("key", ["sk-anything", "ollama"])
def test_openai_may_bring_any_key(server: Live, key: str) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1/", api_key=key, max_retries=0) as client:
        assert client.chat.completions.create(model="math", messages=say("x")).choices


# ollama

def test_ollama_chats(llama: ollama_client.Client) -> None:
    reply = llama.chat("lemoe", say("an integral"))
    assert (reply.model, reply.message.content) == ("math", "[math:4b] you said: an integral")
    assert (reply.done, reply.done_reason) == (True, "stop")
    assert min(reply.total_duration or 0, reply.eval_count or 0, reply.eval_duration or 0) > 0


def test_ollama_streams_a_chat(llama: ollama_client.Client) -> None:
    parts = list(llama.chat("math", say("hello there"), stream=True))
    assert "".join(part.message.content or "" for part in parts) == "[math:4b] you said: hello there"
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_ollama_generates_whole_and_streamed(llama: ollama_client.Client) -> None:
    whole = llama.generate("math", "hello")
    assert whole.response == "[math:4b] you said: hello"
    assert "".join(part.response for part in llama.generate("math", "hello", stream=True)) == whole.response
    assert llama.generate("math", "def f(", suffix="return 1", raw=True).done


def test_ollama_calls_a_tool_and_tells_its_result(llama: ollama_client.Client, upstream: FakeOllama) -> None:
    upstream.script("math:4b", [answer(tool_calls=[("weather", {"city": "Rom"})]), answer("Sunny.")])
    messages = say("weather?")
    reply = llama.chat("math", messages, tools=[WEATHER])
    assert reply.message.tool_calls
    assert reply.message.tool_calls[0].function.arguments == {"city": "Rom"}
    messages += [reply.message, {"role": "tool", "tool_name": "weather", "content": "sunny"}]
    assert llama.chat("math", messages, tools=[WEATHER]).message.content == "Sunny."


def test_ollama_sends_a_picture_to_who_can_see_it(llama: ollama_client.Client, upstream: FakeOllama) -> None:
    assert llama.chat("auto", say("what is it?", images=[PIXEL])).model == "eyes"
    assert llama.generate("auto", "what is it?", images=[PIXEL]).model == "eyes"
    assert upstream.requests_for("general:4b")[-1].json["messages"][-1]["images"] == [PIXEL]


def test_ollama_gets_structured_output_and_thoughts(llama: ollama_client.Client) -> None:
    reply = llama.chat("math", say("x"), format=SCHEMA, think=True)
    assert json.loads(reply.message.content or "").keys() == {"answer", "sure"}
    assert reply.message.thinking
    thoughts = [part.message.thinking for part in llama.chat("math", say("x"), think=True, stream=True)]
    assert "".join(thought or "" for thought in thoughts) == reply.message.thinking


def test_ollama_passes_its_options_on(llama: ollama_client.Client, upstream: FakeOllama) -> None:
    options = {"temperature": 0.5, "num_ctx": 8192, "seed": 7, "mirostat": 1, "top_k": None}
    llama.chat("math", say("x"), options=options, keep_alive="7m")
    sent = upstream.requests_for("math:4b")[-1].json
    assert sent["options"] == {"temperature": 0.5, "num_ctx": 8192, "seed": 7, "mirostat": 1}
    assert sent["keep_alive"] == "7m"


def test_ollama_lists_shows_and_loads(llama: ollama_client.Client) -> None:
    names = [model.model for model in llama.list().models]
    assert names[:10] == [f"{name}:latest" for name in ("lemoe", *ORCHESTRATORS, "fallback", "math")]
    shown = llama.show("math:4b")
    assert shown.capabilities == list(ALL)
    assert shown.modelinfo
    for reply in (llama.generate("math", ""), llama.chat("math", [], keep_alive="5m")):
        assert (reply.done, reply.done_reason) == (True, "load")
    assert all(model.expires_at for model in llama.ps().models)


def test_ollama_raises_with_our_words_and_status(llama: ollama_client.Client, upstream: FakeOllama) -> None:
    for ask in (lambda: llama.chat("nobody", say("x")), lambda: list(llama.chat("nobody", say("x"), stream=True)),
                lambda: llama.generate("nobody", "x"), lambda: llama.show("nobody")):
        with pytest.raises(ollama_client.ResponseError) as unknown:
            ask()
        assert (unknown.value.status_code, unknown.value.error) == (404, "model 'nobody' not found")
    with pytest.raises(ollama_client.ResponseError) as bad:
        llama.chat("math", say("x"), options={"seed": "seven"})
    assert (bad.value.status_code, bad.value.error) == (400, 'option "seed" must be of type integer')
    for model in MODELS:
        upstream.script(model.name, [http_error(500)])
    for streams in (False, True):
        with pytest.raises(ollama_client.ResponseError) as down:
            list(llama.chat("math", say("x"), stream=streams))
        assert down.value.status_code == 503
    with pytest.raises(ollama_client.ResponseError) as missing:
        llama.pull("missing")
    assert (missing.value.status_code, missing.value.error) == (500, "pull model manifest: file does not exist")


def test_ollama_sees_a_stream_that_broke_off_as_an_error(llama: ollama_client.Client, upstream: FakeOllama) -> None:
    upstream.script("math:4b", [cut(after=3)])
    parts = []
    with pytest.raises(ollama_client.ResponseError, match="the answer broke off"):
        for part in llama.chat("math", say("hello"), stream=True):
            parts.append(part)
    assert parts
    assert not any(part.done for part in parts)


TEXTS = ("", " ", "\n", "😀" * 100, "\u2028", "a\0b", "data: [DONE]", "x" * 500_000)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:12])
def test_both_clients_bring_any_text_there_and_back(
    gpt: openai.OpenAI, llama: ollama_client.Client, upstream: FakeOllama, text: str
) -> None:
    upstream.script("math:4b", [answer(chunks=("<", text, ">"))])
    asked = say(f"[{text}]")
    whole = gpt.chat.completions.create(model="math", messages=asked).choices[0].message.content
    assert whole == llama.chat("math", asked).message.content == f"<{text}>"
    chunks = gpt.chat.completions.create(model="math", messages=asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert "".join(part.message.content or "" for part in llama.chat("math", asked, stream=True)) == whole
    sent = [request.json["messages"] for request in upstream.requests_for("math:4b")[-4:]]
    assert sent == [asked] * 4
