"""Requests that wait for their turn: in what order, how many, how they are kept company, and what a full house says."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.backends.tiny import write_random
from tests.fakes import FakeModel, FakeOllama, Request, Step, answer, fake_ollama, http_error
from tests.live import Live, live_server, write_config
from tests.talk import PATHS, Dialect, Told, talk

BUSY = "server busy, please try again.  maximum pending requests exceeded"
EXPERTS = [{"id": 0, "label": "fallback", "model_name": "main:4b"}]
DIALECTS: list[Dialect] = ["openai", "ollama", "generate"]
dialects = pytest.mark.parametrize("dialect", DIALECTS)
GUARD_S = 30.0


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel("main:4b", loaded=True)]) as fake:
        fake.script("main:4b", [answer("Yes.", delay_s=0.4)])
        yield fake


def settings(ollama: FakeOllama, *, queue: int = 256, **runner: Any) -> dict[str, Any]:
    return {"expert_runner": {"ollama_url": ollama.url, "retries": 0, "max_parallel": 1, **runner},
            "server": {"queue": queue, "trusted_proxies": ["127.0.0.1"], "port": 0, "threads": 48}}


@contextlib.contextmanager
def serve(folder: Path, ollama: FakeOllama, **config: Any) -> Iterator[Live]:
    with live_server(folder, config=settings(ollama, **config), experts=EXPERTS) as live:
        talk(live.url, "warm")
        ollama.forget_requests()
        yield live


@contextlib.contextmanager
def held(ollama: FakeOllama) -> Iterator[threading.Event]:
    """The first request is answered when the event is set, so that all the others come while it is being served."""
    gate = threading.Event()

    def wait(_: Request) -> Step:
        gate.wait(GUARD_S)
        return answer("Yes.", delay_s=0.05)

    ollama.script("main:4b", [answer("Yes."), wait])
    yield gate
    gate.set()


class Crowd:
    """Clients of one server, each with an address of its own, who ask at the same time."""

    def __init__(self, server: Live) -> None:
        self._server = server
        self._pool = ThreadPoolExecutor(48)
        self.told: list[Future[requests.Response]] = []

    def ask(self, client: str, text: str, *, dialect: Dialect = "ollama", **body: Any) -> None:
        """Returns when the request is waiting or being served."""
        question = {"model": "fallback", "stream": False, "prompt": text,
                    "messages": [{"role": "user", "content": text}], **body}
        before = self.standing
        self.told.append(self._pool.submit(
            requests.post, self._server.url + PATHS[dialect], json=question, timeout=GUARD_S,
            headers={"X-Forwarded-For": client}))
        until = time.monotonic() + 5
        while self.standing <= before and not self.told[-1].done() and time.monotonic() < until:
            time.sleep(0.005)

    @property
    def standing(self) -> int:
        node, = self._server.gateway.catalog.all_nodes()
        return node.in_flight

    def statuses(self) -> list[int]:
        return [told.result(GUARD_S).status_code for told in self.told]


def texts(ollama: FakeOllama) -> list[str]:
    return [r.json["messages"][-1]["content"] for r in ollama.requests if r.path == "/api/chat"]


def most_at_once(ollama: FakeOllama) -> int:
    spans = [(r.arrived_at, r.finished_at or r.closed_early_at or time.monotonic())
             for r in ollama.requests if r.path == "/api/chat"]
    return max(sum(start <= at < end for start, end in spans) for at, _ in spans)


def test_parallel_clients_take_turns(tmp_path: Path, ollama: FakeOllama) -> None:
    with held(ollama) as gate, serve(tmp_path, ollama) as server:
        crowd = Crowd(server)
        for number in range(4):
            crowd.ask("198.51.100.1", f"a{number}")
        crowd.ask("198.51.100.2", "b0")
        crowd.ask("198.51.100.2", "b1")
        crowd.ask("198.51.100.3", "c0")
        gate.set()
        assert crowd.statuses() == [200] * 7
    assert texts(ollama) == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]
    assert most_at_once(ollama) == 1


def test_users_of_one_program_on_this_machine_take_turns_too(tmp_path: Path, ollama: FakeOllama) -> None:
    with held(ollama) as gate, serve(tmp_path, ollama) as server, ThreadPoolExecutor(8) as pool:
        told = []
        node, = server.gateway.catalog.all_nodes()
        for user, text in ("ann", "a0"), ("ann", "a1"), ("ann", "a2"), ("bob", "b0"):
            told.append(pool.submit(talk_as, server, text, {"X-OpenWebUI-User-Id": user}))
            until = time.monotonic() + 5
            while node.in_flight < len(told) and time.monotonic() < until:
                time.sleep(0.005)
        gate.set()
        assert all(each.result(GUARD_S) == 200 for each in told)
    assert texts(ollama) == ["a0", "a1", "b0", "a2"]


def talk_as(server: Live, text: str, headers: dict[str, str]) -> int:
    question = {"model": "fallback", "stream": False, "messages": [{"role": "user", "content": text}]}
    reply = requests.post(f"{server.url}/api/chat", json=question, headers=headers, timeout=GUARD_S)
    return reply.status_code


def test_without_a_limit_all_are_served_at_once(tmp_path: Path, ollama: FakeOllama) -> None:
    with serve(tmp_path, ollama, max_parallel=None) as server:
        crowd = Crowd(server)
        for number in range(6):
            crowd.ask("198.51.100.1", f"a{number}")
        assert crowd.statuses() == [200] * 6
    assert most_at_once(ollama) > 3


@dialects
@pytest.mark.parametrize("stream", [False, True])
def test_a_full_queue_says_so_and_when_to_come_again(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    with held(ollama) as gate, serve(tmp_path, ollama, queue=1) as server:
        crowd = Crowd(server)
        crowd.ask("198.51.100.1", "a0")
        crowd.ask("198.51.100.1", "a1")
        told = talk(server.url, dialect=dialect, stream=stream)
        gate.set()
        assert (told.status, told.error, told.headers["Retry-After"]) == (503, BUSY, "1")
        if dialect == "openai":
            assert told.code == "server_busy"
        assert crowd.statuses() == [200, 200]
        assert talk(server.url, dialect=dialect, stream=stream).is_good
    assert server.gateway.health()["experts"]["fallback"]["breaker"] == "closed"


@dialects
@pytest.mark.parametrize("stream", [False, True])
def test_a_greedy_client_shuts_nobody_out_and_loses_its_last_place(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, stream: bool
) -> None:
    with held(ollama) as gate, serve(tmp_path, ollama, queue=3) as server:
        crowd = Crowd(server)
        for number in range(4):
            crowd.ask("198.51.100.1", f"a{number}", dialect=dialect, stream=stream)
        crowd.ask("198.51.100.2", "b0")
        refused = crowd.told[3].result(GUARD_S)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert BUSY in refused.text
        gate.set()
        assert crowd.statuses() == [200, 200, 200, 503, 200]
    assert "b0" in texts(ollama) and "a3" not in texts(ollama)


def test_to_wait_for_others_is_no_silence_of_the_model_and_the_line_is_kept_alive(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    ollama.script("main:4b", [answer("Yes."), answer("Yes.", chunk_delay_s=6.5), answer("And yes.")])
    with serve(tmp_path, ollama, first_token_timeout_s=2, idle_timeout_s=20) as server:
        crowd = Crowd(server)
        crowd.ask("198.51.100.1", "a0", stream=True)
        crowd.ask("198.51.100.2", "b0", stream=True)
        crowd.ask("198.51.100.2", "b1", dialect="openai", stream=True)
        assert crowd.statuses() == [200] * 3
        _, lines, events = (told.result().content for told in crowd.told)
    assert lines.startswith(b" ") and events.startswith(b": ")
    rows = [json.loads(line) for line in lines.splitlines()]
    assert "".join(row["message"]["content"] for row in rows) == "And yes." and rows[-1]["done"]
    assert b"yes" in events and events.endswith(b"data: [DONE]\n\n")


def test_a_client_that_leaves_frees_its_place(tmp_path: Path, ollama: FakeOllama) -> None:
    with held(ollama) as gate, serve(tmp_path, ollama, queue=1) as server:
        crowd = Crowd(server)
        crowd.ask("198.51.100.1", "a0")
        body = json.dumps({"model": "fallback", "messages": [{"role": "user", "content": "gone"}]}).encode()
        with socket.create_connection((server.host, server.port), timeout=5) as leaving:
            leaving.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                            % (len(body), body))
            until = time.monotonic() + 5
            while crowd.standing < 2 and time.monotonic() < until:
                time.sleep(0.005)
            assert talk(server.url, "too many").status == 503
        until = time.monotonic() + 5
        while crowd.standing > 1 and time.monotonic() < until:
            time.sleep(0.01)
        crowd.ask("198.51.100.2", "b0")
        gate.set()
        assert crowd.statuses() == [200, 200]
    assert texts(ollama) == ["a0", "b0"]


def test_a_reload_changes_how_many_are_served(tmp_path: Path, ollama: FakeOllama) -> None:
    with held(ollama) as gate, serve(tmp_path, ollama) as server:
        crowd = Crowd(server)
        for number in range(3):
            crowd.ask("198.51.100.1", f"a{number}")
        write_config(tmp_path, config=settings(ollama, max_parallel=3), experts=EXPERTS)
        assert server.service.reload()
        until = time.monotonic() + 5
        while len(texts(ollama)) < 3 and time.monotonic() < until:
            time.sleep(0.005)
        gate.set()
        assert crowd.statuses() == [200] * 3
        assert most_at_once(ollama) == 3


AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@dialects
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("says", ["I think 36.", '{"age": "old"}'])
def test_an_answer_that_breaks_its_form_frees_its_place_before_another_is_asked_for(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, stream: bool, says: str
) -> None:
    form = {"format": AGE} if dialect != "openai" else {
        "response_format": {"type": "json_schema", "json_schema": {"name": "age", "schema": AGE}}}
    ollama.models.add(FakeModel("spare:4b", loaded=True))
    ollama.script("main:4b", [answer("warm"), answer(chunks=[says])])
    ollama.script("spare:4b", [answer(chunks=[says])])
    config = settings(ollama, first_token_timeout_s=2)
    experts = [{**EXPERTS[0], "fallback": "spare"}, {"id": 1, "label": "spare", "model_name": "spare:4b"}]
    with no_collector(), live_server(tmp_path, config=config, experts=experts) as server:
        talk(server.url, "warm")
        node, = server.gateway.catalog.all_nodes()
        for model in ("fallback", "main:4b"):
            told = talk(server.url, dialect=dialect, stream=stream, model=model, **form)
            assert not told.is_good
            assert node.in_flight == 0 and node.lane.is_free
        assert most_at_once(ollama) == 1
        spare = [r for r in ollama.requests_for("spare:4b") if r.path in ("/api/chat", "/api/generate")]
        assert len(spare) == (0 if stream and says.startswith("{") else 2)


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """What is freed is freed by who held it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# An Ollama whose own queue is full


def told_busy(server: Live, dialect: Dialect, stream: bool, model: str) -> Told:
    return talk(server.url, dialect=dialect, stream=stream, model=model)


@dialects
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["lemoe", "fallback", "main:4b"])
def test_a_503_of_ollama_itself_is_passed_on_as_one(
    tmp_path: Path, ollama: FakeOllama, dialect: Dialect, stream: bool, model: str
) -> None:
    ollama.script("main:4b", [answer("warm"), http_error(503, {"error": BUSY}, headers={"Retry-After": "7"})])
    with serve(tmp_path, ollama, max_parallel=None) as server:
        told = told_busy(server, dialect, stream, model)
    assert (told.status, told.error, told.headers["Retry-After"]) == (503, BUSY, "7")


def test_only_after_everybody_else_has_been_asked(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.models.add(FakeModel("spare:4b", loaded=True))
    ollama.script("main:4b", [http_error(503, {"error": BUSY})])
    config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0}}
    experts = [{"id": 1, "label": "first", "model_name": "main:4b", "fallback": "spare"},
               {"id": 2, "label": "spare", "model_name": "spare:4b"}, {**EXPERTS[0], "model_name": "spare:4b"}]
    with live_server(tmp_path, config=config, experts=experts) as server:
        told = talk(server.url, model="first")
        assert (told.expert, told.fallback) == ("spare", "first")
        ollama.script("spare:4b", [http_error(500)])
        told = talk(server.url, model="first")
        assert (told.status, told.headers["Retry-After"]) == (503, "1")
        assert told.error.startswith("no expert could answer (first: upstream status 503; spare: upstream status 500")


# Models of this process


def test_a_model_of_this_process_serves_so_many_at_a_time_and_all_are_answered(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    (tmp_path / "models").mkdir()
    write_random(tmp_path / "models" / "tiny.gguf")
    config = {"expert_runner": {"max_parallel": 1}, "server": {"queue": 3, "port": 0, "threads": 48}}
    body = {"model": "tiny", "stream": False, "options": {"num_predict": 20},
            "messages": [{"role": "user", "content": "hello"}]}
    with live_server(tmp_path, config=config) as server, ThreadPoolExecutor(12) as pool:
        def ask(_: int) -> int:
            return requests.post(f"{server.url}/api/chat", json=body, timeout=GUARD_S).status_code

        assert ask(0) == 200
        statuses = list(pool.map(ask, range(12)))
        assert set(statuses) <= {200, 503} and statuses.count(200) >= 4
        assert ask(0) == 200


def test_a_model_of_this_process_is_free_again_after_an_answer_that_breaks_its_form(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    (tmp_path / "models").mkdir()
    write_random(tmp_path / "models" / "tiny.gguf")
    form = {"type": "object", "properties": {"age": {"type": "integer", "multipleOf": 1e300, "minimum": 1}},
            "required": ["age"]}  # no grammar counts so far
    config = {"expert_runner": {"max_parallel": 1}, "server": {"port": 0, "threads": 48}}
    with no_collector(), live_server(tmp_path, config=config) as server:
        told = talk(server.url, model="tiny", stream=False, format=form)
        assert not told.is_good
        assert talk(server.url, model="tiny", stream=False, options={"num_predict": 5}).status == 200
