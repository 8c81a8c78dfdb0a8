"""Scripted answers, and the bytes each becomes on the wire."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from moe.core import ChatRequest, Chunk, Done, Heartbeat, Started, Text, Thinking, TokenLogprob, ToolCall, Usage
from moe.dialects import ollama, openai, openai_completions
from moe.dialects.base import Dialect, TurningWriter
from moe.dialects.ollama_wire import parse_chat, parse_generate
from moe.errors import BrokenStream
from moe.replies import Ending, Head, Whole

from . import golden

HEAD = Head(request_id="0123abcd", model="math", created=1_700_000_000.75)
USAGE = Usage(prompt_tokens=12, completion_tokens=5, load_ns=1000, prompt_ns=2000, completion_ns=3000)
EXTRAS = {"fallback": "medical", "estimated": True}


def tick() -> int:
    return 1_700_000_000_000_000_042


ENDPOINTS: dict[str, Dialect] = {
    "openai_chat": openai.CHAT,
    "openai_completions": openai_completions.COMPLETIONS,
    "ollama_chat": ollama.Endpoint(parse_chat, ollama.CHAT_SHAPE, tick),
    "ollama_generate": ollama.Endpoint(parse_generate, ollama.GENERATE_SHAPE, tick),
}
SCRIPTS: dict[str, tuple[tuple[Chunk, ...], Done]] = {
    "text": (
        (Heartbeat(), Started(expert="math", model="phi4"), Text("Es ist "), Text("4 \u2028🙂\n")),
        Done(usage=USAGE),
    ),
    "thinking": ((Thinking("2+2…"), Thinking("is 4"), Text("4")), Done(finish="length", usage=USAGE)),
    "tool_calls": (
        (Text("I look."), ToolCall("call_1", "weather", '{"city":"Rom"}'), ToolCall("", "now", "not json")),
        Done(usage=USAGE),
    ),
    "only_a_tool_call": ((ToolCall("call_1", "weather", "{}"),), Done(finish="tool_calls", usage=USAGE)),
    "nothing": ((), Done()),
    "context": ((Text("4"),), Done(usage=USAGE, context=(1, 2, 3))),
    "logprobs": (
        (Text("I say "), Text("yes", (TokenLogprob("ye", -0.25, (TokenLogprob("no", -1.5),)), TokenLogprob("s", -0.5))),
         Text("é", (TokenLogprob("\udcc3", -1.0), TokenLogprob("\udca9", 0.0)))),
        Done(usage=USAGE),
    ),
}


def gather(chunks: tuple[Chunk, ...], done: Done) -> Whole:
    return Whole(
        text="".join(c.text for c in chunks if isinstance(c, Text)),
        thinking="".join(c.text for c in chunks if isinstance(c, Thinking)),
        tool_calls=tuple(c for c in chunks if isinstance(c, ToolCall)),
        done=done,
        logprobs=tuple(token for c in chunks if isinstance(c, Text) for token in c.logprobs),
        text_at=6,
    )


@pytest.mark.parametrize("extras", [{}, EXTRAS], ids=["bare", "extras"])
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("folder", ENDPOINTS)
def test_an_answer_is_written_as_before(folder: str, script: str, extras: dict[str, object]) -> None:
    chunks, done = SCRIPTS[script]
    dialect = ENDPOINTS[folder]
    ending = Ending(done=done, elapsed_ns=9_000_000, first_token_ns=4_000_000, extras=extras)
    writer = dialect.writer(ChatRequest(include_usage=bool(extras)), HEAD)
    stream = b"".join(writer.chunk(chunk) for chunk in (*chunks, done)) + writer.end(ending)
    reply = dialect.reply(gather(chunks, done), HEAD, ending)
    name = f"{folder}/{script}{'_extras' if extras else ''}"
    golden.assert_same(f"{name}.stream.txt", stream.decode())
    golden.assert_same(f"{name}.reply.json", json.dumps(json.loads(reply), indent=2, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("folder", ENDPOINTS)
def test_a_broken_stream_is_written_as_before(folder: str) -> None:
    writer = ENDPOINTS[folder].writer(ChatRequest(include_usage=True), HEAD)
    stream = writer.chunk(Text("4")) + writer.fail(BrokenStream("http://10.0.0.1:11434 reset"))
    golden.assert_same(f"{folder}/broken.stream.txt", stream.decode())


@pytest.mark.parametrize("folder", ["openai_chat", "openai_completions"])
def test_several_answers_are_written_as_before(folder: str) -> None:
    dialect = ENDPOINTS[folder]
    pieces = (Text("one"), ToolCall("call_1", "weather", "{}"), ToolCall("call_2", "now", "{}"))
    done = Done(finish="length", usage=USAGE)
    ending = Ending(done=done, elapsed_ns=9, first_token_ns=4)
    writer = dialect.writer(ChatRequest(include_usage=True, n=2), HEAD)
    assert isinstance(writer, TurningWriter)
    stream = b"".join((*map(writer.chunk, pieces), writer.turn(Done()), *map(writer.chunk, pieces), writer.end(ending)))
    golden.assert_same(f"{folder}/several.stream.txt", stream.decode())
    whole = structs.replace(gather(pieces, Done()), others=(gather(pieces, done),))
    reply = json.loads(dialect.reply(whole, HEAD, ending))
    golden.assert_same(f"{folder}/several.reply.json", json.dumps(reply, indent=2) + "\n")


def test_a_call_is_written_as_old_clients_know_it() -> None:
    asked = ChatRequest(calls_functions=True)
    chunks, done = SCRIPTS["only_a_tool_call"]
    ending = Ending(done=done, elapsed_ns=9, first_token_ns=4)
    writer = openai.CHAT.writer(asked, HEAD)
    stream = b"".join((*map(writer.chunk, chunks), writer.end(ending)))
    golden.assert_same("openai_chat/function_call.stream.txt", stream.decode())
    reply = json.loads(openai.CHAT.reply(gather(chunks, done), structs.replace(HEAD, asked=asked), ending))
    golden.assert_same("openai_chat/function_call.reply.json", json.dumps(reply, indent=2) + "\n")


@pytest.mark.parametrize("folder", ["ollama_chat", "ollama_generate"])
@pytest.mark.parametrize("finish", ["load", "unload"])
def test_a_load_is_answered_by_one_short_object(folder: str, finish: str) -> None:
    done = Done(finish="load" if finish == "load" else "unload")
    reply = ENDPOINTS[folder].reply(Whole(done=done), HEAD, Ending(done=done, elapsed_ns=5, first_token_ns=0))
    golden.assert_same(f"{folder}/{finish}.reply.json", json.dumps(json.loads(reply), indent=2) + "\n")
