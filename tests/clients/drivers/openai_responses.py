"""OpenAI's Python client: the Responses API."""

from __future__ import annotations

import json
from typing import Any

import kit
import openai
from kit import MODEL, PLAN

client = openai.OpenAI(base_url=f"{kit.URL}/v1", api_key="none", timeout=30, max_retries=0)
TOOLS: list[Any] = [{"type": "function", **kit.WEATHER_TOOL}]


def chat() -> None:
    reply = client.responses.create(model=MODEL, input=kit.HELLO, instructions="Be brief.", store=False)
    kit.has(reply.output_text, kit.ANSWER)
    kit.same(reply.status, "completed")
    kit.holds(reply.usage and reply.usage.output_tokens > 0, "no usage")
    if local := PLAN["local"]:
        reply = client.responses.create(model=local["model"], input=local["question"], temperature=0)
        kit.same(reply.output_text, local["answer"])


def stream() -> None:
    events = list(client.responses.create(model=MODEL, input=kit.HELLO, stream=True))
    kit.has(kit.several(event.delta for event in events if event.type == "response.output_text.delta"), kit.ANSWER)
    kit.same([event.sequence_number for event in events], list(range(len(events))))
    kit.same((events[0].type, events[-1].type), ("response.created", "response.completed"))
    with client.responses.stream(model=MODEL, input=kit.HELLO) as gathered:
        kit.has(gathered.get_final_response().output_text, kit.ANSWER)


def tools() -> None:
    asked: list[Any] = [{"role": "user", "content": kit.WEATHER}]
    reply = client.responses.create(model=MODEL, input=asked, tools=TOOLS)
    calls = [item for item in reply.output if item.type == "function_call"]
    kit.same([(call.name, json.loads(call.arguments)) for call in calls], [("get_weather", {"city": kit.WEATHER})])
    asked += [item.model_dump(exclude_none=True) for item in reply.output]
    asked += [{"type": "function_call_output", "call_id": calls[0].call_id, "output": kit.SUNNY}]
    kit.has(client.responses.create(model=MODEL, input=asked, tools=TOOLS).output_text, kit.SUNNY)
    with client.responses.stream(model=MODEL, input=asked[:1], tools=TOOLS) as events:
        streamed = [item for item in events.get_final_response().output if item.type == "function_call"]
    kit.same([call.name for call in streamed], ["get_weather"])


def schema() -> None:
    wanted: Any = {"format": {"type": "json_schema", "name": "person", "strict": True, "schema": kit.PERSON}}
    kit.person(client.responses.create(model=MODEL, input=kit.HELLO, text=wanted).output_text)


def thinking() -> None:
    reply = client.responses.create(model=PLAN["thinking"], input=kit.HELLO,
                                    reasoning={"effort": "high", "summary": "auto"})
    thoughts = [part.text for item in reply.output if item.type == "reasoning" for part in item.summary]
    kit.has("".join(thoughts), "thinks")
    kit.has(reply.output_text, kit.ANSWER)


def vision() -> None:
    parts = [{"type": "input_text", "text": kit.HELLO}, {"type": "input_image", "image_url": kit.PICTURE}]
    asked: Any = [{"role": "user", "content": parts}]
    kit.has(client.responses.create(model=MODEL, input=asked).output_text, "(1 images)")


def error() -> None:
    missing = kit.raises(openai.NotFoundError, lambda: client.responses.create(model=PLAN["missing"], input="hi"))
    kit.has(missing.message, PLAN["missing"])
    unknown: Any = [{"type": "nonsense"}]
    kit.raises(openai.BadRequestError, lambda: client.responses.create(model=MODEL, input=unknown))


def cut() -> None:
    def listen() -> object:
        events = list(client.responses.create(model=PLAN["broken"], input=kit.HELLO, stream=True))
        if events[-1].type in ("response.failed", "error"):
            raise openai.OpenAIError(events[-1].type)
        return events[-1]

    kit.raises(openai.OpenAIError, listen)


kit.run({
    "chat": chat, "stream": stream, "tools": tools, "schema": schema, "thinking": thinking, "vision": vision,
    "error": error, "cut": cut,
})
