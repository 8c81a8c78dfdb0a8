"""Every step of a script, seen by a client that reads raw bytes."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import ollama
import openai
import pytest

from tests.fakes import (
    FakeOllama,
    FakeOpenAI,
    Request,
    Step,
    ToolCall,
    answer,
    cut,
    empty,
    endless,
    error_line,
    fake_ollama,
    fake_openai,
    fragmented,
    garbage,
    hang_up,
    http_error,
    huge,
    invalid_chunk,
    no_done,
    reset,
    slow_drip,
    stall,
)
from tests.fakes.probe import HELLO, Reply, ask

MODEL = "gemma3:4b"
API_CHAT = "/v1/chat/completions"


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    with fake_ollama([MODEL, "phi4:14b"]) as running:
        yield running


@pytest.fixture
def fake_api() -> Iterator[FakeOpenAI]:
    with fake_openai([MODEL]) as running:
        yield running


def play(fake: FakeOllama | FakeOpenAI, step: Step, **body: Any) -> Reply:
    """Scripts the step and asks for a streamed chat."""
    fake.script(MODEL, [step])
    path = "/api/chat" if isinstance(fake, FakeOllama) else API_CHAT
    return ask(fake, path, {"model": MODEL, "messages": HELLO, "stream": True, **body})


def read_partly(fake: FakeOllama | FakeOpenAI, step: Step, **body: Any) -> bytes:
    """What arrived before the connection broke."""
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)) as caught:
        play(fake, step, **body)
    return getattr(caught.value, "partial", b"")


def texts(reply: Reply) -> list[str]:
    return [line["message"]["content"] for line in reply.lines]


def test_the_nth_request_takes_the_nth_step_and_the_last_repeats(fake: FakeOllama) -> None:
    fake.script(MODEL, [http_error(503), answer("one"), answer("two")])
    asked = [ask(fake, "/api/chat", {"model": MODEL, "messages": HELLO}) for _ in range(4)]
    other = ask(fake, "/api/chat", {"model": "phi4:14b", "messages": HELLO})
    assert asked[0].status == 503
    assert [texts(reply)[0] for reply in asked[1:]] == ["one", "two", "two"]
    assert texts(other)[0] == "[phi4:14b] "


def test_an_empty_script_ends_the_script(fake: FakeOllama) -> None:
    assert texts(play(fake, answer("one")))[0] == "one"
    fake.script(MODEL, [])
    assert texts(ask(fake, "/api/chat", {"model": MODEL, "messages": HELLO}))[0] == "[gemma3:4b] "


def test_a_path_can_have_a_script_too(fake: FakeOllama) -> None:
    fake.script("/api/tags", [http_error(500), answer()])
    assert [ask(fake, "/api/tags").status for _ in range(2)] == [500, 200]


def test_a_scripted_model_need_not_be_listed(fake: FakeOllama) -> None:
    fake.script("ghost", [answer("boo")])
    assert texts(ask(fake, "/api/chat", {"model": "ghost:latest", "messages": HELLO}))[0] == "boo"


def test_a_step_may_depend_on_the_request(fake: FakeOllama) -> None:
    def refuse_prefill(request: Request) -> Step:
        is_prefill = request.json["messages"][-1]["role"] == "assistant"
        return http_error(400, message="no prefill") if is_prefill else answer("fine")

    fake.script(MODEL, [refuse_prefill])
    prefill = [*HELLO, {"role": "assistant", "content": "He"}]
    assert ask(fake, "/api/chat", {"model": MODEL, "messages": prefill}).json == {"error": "no prefill"}
    assert ask(fake, "/api/chat", {"model": MODEL, "messages": HELLO}).status == 200


def test_an_answer_is_just_what_was_scripted(fake: FakeOllama) -> None:
    step = answer(chunks=["A", "B"], thinking="hm", tool_calls=[("f", {"x": 1}), ToolCall("g", {})], finish="length")
    with ollama.Client(host=fake.url) as client:
        fake.script(MODEL, [step])
        reply = client.chat(MODEL, HELLO)
    assert (reply.message.content, reply.message.thinking, reply.done_reason) == ("AB", "hm", "length")
    assert [(c.function.name, c.function.arguments) for c in reply.message.tool_calls or ()] == [
        ("f", {"x": 1}),
        ("g", {}),
    ]
    assert reply.eval_count == 5


def test_usage_can_be_left_out_or_invented(fake: FakeOllama, fake_api: FakeOpenAI) -> None:
    assert "eval_count" not in play(fake, answer(usage=None)).lines[-1]
    assert play(fake, answer(usage={"eval_count": 77})).lines[-1]["eval_count"] == 77
    assert "usage" not in play(fake_api, answer(usage=None), stream=False).json
    assert play(fake_api, answer(usage={"total_tokens": 1}), stream=False).json["usage"] == {"total_tokens": 1}


def test_delays_come_before_the_headers_before_the_text_and_between_chunks(fake: FakeOllama) -> None:
    for step in (answer(delay_s=0.3), answer(first_token_delay_s=0.3), answer("a b c", chunk_delay_s=0.1)):
        for is_streamed in (True, False):
            started = time.monotonic()
            play(fake, step, stream=is_streamed)
            assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("body", [{"a": 1}, '{"a":1}', b'{"a":1}'])
def test_an_http_error_has_the_body_and_headers_it_was_given(fake: FakeOllama, body: Any) -> None:
    fake.script(MODEL, [http_error(429, body, headers={"Retry-After": "2"})])
    connection = http.client.HTTPConnection(fake.host, fake.port, timeout=20)
    connection.request("POST", "/api/chat", body=json.dumps({"model": MODEL, "messages": HELLO}))
    reply = connection.getresponse()
    assert (reply.status, reply.headers["Retry-After"], reply.read()) == (429, "2", b'{"a":1}')
    connection.close()


def test_an_http_error_speaks_the_dialect(fake: FakeOllama, fake_api: FakeOpenAI) -> None:
    assert play(fake, http_error(500, message="oh")).json == {"error": "oh"}
    error = play(fake_api, http_error(500, message="oh")).json["error"]
    assert error == {"message": "oh", "type": "server_error", "param": None, "code": None}


def test_a_reset_is_a_reset_and_a_hang_up_is_an_end(fake: FakeOllama) -> None:
    with pytest.raises(ConnectionResetError) as caught:
        play(fake, reset())
    assert not isinstance(caught.value, http.client.RemoteDisconnected)
    with pytest.raises(http.client.RemoteDisconnected):
        play(fake, hang_up())
    for request in fake.requests:
        request.wait_until_over()
        assert request.finished


@pytest.mark.parametrize("with_reset", [False, True])
def test_a_cut_stream_has_no_end(fake: FakeOllama, fake_api: FakeOpenAI, with_reset: bool) -> None:
    arrived = read_partly(fake, cut(after=2, text="a b c d", with_reset=with_reset))
    if not with_reset:
        assert [json.loads(line)["message"]["content"] for line in arrived.splitlines()] == ["a ", "b "]
        assert read_partly(fake_api, cut(after=2, text="a b c d")).count(b"data: ") == 3
        assert read_partly(fake, cut(after=2, text="a b c d"), stream=False).startswith(b'{"model"')


def test_a_clean_cut_ends_the_body_but_not_the_answer(fake: FakeOllama, fake_api: FakeOpenAI) -> None:
    assert [line["done"] for line in play(fake, cut(after=3, clean=True)).lines] == [False] * 3
    assert len(play(fake_api, cut(after=3, clean=True)).events) == 4
    with pytest.raises(ValueError, match="Unterminated|Expecting"):
        _ = play(fake, cut(after=2, clean=True), stream=False).json


def test_a_torn_cut_leaves_half_a_line(fake: FakeOllama) -> None:
    body = play(fake, cut(after=1, clean=True, torn=True)).body
    whole, half = body.splitlines()
    assert json.loads(whole)["done"] is False and half.startswith(b'{"model"') and not half.endswith(b"}")


def test_a_cut_beyond_the_end_strikes_before_the_end(fake: FakeOllama) -> None:
    assert [line["done"] for line in play(fake, cut(after=99, clean=True, text="a b")).lines] == [False, False]


def test_a_stalled_stream_goes_on(fake: FakeOllama) -> None:
    for is_streamed in (True, False):
        started = time.monotonic()
        reply = play(fake, stall(after=1, for_s=0.3, text="a b"), stream=is_streamed)
        assert time.monotonic() - started >= 0.3
        assert "".join(texts(reply)) == "a b" and reply.lines[-1]["done"]


def test_garbage_is_html_with_status_200(fake: FakeOllama) -> None:
    reply = play(fake, garbage())
    assert (reply.status, reply.media_type, reply.body[:6]) == (200, "text/html", b"<html>")


def test_an_invalid_chunk_stands_amid_a_whole_answer(fake: FakeOllama, fake_api: FakeOpenAI) -> None:
    lines = play(fake, invalid_chunk(at=1, text="a b c")).body.splitlines()
    with pytest.raises(ValueError):
        json.loads(lines.pop(1))
    assert "".join(json.loads(line)["message"]["content"] for line in lines) == "a b c"
    events = play(fake_api, invalid_chunk(at=1, text="a b c")).events
    with pytest.raises(ValueError):
        json.loads(events[2])
    assert events[-1] == "[DONE]"


def test_without_a_done_mark_the_rest_is_there(fake: FakeOllama, fake_api: FakeOpenAI) -> None:
    assert [line["done"] for line in play(fake, no_done(text="a b")).lines] == [False, False]
    events = [json.loads(event) for event in play(fake_api, no_done(), stream_options={"include_usage": True}).events]
    assert events[-2]["choices"][0]["finish_reason"] == "stop" and events[-1]["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize("after", [0, 2])
def test_an_error_line_comes_with_status_200(fake: FakeOllama, fake_api: FakeOpenAI, after: int) -> None:
    reply = play(fake, error_line(after=after, message="out of memory"))
    assert (reply.status, len(reply.lines), reply.lines[-1]) == (200, after + 1, {"error": "out of memory"})
    assert play(fake, error_line(after=after), stream=False).json == {"error": "injected failure"}
    fake_api.script(MODEL, [error_line(after=after, message="out of memory")])
    with (
        openai.OpenAI(base_url=fake_api.api_base, api_key="x", max_retries=0) as client,
        client.chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream,
        pytest.raises(openai.APIError, match="out of memory"),
    ):
        list(stream)


def test_an_empty_answer_is_done_at_once(fake: FakeOllama, fake_api: FakeOpenAI) -> None:
    (line,) = play(fake, empty()).lines
    assert (line["message"]["content"], line["done"], line["eval_count"]) == ("", True, 0)
    assert play(fake_api, empty(), stream=False).json["choices"][0]["message"]["content"] == ""


def test_an_endless_answer_ends_at_the_token_limit_only(fake: FakeOllama) -> None:
    reply = play(fake, endless(interval_s=0), options={"num_predict": 500})
    assert (len(reply.lines), reply.lines[-1]["done_reason"]) == (501, "length")


def test_a_huge_line_is_that_long(fake: FakeOllama) -> None:
    assert len(play(fake, huge(line_bytes=3_000_000)).body.splitlines()[0]) > 3_000_000


def test_fragments_split_characters_lines_and_http_chunks(fake: FakeOllama, fake_api: FakeOpenAI) -> None:
    text = "süß 日本 🎉 done"
    assert "".join(texts(play(fake, fragmented(text=text)))) == text
    fake_api.script(MODEL, [fragmented(text=text)])
    with (
        openai.OpenAI(base_url=fake_api.api_base, api_key="x", max_retries=0) as client,
        client.chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream,
    ):
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text
    pieces = receive(fake, fragmented(text=text))
    assert len(pieces) > 20 and any(breaks_a_character(piece) for piece in pieces)


def test_a_slow_drip_sends_byte_by_byte(fake: FakeOllama) -> None:
    pieces = receive(fake, slow_drip(interval_s=0.002, text="x"))
    assert b"".join(pieces).endswith(b"0\r\n\r\n")
    assert len(pieces) > 20


def receive(fake: FakeOllama, step: Step) -> list[bytes]:
    """The segments of an answer as they arrive."""
    fake.script(MODEL, [step])
    body = json.dumps({"model": MODEL, "messages": HELLO}).encode()
    head = f"POST /api/chat HTTP/1.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((fake.host, fake.port), timeout=20) as sock:
        sock.sendall(head + body)
        return list(iter(lambda: sock.recv(65536), b""))


def breaks_a_character(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return True
    return False
