"""OpenAI's Python client: chat completions, completions, embeddings, models."""

from __future__ import annotations

import json
from typing import Any

import kit
import openai
from kit import MODEL, PLAN

client = openai.OpenAI(base_url=f"{kit.URL}/v1", api_key="none", timeout=30, max_retries=0)
HELLO: list[Any] = [{"role": "user", "content": kit.HELLO}]
TOOLS: list[Any] = [{"type": "function", "function": kit.WEATHER_TOOL}]


def list_models() -> None:
    names = [model.id for model in client.models.list()]
    kit.has(names, MODEL)
    kit.has(names, PLAN["seeing"])
    kit.same(client.models.retrieve(MODEL).id, MODEL)


def chat() -> None:
    reply = client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=50, temperature=0)
    kit.has(reply.choices[0].message.content, kit.ANSWER)
    kit.same(reply.choices[0].finish_reason, "stop")
    kit.holds(reply.usage and reply.usage.completion_tokens > 0, "no usage")
    if local := PLAN["local"]:
        asked: list[Any] = [{"role": "user", "content": local["question"]}]
        reply = client.chat.completions.create(model=local["model"], messages=asked, temperature=0)
        kit.same(reply.choices[0].message.content, local["answer"])


def stream() -> None:
    options: Any = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options=options))
    kit.has(kit.several(chunk.choices[0].delta.content for chunk in chunks if chunk.choices), kit.ANSWER)
    kit.holds(chunks[-1].usage and chunks[-1].usage.completion_tokens > 0, "no usage at the end")


def tools() -> None:
    asked: list[Any] = [{"role": "user", "content": kit.WEATHER}]
    with client.chat.completions.stream(model=MODEL, messages=asked, tools=TOOLS) as events:
        streamed = events.get_final_completion().choices[0].message.tool_calls
    kit.same([call.function.name for call in streamed or ()], ["get_weather"])
    message = client.chat.completions.create(model=MODEL, messages=asked, tools=TOOLS).choices[0].message
    call: Any = (message.tool_calls or [None])[0]
    kit.same(json.loads(call.function.arguments), {"city": kit.WEATHER})
    asked += [message, {"role": "tool", "tool_call_id": call.id, "content": kit.SUNNY}]
    kit.has(client.chat.completions.create(model=MODEL, messages=asked, tools=TOOLS).choices[0].message.content,
            kit.SUNNY)


def schema() -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": kit.PERSON}}
    reply = client.chat.completions.create(model=MODEL, messages=HELLO, response_format=wanted)
    kit.person(reply.choices[0].message.content)


def thinking() -> None:
    reply = client.chat.completions.create(model=PLAN["thinking"], messages=HELLO, reasoning_effort="high")
    kit.has(getattr(reply.choices[0].message, "reasoning_content", None), "thinks")
    kit.has(reply.choices[0].message.content, kit.ANSWER)


def vision() -> None:
    parts = [{"type": "text", "text": kit.HELLO}, {"type": "image_url", "image_url": {"url": kit.PICTURE}}]
    asked: list[Any] = [{"role": "user", "content": parts}]
    reply = client.chat.completions.create(model=MODEL, messages=asked)
    kit.has(reply.choices[0].message.content, "(1 images)")


def embed() -> None:
    kit.vector(client.embeddings.create(model=PLAN["embedding"], input="hello").data[0].embedding)
    if PLAN["encoder"]:
        made = client.embeddings.create(model=PLAN["encoder"], input=["hello", "good day"])
        kit.same([len(row.embedding) for row in made.data], [384, 384])


def complete() -> None:
    kit.has(client.completions.create(model=PLAN["coding"], prompt=kit.HELLO).choices[0].text, kit.ANSWER)
    pieces = client.completions.create(model=PLAN["coding"], prompt=kit.HELLO, suffix="end", stream=True)
    kit.has(kit.several(piece.choices[0].text for piece in pieces if piece.choices), kit.ANSWER)


def error() -> None:
    missing = kit.raises(openai.NotFoundError,
                         lambda: client.chat.completions.create(model=PLAN["missing"], messages=HELLO))
    kit.has(missing.message, PLAN["missing"])
    hot = kit.raises(openai.BadRequestError,
                     lambda: client.chat.completions.create(model=MODEL, messages=HELLO, temperature=9))
    kit.same(hot.param, "temperature")


def cut() -> None:
    kit.raises(openai.APIError,
               lambda: list(client.chat.completions.create(model=PLAN["broken"], messages=HELLO, stream=True)))


kit.run({
    "list": list_models, "chat": chat, "stream": stream, "tools": tools, "schema": schema, "thinking": thinking,
    "vision": vision, "embed": embed, "complete": complete, "error": error, "cut": cut,
})
