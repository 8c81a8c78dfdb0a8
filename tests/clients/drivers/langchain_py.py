"""LangChain's partner packages for OpenAI and Ollama."""

from __future__ import annotations

from typing import Any

import kit
from kit import MODEL, PLAN, WAY
from langchain_core.messages import HumanMessage, ToolMessage

WEATHER = [{"type": "function", "function": kit.WEATHER_TOOL}]
PERSON = {"title": "person", "description": "A person", **kit.PERSON}
HELLO = [HumanMessage(kit.HELLO)]


def bot(model: str = MODEL, **fields: Any) -> Any:
    if WAY == "openai":
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 - only one of the two is installed

        return ChatOpenAI(model=model, base_url=f"{kit.URL}/v1", api_key="none", timeout=30, max_retries=0, **fields)
    from langchain_ollama import ChatOllama  # noqa: PLC0415

    return ChatOllama(model=model, base_url=kit.URL, **fields)


def maker(model: str) -> Any:
    if WAY == "openai":
        from langchain_openai import OpenAIEmbeddings  # noqa: PLC0415

        # True, its default, needs a table of words that it downloads, and sends tokens of OpenAI's own models.
        return OpenAIEmbeddings(model=model, base_url=f"{kit.URL}/v1", api_key="none", max_retries=0,
                                check_embedding_ctx_length=False)
    from langchain_ollama import OllamaEmbeddings  # noqa: PLC0415

    return OllamaEmbeddings(model=model, base_url=kit.URL)


def writer() -> Any:
    if WAY == "openai":
        from langchain_openai import OpenAI  # noqa: PLC0415

        return OpenAI(model=PLAN["coding"], base_url=f"{kit.URL}/v1", api_key="none", timeout=30, max_retries=0)
    from langchain_ollama import OllamaLLM  # noqa: PLC0415

    return OllamaLLM(model=PLAN["coding"], base_url=kit.URL)


def chat() -> None:
    reply = bot(temperature=0).invoke(HELLO)
    kit.has(reply.content, kit.ANSWER)
    kit.holds(reply.usage_metadata["output_tokens"] > 0, "no usage")
    if local := PLAN["local"]:
        kit.same(bot(local["model"], temperature=0).invoke(local["question"]).content, local["answer"])


def stream() -> None:
    kit.has(kit.several(chunk.content for chunk in bot().stream(HELLO)), kit.ANSWER)


def tools() -> None:
    handy = bot().bind_tools(WEATHER)
    asked: list[Any] = [HumanMessage(kit.WEATHER)]
    chunks = list(handy.stream(asked))
    streamed = sum(chunks[1:], chunks[0])
    kit.same([(call["name"], call["args"]) for call in streamed.tool_calls], [("get_weather", {"city": kit.WEATHER})])
    reply = handy.invoke(asked)
    kit.same([(call["name"], call["args"]) for call in reply.tool_calls], [("get_weather", {"city": kit.WEATHER})])
    asked += [reply, ToolMessage(kit.SUNNY, tool_call_id=reply.tool_calls[0]["id"])]
    kit.has(handy.invoke(asked).content, kit.SUNNY)


def schema() -> None:
    for way in ("json_schema", "function_calling"):
        made = bot().with_structured_output(PERSON, method=way).invoke(HELLO)
        kit.same({key: type(value).__name__ for key, value in made.items()}, {"name": "str", "age": "int"})


def thinking() -> None:
    reply = bot(PLAN["thinking"], reasoning=True).invoke(HELLO)
    kit.has(reply.additional_kwargs.get("reasoning_content"), "thinks")
    kit.has(reply.content, kit.ANSWER)


def vision() -> None:
    parts = [{"type": "text", "text": kit.HELLO}, {"type": "image_url", "image_url": {"url": kit.PICTURE}}]
    kit.has(bot().invoke([HumanMessage(parts)]).content, "(1 images)")


def embed() -> None:
    kit.vector(maker(PLAN["embedding"]).embed_query("hello"))
    if PLAN["encoder"]:
        made = maker(PLAN["encoder"]).embed_documents(["hello", "good day"])
        kit.same([len(row) for row in made], [384, 384])


def complete() -> None:
    kit.has(writer().invoke(kit.HELLO), kit.ANSWER)
    kit.has(kit.several(writer().stream(kit.HELLO)), kit.ANSWER)


def error() -> None:
    kit.has(str(kit.raises(Exception, lambda: bot(PLAN["missing"]).invoke(HELLO))), PLAN["missing"])


def cut() -> None:
    kit.raises(Exception, lambda: list(bot(PLAN["broken"]).stream(HELLO)))


kit.run({
    "chat": chat, "stream": stream, "tools": tools, "schema": schema, "thinking": thinking, "vision": vision,
    "embed": embed, "complete": complete, "error": error, "cut": cut,
})
