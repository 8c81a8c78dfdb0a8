"""The fake OpenAI server seen raw and by the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest

from tests.fakes import FakeOpenAI, answer, fake_openai, http_error
from tests.fakes.probe import HELLO, WEATHER, ask


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with fake_openai(["gpt-4o-mini", "org/model"]) as running:
        yield running


@pytest.fixture
def client(fake: FakeOpenAI) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=fake.api_base, api_key="sk-test", max_retries=0) as connected:
        yield connected


def test_a_chat_in_one_piece(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert reply.choices[0].message.content == "[gpt-4o-mini] you said: hello big world"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None and reply.usage.total_tokens == 9


def test_a_stream_ends_with_usage_and_done(fake: FakeOpenAI) -> None:
    body = {"model": "gpt-4o-mini", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
    reply = ask(fake, "/v1/chat/completions", body)
    chunks = [json.loads(event) for event in reply.events[:-1]]
    assert (reply.media_type, reply.events[-1]) == ("text/event-stream", "[DONE]")
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-2]["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]) == ([], 6)
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 8


def test_the_official_client_streams_a_chat(client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="org/model", messages=HELLO, stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == "[org/model] you said: hello big world"


def test_tool_arguments_come_in_parts(client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, tools=[WEATHER], stream=True) as stream:
        chunks = list(stream)
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert calls[0].id and calls[0].function.name == "get_weather"
    assert {call.index for call in calls} == {0} and len(calls) > 3
    arguments = "".join(call.function.arguments or "" for call in calls if call.function)
    assert json.loads(arguments) == {"city": "hello big world", "days": 1}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_schema_shapes_the_answer(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}, "all": {"type": "array"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    reply = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, response_format=wanted)
    shaped = json.loads(reply.choices[0].message.content or "")
    assert shaped == {"ok": True, "all": ["[gpt-4o-mini] you said: hello big world"]}


def test_legacy_completions_and_their_stream(client: openai.OpenAI) -> None:
    said = client.completions.create(model="gpt-4o-mini", prompt="go on", max_tokens=3)
    assert (said.choices[0].text, said.choices[0].finish_reason) == ("[gpt-4o-mini] you said: ", "length")
    with client.completions.create(model="gpt-4o-mini", prompt="go on", stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == "[gpt-4o-mini] you said: go on"


def test_embeddings_as_base64_floats_and_of_tokens(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="gpt-4o-mini", input=["a", "b"])
    plain = client.embeddings.create(model="gpt-4o-mini", input=["a", "b"], encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert len(client.embeddings.create(model="gpt-4o-mini", input=[[1, 2], [3]]).data) == 2


def test_models_are_listed_and_found_even_with_a_slash(client: openai.OpenAI, fake: FakeOpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["gpt-4o-mini", "org/model"]
    assert ask(fake, "/v1/models/org/model").json["id"] == "org/model"
    assert ask(fake, "/v1/models/nope").status == ask(fake, "/v1/nope").status == 404


def test_errors_are_openais_objects(client: openai.OpenAI, fake: FakeOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nope", messages=HELLO)
    assert missing.value.code == "model_not_found"
    fake.script("gpt-4o-mini", [http_error(400, message="too long", code="context_length_exceeded")])
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert (long.value.code, long.value.type) == ("context_length_exceeded", "invalid_request_error")


def test_a_key_can_be_required() -> None:
    with fake_openai(require_key="sk-right") as fake:
        with openai.OpenAI(base_url=fake.api_base, api_key="sk-right", max_retries=0) as client:
            assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]
        with (
            openai.OpenAI(base_url=fake.api_base, api_key="sk-wrong", max_retries=0) as client,
            pytest.raises(openai.AuthenticationError, match="Incorrect API key"),
        ):
            client.models.list()
        assert ask(fake, "/v1/models").status == 401


def test_thinking_comes_as_reasoning_content(fake: FakeOpenAI) -> None:
    fake.script("gpt-4o-mini", [answer("So.", thinking="Hm hm")])
    body = {"model": "gpt-4o-mini", "messages": HELLO}
    message = ask(fake, "/v1/chat/completions", body).json["choices"][0]["message"]
    streamed = ask(fake, "/v1/chat/completions", {**body, "stream": True}).events
    assert message == {"role": "assistant", "content": "So.", "reasoning_content": "Hm hm"}
    assert json.loads(streamed[1])["choices"][0]["delta"] == {"reasoning_content": "Hm "}
