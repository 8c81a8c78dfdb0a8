"""What running answers say when the drain time is up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adversarial.kit import CHATS, Reply, ask, assert_refused, becomes_true, open_stream, read_all
from tests.fakes import FakeOllama, endless, fake_ollama, hang
from tests.live import FALLBACK, Live, live_server

MODEL = "general:4b"
WORDS = "the server is shutting down"


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([MODEL]) as fake:
        yield fake


@pytest.fixture
def server(tmp_path: Path, ollama: FakeOllama) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": ollama.url}}
    with live_server(tmp_path, config=config, experts=[{**FALLBACK, "model_name": MODEL}]) as live:
        yield live


def last_error(raw: bytes) -> object:
    """The error in the last row of a chunked reply, which itself has come to a good end."""
    assert raw.endswith(b"\r\n0\r\n\r\n")
    error = json.loads(raw.split(b"\r\n")[-4].strip().removeprefix(b"data: "))["error"]
    return error["message"] if isinstance(error, dict) else error


def test_an_endless_stream_ends_with_its_error_once_the_drain_time_is_up(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [endless(interval_s=0.01)])
    with (open_stream(server, path=CHATS[0]) as first, open_stream(server, path=CHATS[1]) as second,
          open_stream(server, path=CHATS[2]) as third):
        server.server.close(drain_s=0.2)
        replies = [read_all(sock) for sock in (first, second, third)]
    assert [last_error(raw) for raw in replies] == [WORDS] * 3
    assert all(b'"on ' in raw for raw in replies)


@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_that_has_not_begun_is_a_503(server: Live, ollama: FakeOllama, streams: bool) -> None:
    ollama.script(MODEL, [hang()])
    for path, reply in replies_at_the_end(server, ollama, stream=streams).items():
        assert_refused(reply, path, 503)
        assert reply.message == WORDS


def replies_at_the_end(server: Live, ollama: FakeOllama, *, stream: bool) -> dict[str, Reply]:
    """What each endpoint says to a request that runs when the server is closed."""
    replies: dict[str, Reply] = {}

    def fetch(path: str) -> None:
        replies[path] = ask(server, path=path, stream=stream)

    threads = [threading.Thread(target=fetch, args=(path,)) for path in CHATS]
    for thread in threads:
        thread.start()
    assert becomes_true(lambda: sum(request.path in CHATS for request in ollama.requests) == len(CHATS))
    server.server.close(drain_s=0)
    for thread in threads:
        thread.join()
    assert set(replies) == set(CHATS)
    return replies


def test_a_whole_answer_that_grows_for_ever_is_a_503(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [endless(interval_s=0.01)])
    for path, reply in replies_at_the_end(server, ollama, stream=False).items():
        assert_refused(reply, path, 503)
        assert reply.message == WORDS
