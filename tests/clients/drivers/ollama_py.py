"""Ollama's Python client."""

from __future__ import annotations

from typing import Any

import kit
import ollama
from kit import MODEL, PLAN

client = ollama.Client(host=kit.URL, timeout=30)
HELLO: list[Any] = [{"role": "user", "content": kit.HELLO}]
TOOLS: list[Any] = [{"type": "function", "function": kit.WEATHER_TOOL}]


def list_models() -> None:
    names = [model.model for model in client.list().models]
    kit.has(names, f"{MODEL}:latest")
    kit.has(names, PLAN["seeing"])
    shown = client.show(MODEL)
    kit.has(shown.capabilities, "tools")
    kit.holds(shown.modelinfo, "no model_info")
    kit.has([model.model for model in client.ps().models], PLAN["seeing"])


def chat() -> None:
    reply = client.chat(model=MODEL, messages=HELLO, options={"temperature": 0, "num_ctx": 4096})
    kit.has(reply.message.content, kit.ANSWER)
    kit.same((reply.done, reply.done_reason), (True, "stop"))
    kit.holds((reply.eval_count or 0) > 0 and (reply.total_duration or 0) > 0, "no counts")
    if local := PLAN["local"]:
        asked = [{"role": "user", "content": local["question"]}]
        reply = client.chat(model=local["model"], messages=asked, options={"temperature": 0})
        kit.same(reply.message.content, local["answer"])


def stream() -> None:
    parts = list(client.chat(model=MODEL, messages=HELLO, stream=True))
    kit.has(kit.several(part.message.content for part in parts), kit.ANSWER)
    kit.same([part.done for part in parts], [False] * (len(parts) - 1) + [True])


def tools() -> None:
    asked: list[Any] = [{"role": "user", "content": kit.WEATHER}]
    streamed = [call.function.name for part in client.chat(model=MODEL, messages=asked, tools=TOOLS, stream=True)
                for call in part.message.tool_calls or ()]
    kit.same(streamed, ["get_weather"])
    message = client.chat(model=MODEL, messages=asked, tools=TOOLS).message
    kit.same([dict(call.function.arguments) for call in message.tool_calls or ()], [{"city": kit.WEATHER}])
    asked += [message, {"role": "tool", "tool_name": "get_weather", "content": kit.SUNNY}]
    kit.has(client.chat(model=MODEL, messages=asked, tools=TOOLS).message.content, kit.SUNNY)


def schema() -> None:
    kit.person(client.chat(model=MODEL, messages=HELLO, format=kit.PERSON).message.content)


def thinking() -> None:
    message = client.chat(model=PLAN["thinking"], messages=HELLO, think=True).message
    kit.has(message.thinking, "thinks")
    kit.has(message.content, kit.ANSWER)
    kit.holds(not client.chat(model=PLAN["thinking"], messages=HELLO, think=False).message.thinking, "it thinks")


def vision() -> None:
    asked: list[Any] = [{"role": "user", "content": kit.HELLO, "images": [PLAN["pixel"]]}]
    kit.has(client.chat(model=MODEL, messages=asked).message.content, "(1 images)")


def embed() -> None:
    kit.vector(client.embed(model=PLAN["embedding"], input="hello").embeddings[0])
    kit.vector(client.embeddings(model=PLAN["embedding"], prompt="hello").embedding)
    if PLAN["encoder"]:
        made = client.embed(model=PLAN["encoder"], input=["hello", "good day"])
        kit.same([len(row) for row in made.embeddings], [384, 384])


def complete() -> None:
    kit.has(client.generate(model=MODEL, prompt=kit.HELLO).response, kit.ANSWER)
    parts = client.generate(model=PLAN["coding"], prompt=kit.HELLO, suffix="end", stream=True)
    kit.has(kit.several(part.response for part in parts), kit.ANSWER)
    kit.same(client.generate(model=PLAN["seeing"]).done_reason, "load")


def manage() -> None:
    kit.same([part.status for part in client.pull(MODEL, stream=True)][-1], "success")
    kit.same(client.create(model="pirate", from_=MODEL, system="Talk like a pirate.").status, "success")
    kit.has(client.chat(model="pirate", messages=HELLO).message.content, kit.ANSWER)
    kit.same(client.copy("pirate", "corsair").status, "success")
    kit.has([model.model for model in client.list().models], "corsair:latest")
    kit.same([client.delete(name).status for name in ("pirate", "corsair")], ["success", "success"])
    kit.raises(ollama.ResponseError, lambda: client.delete("pirate"))


def error() -> None:
    missing = kit.raises(ollama.ResponseError, lambda: client.chat(model=PLAN["missing"], messages=HELLO))
    kit.same((missing.status_code, missing.error), (404, f"model '{PLAN['missing']}' not found"))
    mute = kit.raises(ollama.ResponseError, lambda: client.chat(model=PLAN["embedding"], messages=HELLO))
    kit.same(mute.status_code, 400)


def cut() -> None:
    kit.raises(ollama.ResponseError, lambda: list(client.chat(model=PLAN["broken"], messages=HELLO, stream=True)))


kit.run({
    "list": list_models, "chat": chat, "stream": stream, "tools": tools, "schema": schema, "thinking": thinking,
    "vision": vision, "embed": embed, "complete": complete, "manage": manage, "error": error, "cut": cut,
})
