"""LlamaIndex's package for Ollama."""

from __future__ import annotations

from typing import Any

import kit
import ollama
from kit import MODEL, PLAN
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.ollama import Ollama
from pydantic import BaseModel

HELLO = [ChatMessage(role="user", content=kit.HELLO)]


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return kit.SUNNY


TOOL = FunctionTool.from_defaults(get_weather)


def bot(model: str = MODEL, **fields: Any) -> Ollama:
    return Ollama(model=model, base_url=kit.URL, request_timeout=30, **fields)


def chat() -> None:
    llm = bot(temperature=0)
    kit.has(llm.chat(HELLO).message.content, kit.ANSWER)
    kit.holds(llm.get_context_window() > 0, "no context window")
    if local := PLAN["local"]:
        asked = [ChatMessage(role="user", content=local["question"])]
        kit.same(bot(local["model"], temperature=0).chat(asked).message.content, local["answer"])


def stream() -> None:
    kit.has(kit.several(part.delta for part in bot().stream_chat(HELLO)), kit.ANSWER)


def tools() -> None:
    llm = bot()
    for reply in (llm.chat_with_tools([TOOL], user_msg=kit.WEATHER),
                  list(llm.stream_chat_with_tools([TOOL], user_msg=kit.WEATHER))[-1]):
        calls = llm.get_tool_calls_from_response(reply)
        kit.same([(call.tool_name, call.tool_kwargs) for call in calls], [("get_weather", {"city": kit.WEATHER})])
    told = ChatMessage(role="tool", content=kit.SUNNY, additional_kwargs={"tool_call_id": calls[0].tool_id})
    asked = [ChatMessage(role="user", content=kit.WEATHER), reply.message, told]
    kit.has(llm.chat_with_tools([TOOL], chat_history=asked).message.content, kit.SUNNY)


def schema() -> None:
    made = bot().as_structured_llm(Person).chat(HELLO).raw
    kit.same((type(made), type(made.age)), (Person, int))


def thinking() -> None:
    message = bot(PLAN["thinking"], thinking=True).chat(HELLO).message
    thoughts = [getattr(block, "content", None) for block in message.blocks if block.block_type == "thinking"]
    kit.has(" ".join(filter(None, thoughts)), "thinks")
    kit.has(message.content, kit.ANSWER)


def vision() -> None:
    blocks = [TextBlock(text=kit.HELLO), ImageBlock(url=kit.PICTURE)]
    kit.has(bot().chat([ChatMessage(role="user", blocks=blocks)]).message.content, "(1 images)")


def complete() -> None:
    kit.has(bot().complete(kit.HELLO).text, kit.ANSWER)
    kit.has(kit.several(part.delta for part in bot().stream_complete(kit.HELLO)), kit.ANSWER)


def error() -> None:
    missing = kit.raises(ollama.ResponseError, lambda: bot(PLAN["missing"], context_window=4096).chat(HELLO))
    kit.same((missing.status_code, missing.error), (404, f"model '{PLAN['missing']}' not found"))


def cut() -> None:
    kit.raises(ollama.ResponseError, lambda: list(bot(PLAN["broken"]).stream_chat(HELLO)))


kit.run({
    "chat": chat, "stream": stream, "tools": tools, "schema": schema, "thinking": thinking, "vision": vision,
    "complete": complete, "error": error, "cut": cut,
})
