"""LiteLLM, by each of its ways to a server: `ollama/`, `ollama_chat/`, `openai/` and `anthropic/`."""

from __future__ import annotations

import json
from typing import Any

import kit
import litellm
import openai
from kit import MODEL, PLAN, WAY

# It writes "### User:" around what it sends as a bare prompt.
ANSWER = kit.HELLO if WAY == "ollama" else kit.ANSWER
BASE = f"{kit.URL}/v1" if WAY == "openai" else kit.URL
HELLO = [{"role": "user", "content": kit.HELLO}]
TOOLS = [{"type": "function", "function": kit.WEATHER_TOOL}]
HOW: dict[str, Any] = {"api_base": BASE, "api_key": "none", "timeout": 30, "num_retries": 0}


def ask(model: str = MODEL, **fields: Any) -> Any:
    return litellm.completion(model=f"{WAY}/{model}", **{"messages": HELLO, **HOW, **fields})


def chat() -> None:
    reply = ask(max_tokens=50, temperature=0)
    kit.has(reply.choices[0].message.content, ANSWER)
    kit.same(reply.choices[0].finish_reason, "stop")
    kit.holds(reply.usage.completion_tokens > 0, "no usage")
    if local := PLAN["local"]:
        reply = ask(local["model"], messages=[{"role": "user", "content": local["question"]}], temperature=0)
        kit.same(reply.choices[0].message.content.strip(), local["answer"])


def stream() -> None:
    kit.has(kit.several(chunk.choices[0].delta.content for chunk in ask(stream=True)), ANSWER)


def tools() -> None:
    asked: list[Any] = [{"role": "user", "content": kit.WEATHER}]
    built = litellm.stream_chunk_builder(list(ask(messages=asked, tools=TOOLS, stream=True)))
    kit.same([call.function.name for call in built.choices[0].message.tool_calls or ()], ["get_weather"])
    message = ask(messages=asked, tools=TOOLS).choices[0].message
    call = message.tool_calls[0]
    kit.same(json.loads(call.function.arguments), {"city": kit.WEATHER})
    asked += [message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": kit.SUNNY}]
    kit.has(ask(messages=asked, tools=TOOLS).choices[0].message.content, kit.SUNNY)


def schema() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": kit.PERSON}}
    kit.person(ask(response_format=wanted).choices[0].message.content)


def thinking() -> None:
    # Where it does not know the model it must be told that it may.
    message = ask(PLAN["thinking"], reasoning_effort="high", max_tokens=5000,
                  allowed_openai_params=["reasoning_effort"]).choices[0].message
    kit.has(getattr(message, "reasoning_content", None), "thinks")
    kit.has(message.content, ANSWER)


def vision() -> None:
    parts = [{"type": "text", "text": kit.HELLO}, {"type": "image_url", "image_url": {"url": kit.PICTURE}}]
    kit.has(ask(messages=[{"role": "user", "content": parts}]).choices[0].message.content, "(1 images)")


def embed() -> None:
    made = litellm.embedding(model=f"{WAY}/{PLAN['embedding']}", input=["hello"], **HOW)
    kit.vector(made.data[0]["embedding"])
    if PLAN["encoder"]:
        made = litellm.embedding(model=f"{WAY}/{PLAN['encoder']}", input=["hello", "good day"], **HOW)
        kit.same([len(row["embedding"]) for row in made.data], [384, 384])


def complete() -> None:
    reply = litellm.text_completion(model=f"{WAY}/{MODEL}", prompt=kit.HELLO, **HOW)
    kit.has(reply.choices[0].text, ANSWER)


def error() -> None:
    kit.has(str(kit.raises(openai.NotFoundError, lambda: ask(PLAN["missing"]))), PLAN["missing"])


def cut() -> None:
    kit.raises(openai.OpenAIError, lambda: list(ask(PLAN["broken"], stream=True)))


kit.run({
    "chat": chat, "stream": stream, "tools": tools, "schema": schema, "thinking": thinking, "vision": vision,
    "embed": embed, "complete": complete, "error": error, "cut": cut,
})
