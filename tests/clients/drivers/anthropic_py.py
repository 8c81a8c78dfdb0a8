"""Anthropic's Python client."""

from __future__ import annotations

from typing import Any

import anthropic
import kit
from kit import MODEL, PLAN

client = anthropic.Anthropic(base_url=kit.URL, api_key="none", timeout=30, max_retries=0)
HELLO: list[Any] = [{"role": "user", "content": kit.HELLO}]
TOOLS: list[Any] = [{"name": kit.WEATHER_TOOL["name"], "description": kit.WEATHER_TOOL["description"],
                     "input_schema": kit.WEATHER_TOOL["parameters"]}]


def ask(**fields: Any) -> Any:
    return client.messages.create(**{"model": MODEL, "max_tokens": 200, "messages": HELLO, **fields})


def text_of(reply: Any) -> str:
    return "".join(block.text for block in reply.content if block.type == "text")


def list_models() -> None:
    names = [model.id for model in client.models.list()]
    kit.has(names, MODEL)
    kit.has(names, PLAN["seeing"])
    kit.same(client.models.retrieve(MODEL).id, MODEL)


def chat() -> None:
    reply = ask(system="Be brief.")
    kit.has(text_of(reply), kit.ANSWER)
    kit.same((reply.type, reply.stop_reason), ("message", "end_turn"))
    kit.holds(reply.usage.output_tokens > 0, "no usage")
    if local := PLAN["local"]:
        asked = [{"role": "user", "content": local["question"]}]
        kit.same(text_of(ask(model=local["model"], messages=asked, extra_body={"temperature": 0})), local["answer"])
    counted = client.messages.count_tokens(model=MODEL, messages=HELLO)
    kit.holds(0 < counted.input_tokens < 50, f"{counted.input_tokens} tokens")


def stream() -> None:
    with client.messages.stream(model=MODEL, max_tokens=200, messages=HELLO) as events:
        kit.has(kit.several(events.text_stream), kit.ANSWER)
        final = events.get_final_message()
    kit.same((text_of(final).endswith(kit.ANSWER), final.stop_reason), (True, "end_turn"))


def tools() -> None:
    asked: list[Any] = [{"role": "user", "content": kit.WEATHER}]
    with client.messages.stream(model=MODEL, max_tokens=200, messages=asked, tools=TOOLS) as events:
        streamed = [block for block in events.get_final_message().content if block.type == "tool_use"]
    kit.same([(call.name, call.input) for call in streamed], [("get_weather", {"city": kit.WEATHER})])
    reply = ask(messages=asked, tools=TOOLS)
    call = next(block for block in reply.content if block.type == "tool_use")
    kit.same((call.name, call.input, reply.stop_reason), ("get_weather", {"city": kit.WEATHER}, "tool_use"))
    result = {"type": "tool_result", "tool_use_id": call.id, "content": kit.SUNNY}
    asked += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    kit.has(text_of(ask(messages=asked, tools=TOOLS)), kit.SUNNY)


def schema() -> None:
    wanted = {"format": {"type": "json_schema", "schema": kit.PERSON}}
    kit.person(text_of(ask(output_config=wanted)))


def thinking() -> None:
    reply = ask(model=PLAN["thinking"], max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})
    kit.same([block.type for block in reply.content], ["thinking", "text"])
    kit.has(reply.content[0].thinking, "thinks")
    with client.messages.stream(model=PLAN["thinking"], max_tokens=200, messages=HELLO,
                                thinking={"type": "adaptive"}) as events:
        kit.same([block.type for block in events.get_final_message().content], ["thinking", "text"])


def vision() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PLAN["pixel"]}
    parts = [{"type": "image", "source": source}, {"type": "text", "text": kit.HELLO}]
    kit.has(text_of(ask(messages=[{"role": "user", "content": parts}])), "(1 images)")


def error() -> None:
    missing = kit.raises(anthropic.NotFoundError, lambda: ask(model=PLAN["missing"]))
    kit.same(missing.body["error"]["type"], "not_found_error")
    kit.has(missing.message, PLAN["missing"])
    kit.holds(missing.request_id, "no request id")
    kit.raises(anthropic.BadRequestError, lambda: ask(messages=[]))


def cut() -> None:
    kit.raises(anthropic.APIError, lambda: list(ask(model=PLAN["broken"], stream=True)))


kit.run({
    "list": list_models, "chat": chat, "stream": stream, "tools": tools, "schema": schema, "thinking": thinking,
    "vision": vision, "error": error, "cut": cut,
})
