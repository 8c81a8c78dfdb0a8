"""Many clients at once, huge prompts, slow readers, and clients that leave: nobody else waits, nothing leaks."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from moe.config.settings import ROOT
from tests.adversarial.kit import (
    CHATS,
    ECHO,
    Reply,
    ask,
    assert_refused,
    assert_serves,
    becomes_true,
    call,
    connect,
    open_stream,
    post,
    read_reply,
    read_text,
    write_prompt,
    write_request,
)
from tests.fakes import FakeOllama, endless, fake_ollama, hang, headers_then_hang
from tests.live import Live, live_server

QUICK_S = 5.0  # what a health check may take on a busy machine; behind what runs beside it, it would take for ever
TALKER, MUTE, HALF = "talker:1b", "mute:1b", "half:1b"
EXPERTS = (ECHO, *({"id": i, "label": name.partition(":")[0], "model_name": name, "first_token_timeout_s": 60}
                   for i, name in enumerate((TALKER, MUTE, HALF), start=1)))
WORDS = ("invoice", "python", "diagnosis", "contract", "translate", "poem", "integral", "kubernetes", "molecule")
MANY = [{**ECHO, "id": i + 1, "label": f"e{i}", "description": word, "keywords": [f"{word} {j}" for j in range(15)]}
        for i, word in enumerate(WORDS)]


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([TALKER, MUTE, HALF]) as fake:
        fake.script(TALKER, [endless(interval_s=0.05)])
        fake.script(MUTE, [hang()])
        fake.script(HALF, [headers_then_hang()])
        yield fake


@pytest.fixture
def server(tmp_path: Path, ollama: FakeOllama) -> Iterator[Live]:
    config = {"server": {"port": 0, "threads": 24}, "expert_runner": {"ollama_url": ollama.url}}
    with live_server(tmp_path, config=config, experts=EXPERTS) as live:
        yield live


def test_sixty_four_endless_streams_leave_room_for_everything_else(tmp_path: Path, ollama: FakeOllama) -> None:
    config = {"server": {"port": 0, "threads": 128}, "expert_runner": {"ollama_url": ollama.url}}
    with live_server(tmp_path, config=config, experts=EXPERTS) as live, ExitStack() as open_ones:
        for number in range(64):
            open_ones.enter_context(open_stream(live, path=CHATS[number % 3], model="talker"))
        assert live.gateway.health()["nodes"][ollama.url]["in_flight"] == 64
        for _ in range(20):
            began = time.monotonic()
            assert call(live, "GET", "/health").status == 200
            assert time.monotonic() - began < QUICK_S
            assert_serves(live)
        open_ones.close()
        assert becomes_true(lambda: live.gateway.health()["nodes"][ollama.url]["in_flight"] == 0)


# Huge prompts

def _typos() -> str:
    """Words that are each a near miss of some keyword, hardly two of them the same."""
    chance = random.Random(7)
    words = [word for word in WORDS if len(word) >= 8]
    return " ".join(word[0] + "".join(chance.sample(word[1:] + "xyz", 7)) for word in words * 30_000)[:900_000]


PROMPTS: dict[str, Callable[[], str]] = {
    "one word": lambda: "a" * 900_000,
    "one keyword": lambda: "python 3 " * 100_000,
    "near misses": _typos,
    "white space": lambda: " \n\t" * 150_000,
    "combining marks": lambda: "a" + "\u0301" * 440_000,
    "no spaces between words": lambda: "翻译" * 150_000,
    "brackets and links": lambda: "[a](b" * 180_000,
    "code fences": lambda: "```" * 300_000,
    "a document that never ends": lambda: "### Task:\n" + "<context>" * 90_000,
    "symbols": lambda: "*_`~|#>" * 128_000,
    "expanding ligatures": lambda: "\ufdfa" * 290_000,
}


@contextmanager
def _watched(server: Live) -> Iterator[list[float]]:
    """How long /health took, again and again, while the block runs."""
    took: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            began = time.monotonic()
            assert call(server, "GET", "/health").status == 200
            took.append(time.monotonic() - began)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield took
        finally:
            over.set()
            watching.result()


@pytest.fixture(scope="module", params=["keyword", "embedding"])
def router(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    models = ROOT / "models"
    if request.param == "embedding" and not (models / "encoder" / "current").exists():
        pytest.skip("no encoder was made here")
    config = {"router": {"model_path": "" if request.param == "keyword" else None}}
    folder = tmp_path_factory.mktemp("live")
    with live_server(folder, config=config, experts=[ECHO, *MANY], models_folder=models) as live:
        assert live.gateway.router.mode == request.param
        yield live


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_a_prompt_of_a_megabyte_holds_up_nobody(router: Live, prompt: Callable[[], str]) -> None:
    text = prompt()
    bodies = [json.dumps(write_prompt(path, text), ensure_ascii=False).encode() for path in CHATS]
    with _watched(router) as took, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(post, router, path, body) for path, body in zip(CHATS, bodies, strict=True)]
        asked.append(pool.submit(post, router, "/v1/route", json.dumps({"text": text}, ensure_ascii=False).encode()))
        replies = [each.result() for each in asked]
    blank = not text.strip()
    assert [reply.status for reply in replies] == [200, 200, 200, 400 if blank else 200]
    assert max(took) < QUICK_S
    assert_serves(router)


BOMBS: dict[str, Callable[[int], bytes]] = {
    "brackets": lambda size: b'{"images":[],"x":[' + b"[[]]," * (size // 5) + b"1]}",
    "objects": lambda size: b'{"images":[],"x":[' + b'{"":{}},' * (size // 8) + b"1]}",
    "small images": lambda size: b'{"prompt":"x","images":[' + b'"AAAA",' * (size // 7) + b'"AAAA"]}',
    "half pairs": lambda size: b'{"prompt":"x","images":["' + b"\\ud800" * (size // 6) + b'"]}',
    "one number": lambda size: b'{"images":[],"x":' + b"1" * size + b"}",
    "keys": lambda size: b'{"images":[],' + b",".join(b'"k%d":1' % i for i in range(size // 14)) + b"}",
    "one bad image": lambda size: b'{"prompt":"x","images":["' + b"A" * (size // 4 * 4 + 1) + b'"]}',
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_body_of_eighteen_megabytes_that_claims_to_be_images_holds_up_nobody(
    router: Live, bomb: Callable[[int], bytes]
) -> None:
    body = bomb(18_000_000)
    with _watched(router) as took:
        assert_refused(post(router, "/api/generate", body), "/api/generate", 400, 413)
    assert max(took) < QUICK_S


def test_a_megabyte_that_parses_slowly_holds_up_nobody(router: Live) -> None:
    with _watched(router) as took:
        for bomb in BOMBS.values():
            assert post(router, "/api/generate", bomb(1_000_000)).status in (200, 400)
    assert max(took) < QUICK_S


# Clients that leave

def _leave_in_the_head(server: Live, number: int) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /api/chat HTTP/1.1\r\nHost: loc")


def _leave_in_the_body(server: Live, number: int) -> None:
    with connect(server) as sock:
        sock.sendall(b'POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{"model":')


def _leave_at_once(server: Live, number: int) -> None:
    with connect(server) as sock:
        sock.sendall(_request(number, stream=bool(number % 2)))


def _leave_in_the_wait(server: Live, number: int) -> None:
    with connect(server) as sock:
        sock.sendall(_request(number, stream=bool(number % 2), model=("mute", "half")[number // 2 % 2]))
        time.sleep(0.02)


def _leave_in_the_answer(server: Live, number: int) -> None:
    with open_stream(server, path=CHATS[number % 3], model="talker") as sock:
        sock.recv(200)


def _reset_in_the_answer(server: Live, number: int) -> None:
    with open_stream(server, path=CHATS[number % 3], model="talker") as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _leave_before_a_whole_answer(server: Live, number: int) -> None:
    with connect(server) as sock:
        sock.sendall(_request(number, stream=False, model="talker"))
        time.sleep(0.02)


def _shut_down_and_stay(server: Live, number: int) -> None:
    with connect(server) as sock:
        sock.sendall(_request(number, stream=True, model="fallback"))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)


PHASES = (_leave_in_the_head, _leave_in_the_body, _leave_at_once, _leave_in_the_wait, _leave_in_the_answer,
          _reset_in_the_answer, _leave_before_a_whole_answer, _shut_down_and_stay)


def _request(number: int, *, stream: bool, model: str = "talker") -> bytes:
    path = CHATS[number % 3]
    body = json.dumps(write_prompt(path, "x", model=model) | {"stream": stream}).encode()
    return write_request("POST", path, body, host="localhost")


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_three_hundred_clients_that_left_in_every_phase_leave_nothing_behind(server: Live, ollama: FakeOllama) -> None:
    assert_serves(server)
    files, threads = _open_files(), threading.active_count()

    def leave(number: int) -> None:
        with contextlib.suppress(AssertionError):  # no slot was free: that is an answer too
            PHASES[number % len(PHASES)](server, number)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(leave, range(304)))
    assert becomes_true(lambda: server.gateway.health()["nodes"][ollama.url]["in_flight"] == 0)
    assert becomes_true(lambda: ollama.open_connections == 0 or _all_over(ollama))
    with ExitStack() as streams:  # every slot is free again, but for those that one client cannot have
        for _ in range(14):
            streams.enter_context(open_stream(server, model="talker"))
        assert_refused(ask(server), "/v1", 503)
    assert becomes_true(lambda: ask(server).status == 200)
    ollama.drop_connections()
    assert becomes_true(lambda: threading.active_count() <= threads + 4)
    assert becomes_true(lambda: _open_files() <= files + 10), (_open_files(), files)


def _all_over(ollama: FakeOllama) -> bool:
    return all(request.is_over for request in ollama.requests)


# Slow readers

def test_readers_that_never_read_hold_up_nobody(server: Live, ollama: FakeOllama) -> None:
    ollama.script(TALKER, [endless(interval_s=0.0, text="x" * 20_000 + " ")])
    with ExitStack() as readers:
        for number in range(12):
            readers.enter_context(open_stream(server, path=CHATS[number % 3], model="talker"))
        for _ in range(10):
            began = time.monotonic()
            assert_serves(server)
            assert call(server, "GET", "/health").status == 200
            assert time.monotonic() - began < QUICK_S
    assert becomes_true(lambda: server.gateway.health()["nodes"][ollama.url]["in_flight"] == 0)


def test_a_hundred_requests_in_one_piece_are_answered_in_their_order(server: Live) -> None:
    requests = b"".join(_echo(f"number {i}", path=CHATS[i % 3]) for i in range(100))
    with connect(server) as sock:
        sock.sendall(requests)
        said = [read_text(_read_one(sock)) for _ in range(100)]
    assert said == [f"number {i}" for i in range(100)]


def _echo(text: str, *, path: str) -> bytes:
    body = json.dumps(write_prompt(path, text, model="fallback")).encode()
    return write_request("POST", path, body, headers={"Connection": "keep-alive"}, host="localhost")


def _read_one(sock: socket.socket) -> Reply:
    """Byte by byte, since http.client would read on into the next reply."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    length = next(int(row[15:]) for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:"))
    body = b""
    while len(body) < length:
        body += sock.recv(length - len(body))
    return Reply(int(head.split(b" ")[1]), {}, body)


def test_many_clients_at_once_each_get_their_own_answer(server: Live) -> None:
    def converse(number: int) -> Any:
        return read_text(ask(server, f"I am {number}", path=CHATS[number % 3], model="fallback"))

    with ThreadPoolExecutor(12) as pool:  # as many as one client has slots, less what has just ended
        assert list(pool.map(converse, range(300))) == [f"I am {number}" for number in range(300)]


def test_an_unread_refusal_is_no_reset(server: Live) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n")
        sock.sendall(bytes(3_000_000))
        assert_refused(read_reply(sock), "/api/chat", 413)
