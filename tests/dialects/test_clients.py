"""The official Python clients against the dialects, over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import ollama as ollama_client
import openai as openai_client
import pytest

from moe.core import Chunk, Done, Heartbeat, Text, Thinking, ToolCall, Usage
from moe.dialects import ollama, openai
from moe.dialects.base import Dialect, StreamWriter
from moe.errors import BrokenStream, ModelNotFound, MoeError
from moe.replies import Ending, Head, ModelCard, Whole

ENDPOINTS: dict[str, Dialect] = {
    "/v1/chat/completions": openai.CHAT,
    "/api/chat": ollama.CHAT,
    "/api/generate": ollama.GENERATE,
}
CARDS = (
    ModelCard(name="lemoe", kind="virtual", modified=1_700_000_000, context_length=8192),
    ModelCard(name="phi4:14b", kind="model", size=9_000_000_000, expires=1_900_000_000, family="phi3"),
)
HARD_TEXT = 'Ü "\\ \x00 \x0b \x1c \x85 \u2028 \u2029 😀\r\n\n'
USAGE = Usage(prompt_tokens=3, completion_tokens=4)
SCRIPTS: dict[str, tuple[Chunk | MoeError, ...]] = {
    "text": (Thinking("hm"), Heartbeat(), Text(HARD_TEXT), Heartbeat(), Text("end"), Done(usage=USAGE)),
    "call": (ToolCall("c1", "weather", '{"city":"Rom"}'), ToolCall("c2", "now"), Done(usage=USAGE)),
    "broken": (Text("half"), BrokenStream("secret")),
    "load": (Done(finish="load"),),
}


class Handler(BaseHTTPRequestHandler):
    """Answers with the script that the request's model names. A heartbeat is sent as the dialect's keep-alive."""

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        pages = {"/v1/models": openai.list_models, "/api/tags": ollama.tags, "/api/ps": ollama.ps}
        self.answer(200, "application/json", json.dumps(pages[self.path](CARDS)).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/show":
            assert ollama.parse_show(body) == "lemoe"
            return self.answer(200, "application/json", json.dumps(ollama.show(CARDS[0])).encode())
        dialect = ENDPOINTS[self.path]
        try:
            self.answer(200, *self.converse(dialect, body))
        except MoeError as error:
            self.answer(error.status, "application/json", dialect.error(error))

    def converse(self, dialect: Dialect, body: bytes) -> tuple[str, bytes]:
        request = dialect.parse(body)
        if request.model not in SCRIPTS:
            raise ModelNotFound(request.model)
        script = SCRIPTS[request.model]
        head = Head(request_id="r1", model=request.model, created=1_700_000_000.5)
        done = script[-1] if isinstance(script[-1], Done) else Done()
        ending = Ending(done=done, elapsed_ns=9, first_token_ns=5, extras={"note": "ü"})
        if not request.stream or request.only_loads:
            return "application/json", dialect.reply(gather(script, done), head, ending)
        return dialect.stream_type, self.write_stream(script, dialect, dialect.writer(request, head), ending)

    def write_stream(
        self, script: tuple[Chunk | MoeError, ...], dialect: Dialect, writer: StreamWriter, ending: Ending
    ) -> bytes:
        sent = dialect.keep_alive
        for chunk in script:
            if isinstance(chunk, MoeError):
                return sent + writer.fail(chunk)
            sent += dialect.keep_alive if isinstance(chunk, Heartbeat) else writer.chunk(chunk)
        return sent + writer.end(ending)

    def answer(self, status: int, kind: str, written: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)


def gather(script: tuple[Chunk | MoeError, ...], done: Done) -> Whole:
    return Whole(
        text="".join(c.text for c in script if isinstance(c, Text)),
        thinking="".join(c.text for c in script if isinstance(c, Thinking)),
        tool_calls=tuple(c for c in script if isinstance(c, ToolCall)),
        done=done,
    )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def gpt(address: str) -> Iterator[openai_client.OpenAI]:
    with openai_client.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def llama(address: str) -> Iterator[ollama_client.Client]:
    client = ollama_client.Client(host=address, timeout=20)
    yield client
    client.close()


ASK: Any = [{"role": "user", "content": "hi"}]


def test_openai_streams_text_thinking_and_usage(gpt: openai_client.OpenAI) -> None:
    options: Any = {"include_usage": True}
    chunks = list(gpt.chat.completions.create(model="text", messages=ASK, stream=True, stream_options=options))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == HARD_TEXT + "end"
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == "hm"
    assert [delta.role for delta in deltas][:2] == ["assistant", None]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 7
    assert chunks[-2].to_dict()["x_moe"] == {"note": "ü"}
    assert {(chunk.id, chunk.created) for chunk in chunks} == {("chatcmpl-r1", 1_700_000_000)}


def test_openai_gathers_a_stream_into_what_a_whole_reply_says(gpt: openai_client.OpenAI) -> None:
    for model in ("text", "call"):
        whole = gpt.chat.completions.create(model=model, messages=ASK).choices[0]
        with gpt.chat.completions.stream(model=model, messages=ASK) as stream:
            gathered = stream.get_final_completion().choices[0]
        assert gathered.finish_reason == whole.finish_reason
        assert (gathered.message.content or "") == (whole.message.content or "")
        calls, told = gathered.message.tool_calls or [], whole.message.tool_calls or []
        assert [(c.id, c.type, c.function.name, c.function.arguments) for c in calls] == [
            (c.id, c.type, c.function.name, c.function.arguments) for c in told
        ]
    assert [call.id for call in told] == ["c1", "c2"]


def test_openai_raises_on_a_broken_stream(gpt: openai_client.OpenAI) -> None:
    seen = []
    with pytest.raises(openai_client.APIError, match="the answer broke off"):
        for chunk in gpt.chat.completions.create(model="broken", messages=ASK, stream=True):
            seen.append(chunk.choices[0].delta.content)
    assert seen == ["", "half"]


def test_openai_knows_our_errors_by_their_classes(gpt: openai_client.OpenAI) -> None:
    with pytest.raises(openai_client.NotFoundError, match="model 'none' not found") as missing:
        gpt.chat.completions.create(model="none", messages=ASK)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai_client.BadRequestError) as bad:
        gpt.chat.completions.create(model="text", messages=ASK, temperature=3)
    assert (bad.value.param, bad.value.type) == ("temperature", "invalid_request_error")


def test_openai_lists_models(gpt: openai_client.OpenAI) -> None:
    assert [model.id for model in gpt.models.list()] == ["lemoe", "phi4:14b"]


def test_ollama_streams_chat_and_generate(llama: ollama_client.Client) -> None:
    chat = list(llama.chat(model="text", messages=ASK, stream=True))
    assert "".join(part.message.content or "" for part in chat) == HARD_TEXT + "end"
    assert "".join(part.message.thinking or "" for part in chat) == "hm"
    assert [part.done for part in chat] == [False] * (len(chat) - 1) + [True]
    assert (chat[-1].done_reason, chat[-1].prompt_eval_count, chat[-1].eval_count) == ("stop", 3, 4)
    generated = list(llama.generate(model="text", prompt="hi", stream=True))
    assert "".join(part.response or "" for part in generated) == HARD_TEXT + "end"


def test_ollama_reads_whole_replies_and_tool_calls(llama: ollama_client.Client) -> None:
    assert llama.chat(model="text", messages=ASK).message.content == HARD_TEXT + "end"
    assert llama.generate(model="text", prompt="hi").response == HARD_TEXT + "end"
    whole = llama.chat(model="call", messages=ASK).message.tool_calls or []
    streamed = [
        call for part in llama.chat(model="call", messages=ASK, stream=True) for call in part.message.tool_calls or []
    ]
    assert [(call.function.name, call.function.arguments) for call in whole] == [
        ("weather", {"city": "Rom"}),
        ("now", {}),
    ]
    assert streamed == whole


def test_ollama_raises_on_a_broken_stream(llama: ollama_client.Client) -> None:
    seen = []
    with pytest.raises(ollama_client.ResponseError, match="the answer broke off"):
        for part in llama.chat(model="broken", messages=ASK, stream=True):
            seen.append(part.message.content)
    assert seen == ["half"]


def test_ollama_reads_our_errors(llama: ollama_client.Client) -> None:
    with pytest.raises(ollama_client.ResponseError, match="model 'none' not found") as missing:
        llama.chat(model="none", messages=ASK)
    assert missing.value.status_code == 404


def test_ollama_loads_a_model_even_when_it_asks_for_a_stream(llama: ollama_client.Client) -> None:
    (part,) = llama.generate(model="load", prompt="", stream=True)
    assert (part.done, part.done_reason, part.response) == (True, "load", "")


def test_ollama_reads_the_model_pages(llama: ollama_client.Client) -> None:
    assert [model.model for model in llama.list().models] == ["lemoe:latest", "phi4:14b"]
    assert [model.expires_at is not None for model in llama.ps().models] == [True, True]
    shown = llama.show("lemoe")
    assert shown.modelinfo == {"general.architecture": "moe", "general.parameter_count": 0, "moe.context_length": 8192,
                               "moe.embedding_length": 0}
    assert shown.capabilities == ["completion"]
