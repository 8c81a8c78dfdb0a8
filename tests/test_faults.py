"""Upstream faults through the whole server, seen from both sides: what the client gets, what the upstream saw.

The numbers are those of the sixteen faults that the Failover Bench puts to gateways.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ollama as ollama_client
import openai as openai_client
import pytest
import requests

from moe.backends.api import Api
from moe.backends.engine import Engine
from moe.config import RunnerConfig
from moe.core import ChatRequest, Message, Text
from moe.errors import UpstreamFailure
from moe.experts import Expert
from tests.fakes import (
    FakeModel,
    FakeOllama,
    FakeOpenAI,
    Request,
    Step,
    answer,
    cut,
    empty,
    endless,
    error_line,
    fake_ollama,
    fake_openai,
    garbage,
    hang,
    headers_then_hang,
    http_error,
    invalid_chunk,
    no_done,
    reset,
    stall,
)
from tests.fakes.probe import WEATHER
from tests.live import Live, live_server
from tests.talk import PATHS, Dialect, Told, talk

MAIN, SPARE, LAST = "main:1b", "spare:1b", "last:1b"
SIXTY = " ".join(f"word{number}" for number in range(60))
GUARD_S = 15.0
# Everything much faster than in real life.
RUNNER = {
    "retries": 1, "backoff_s": 0.05, "connect_timeout_s": 1, "first_token_timeout_s": 0.7, "cold_load_timeout_s": 0.7,
    "idle_timeout_s": 0.7, "breaker_failures": 3, "breaker_cooldown_s": 0.7,
}
WAYS: list[tuple[Dialect, bool]] = [("openai", True), ("openai", False), ("ollama", True), ("ollama", False)]
ways = pytest.mark.parametrize(("dialect", "stream"), WAYS)
Upstream = FakeOllama | FakeOpenAI


class House:
    """A server whose expert "primary" falls back to "spare", and that to "fallback", each a model of one upstream."""

    def __init__(self, server: Live, upstream: Upstream) -> None:
        self.server = server
        self.upstream = upstream

    def plays(self, *steps: Step) -> None:
        self.upstream.script(MAIN, steps)

    def ask(self, text: str = "hello", *, model: str = "primary", **how: Any) -> Told:
        return talk(self.server.url, text, model=model, **how)

    def seen(self, model: str = MAIN) -> list[Request]:
        """The chats that arrived for a model."""
        return [r for r in self.upstream.requests_for(model) if r.path in ("/api/chat", "/v1/chat/completions")]

    def health(self) -> dict[str, Any]:
        told: dict[str, Any] = requests.get(f"{self.server.url}/health", timeout=GUARD_S).json()
        return told

    def is_well(self) -> bool:
        """Whether a request that meets a healthy upstream is answered."""
        self.plays(answer("All is well."))
        return self.ask().is_good and self.ask(model="spare").is_good


@contextlib.contextmanager
def house(
    kind: str, folder: Path, *, models: dict[str, Any] | None = None, log_prompts: bool = False, **runner: Any
) -> Iterator[House]:
    names = {"primary": MAIN, "spare": SPARE, "fallback": LAST}
    with contextlib.ExitStack() as stack:
        upstream: Upstream
        if kind == "ollama":
            ready = [FakeModel(name, **{"loaded": True, **(models or {}).get(name, {})}) for name in names.values()]
            upstream = stack.enter_context(fake_ollama(ready))
            way: dict[str, Any] = {"type": "ollama"}
            runner = {"ollama_url": upstream.url, **runner}
        else:
            upstream = stack.enter_context(fake_openai(names.values()))
            way = {"type": "api", "api_base": upstream.api_base}
        experts = [
            {"id": number, "label": label, "model_name": name, **way, **({"fallback": "spare"} if number == 1 else {})}
            for number, (label, name) in zip((1, 2, 0), names.items(), strict=True)
        ]
        config = {"expert_runner": RUNNER | runner, "log_prompts": log_prompts}
        server = stack.enter_context(live_server(folder, config=config, experts=experts))
        yield House(server, upstream)


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    """LiteLLM's first call takes longer than the limits used here."""
    with fake_openai([MAIN]) as fake:
        engine = Engine()
        expert = Expert(id=1, label="warm", type="api", model_name=MAIN, api_base=fake.api_base)
        question = ChatRequest(model=MAIN, messages=(Message("user", (Text("hello"),)),))
        for step in (answer(), http_error(500)):
            fake.script(MAIN, [step])
            with contextlib.suppress(UpstreamFailure):
                list(Api(expert, RunnerConfig(), engine).chat(question))
        engine.close()
        yield


@pytest.fixture(params=["ollama", "api"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def ollama_home(tmp_path: Path) -> Iterator[House]:
    with house("ollama", tmp_path) as made:
        yield made


def becomes(what: Callable[[], Any]) -> bool:
    until = time.monotonic() + GUARD_S
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.02)
    return False


# Before the first word


def test_1_a_429_that_names_a_time_is_not_asked_earlier(home: House) -> None:
    home.plays(http_error(429, headers={"Retry-After": "1"}), answer("Fine."))
    told = home.ask()
    assert (told.is_good, told.text, told.fallback) == (True, "Fine.", None)
    first, second = home.seen()
    assert second.arrived_at - first.arrived_at >= 1.0
    assert home.is_well()


def test_1_a_time_too_long_to_wait_goes_to_the_fallback_and_is_kept(home: House) -> None:
    home.plays(http_error(429, headers={"Retry-After": "30"}))
    for _ in range(3):
        told = home.ask()
        assert told.is_good
        assert told.expert == "spare"
    assert len(home.seen()) == 1


def test_2_an_endless_429_gets_few_attempts_and_then_the_fallback(home: House) -> None:
    home.plays(http_error(429))
    told = home.ask()
    assert told.is_good
    assert (told.expert, told.fallback) == ("spare", "primary")
    assert 2 <= len(home.seen()) <= 4
    first, second = home.seen()[:2]
    assert second.arrived_at - first.arrived_at >= 0.02
    assert home.is_well()


def test_3_a_single_500_is_tried_again_on_the_same_provider(home: House) -> None:
    home.plays(http_error(500), answer("Fine again."))
    told = home.ask()
    assert (told.is_good, told.text, told.expert, told.fallback) == (True, "Fine again.", "primary", None)
    assert (len(home.seen()), len(home.seen(SPARE))) == (2, 0)
    assert home.is_well()


@ways
def test_4_and_16_an_endless_503_ends_at_the_fallback_which_is_named(
    home: House, dialect: Dialect, stream: bool
) -> None:
    home.plays(http_error(503, message="secret detail"))
    home.upstream.script(SPARE, [answer("one two three four")])
    told = home.ask("what is this", dialect=dialect, stream=stream)
    assert (told.is_good, told.text) == (True, "one two three four")
    assert (told.model, told.usage) == ("spare", (3, 4))
    assert told.headers["X-MoE-Expert"] == "spare"
    assert told.headers["X-MoE-Model"] == SPARE
    assert told.headers["X-MoE-Fallback"] == "primary"
    assert "secret" not in told.raw + str(told.headers)
    assert (len(home.seen()), len(home.seen(SPARE)), len(home.seen(LAST))) == (2, 1, 0)
    assert home.is_well()


def test_5_a_reset_before_any_byte_is_tried_again(home: House) -> None:
    home.plays(reset(), reset(), answer("Fine again."))
    told = home.ask()
    assert told.is_good
    assert len(home.seen()) <= 3
    assert home.is_well()


def test_5_endless_resets_end_at_the_fallback(home: House) -> None:
    home.plays(reset())
    assert home.ask().expert == "spare"
    assert len(home.seen()) <= 4
    assert home.is_well()


@pytest.mark.parametrize("step", [hang(), headers_then_hang(), answer(SIXTY, first_token_delay_s=20)],
                         ids=["6-no-head", "7-head-only", "7-late-first-token"])
def test_6_and_7_a_silent_route_gets_one_attempt_and_is_left(home: House, step: Step) -> None:
    home.plays(step)
    told = home.ask()
    assert (told.is_good, told.expert, told.fallback) == (True, "spare", "primary")
    (only,) = home.seen()
    only.wait_until_over()
    assert only.closed_early_at is not None
    assert home.is_well()


def test_a_cold_model_is_given_its_time(tmp_path: Path) -> None:
    models = {MAIN: {"loaded": False, "load_s": 1.5}}
    with house("ollama", tmp_path, models=models, cold_load_timeout_s=20) as home:
        assert home.ask().expert == "primary"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 500, 502, 503, 504, 529])
def test_a_failing_status_leads_to_the_fallback_silently(home: House, status: int) -> None:
    home.plays(http_error(status))
    told = home.ask()
    assert (told.is_good, told.expert, told.fallback) == (True, "spare", "primary")
    assert len(home.seen()) == (2 if status == 408 or status >= 500 else 1)


@pytest.mark.parametrize("step", [empty(), garbage(), garbage(b""), error_line(after=0)],
                         ids=["empty", "html", "no body", "200 with an error"])
@pytest.mark.parametrize("stream", [True, False])
def test_no_answer_is_tried_once_more_and_then_elsewhere(home: House, step: Step, stream: bool) -> None:
    home.plays(step)
    told = home.ask(stream=stream)
    assert (told.is_good, told.expert, told.fallback) == (True, "spare", "primary")
    assert len(home.seen()) == 2
    home.plays(step, answer("Fine again."))
    assert home.ask(stream=stream).text == "Fine again."


@pytest.mark.parametrize("stream", [True, False])
def test_an_empty_answer_of_a_model_by_its_own_name_is_passed_on(ollama_home: House, stream: bool) -> None:
    ollama_home.plays(empty())
    told = ollama_home.ask(stream=stream, model=MAIN)
    assert (told.status, told.text, told.model, told.fallback) == (200, "", MAIN, None)
    assert len(ollama_home.seen()) == 1


def test_no_more_than_two_experts_are_asked_for_an_empty_answer(tmp_path: Path) -> None:
    names = [f"m{number}:4b" for number in range(6)]
    with fake_ollama([FakeModel(name, loaded=True) for name in names]) as many:
        for name in names:
            many.script(name, [empty()])
        experts = [{"id": number, "label": f"e{number}", "model_name": name} for number, name in enumerate(names[:3])]
        runner = RUNNER | {"ollama_url": many.url, "retries": 5}
        with live_server(tmp_path, config={"expert_runner": runner}, experts=experts) as server:
            told = talk(server.url, model="e1")
        assert (told.status, told.error) == (502, "no expert could answer (e1: empty answer; e0: empty answer)")
        asked = [len([r for r in many.requests_for(name) if r.path == "/api/chat"]) for name in names]
        assert asked == [2, 2, 0, 0, 0, 0]


def test_a_dead_upstream_leads_to_another_one(tmp_path: Path) -> None:
    with fake_ollama([FakeModel(MAIN, loaded=True)]) as first, fake_ollama([FakeModel(SPARE, loaded=True)]) as second:
        experts = [{"id": 1, "label": "primary", "model_name": MAIN, "url": first.url},
                   {"id": 0, "label": "fallback", "model_name": SPARE}]
        config = {"expert_runner": RUNNER | {"ollama_url": second.url}}
        with live_server(tmp_path, config=config, experts=experts) as server:
            assert talk(server.url, model="primary").expert == "primary"
            first.stop()
            told = talk(server.url, model="primary")
            assert (told.is_good, told.expert, told.fallback) == (True, "fallback", "primary")
            first.restart()
            assert becomes(lambda: talk(server.url, model="primary").expert == "primary")


# Within the answer


@ways
@pytest.mark.parametrize("how", [{}, {"clean": True}, {"torn": True}, {"with_reset": True}],
                         ids=["fin", "clean", "torn", "rst"])
def test_8_a_stream_that_dies_never_ends_well(home: House, dialect: Dialect, stream: bool, how: dict[str, Any]) -> None:
    home.plays(cut(after=40, text=SIXTY, **how))
    told = home.ask(dialect=dialect, stream=stream)
    assert "127.0.0.1" not in told.raw
    if stream:
        assert not told.is_good
        assert told.error
        assert told.status == 200
        assert not told.has_ended
        assert told.text.split() == SIXTY.split()[: len(told.text.split())]
        assert len(home.seen(SPARE)) == 0
    else:  # nothing was said to this client yet, so another expert can begin from the start
        assert (told.is_good, told.expert) == (True, "spare")
        assert len(home.seen()) == 2
    assert home.is_well()


@pytest.mark.parametrize(("dialect", "stream"), [("openai", True), ("ollama", False)])
def test_9_a_stream_that_stalls_is_ended_by_the_idle_limit(home: House, dialect: Dialect, stream: bool) -> None:
    home.plays(stall(after=20, for_s=30, text=SIXTY))
    told = home.ask(dialect=dialect, stream=stream)
    if stream:
        assert (told.has_ended, told.error, told.status) == (False, "timed out", 200)
    else:
        assert (told.is_good, told.expert) == (True, "spare")
        assert len(home.seen()) == 1
    home.seen()[0].wait_until_over()
    assert home.is_well()


@ways
def test_10_an_unreadable_chunk_is_skipped(home: House, dialect: Dialect, stream: bool) -> None:
    home.plays(invalid_chunk(at=20, text=SIXTY))
    told = home.ask(dialect=dialect, stream=stream)
    assert (told.is_good, told.text, told.expert) == (True, SIXTY, "primary")
    assert told.usage == (1, 60)
    assert home.is_well()


@ways
def test_11_a_whole_stream_without_its_last_mark(home: House, dialect: Dialect, stream: bool) -> None:
    home.plays(no_done(text=SIXTY))
    told = home.ask(dialect=dialect, stream=stream)
    if isinstance(home.upstream, FakeOpenAI):
        assert (told.is_good, told.text, told.usage) == (True, SIXTY, (1, 60))
    elif stream:  # Ollama's mark is the finish itself: without it nobody knows whether the answer is whole
        assert (told.has_ended, told.error) == (False, "the answer broke off")
    else:
        assert (told.is_good, told.expert) == (True, "spare")
    assert home.is_well()


@ways
def test_an_error_in_the_middle_is_told_in_band(home: House, dialect: Dialect, stream: bool) -> None:
    home.plays(error_line(after=3, text=SIXTY, message="CUDA error at /usr/lib/secret.so"))
    told = home.ask(dialect=dialect, stream=stream)
    assert "secret" not in told.raw
    if stream:
        assert not told.is_good
        assert told.error
    else:
        assert (told.is_good, told.expert) == (True, "spare")
    assert home.is_well()


def test_8_the_openai_client_raises_instead_of_ending_well(home: House) -> None:
    home.plays(cut(after=40, text=SIXTY))
    with openai_client.OpenAI(base_url=f"{home.server.url}/v1", api_key="x", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="primary", messages=[{"role": "user", "content": "hello"}], stream=True
        )
        with pytest.raises(openai_client.APIError, match="broke off"):
            for _ in stream:
                pass
        whole = client.chat.completions.create(model="primary", messages=[{"role": "user", "content": "hello"}])
    assert whole.model == "spare"


def test_8_the_ollama_client_raises_instead_of_ending_well(home: House) -> None:
    home.plays(cut(after=40, text=SIXTY))
    messages = [{"role": "user", "content": "hello"}]
    with ollama_client.Client(host=home.server.url) as client:
        with pytest.raises(ollama_client.ResponseError, match="broke off"):
            for _ in client.chat(model="primary", messages=messages, stream=True):
                pass
        whole = client.chat(model="primary", messages=messages)
    assert whole.model == "spare"


# Requests that are at fault themselves


@ways
def test_12_a_prompt_that_is_too_long_is_not_sent_again_and_the_reason_is_told(
    home: House, dialect: Dialect, stream: bool
) -> None:
    reason = "This model's maximum context length is 4096 tokens, your messages have 5000."
    home.plays(http_error(400, message=reason, code="context_length_exceeded"))
    told = home.ask(dialect=dialect, stream=stream)
    assert (told.status, told.error) == (400, reason)
    if dialect == "openai":
        assert told.code == "context_length_exceeded"
    assert (len(home.seen()), len(home.seen(SPARE))) == (1, 0)
    assert home.is_well()


def test_12_an_expert_with_a_larger_context_answers(tmp_path: Path) -> None:
    models = {MAIN: {"context_length": 4096}, SPARE: {"context_length": 2048}, LAST: {"context_length": 32_768}}
    with house("ollama", tmp_path, models=models) as home:
        home.ask(model="fallback")
        home.plays(http_error(400, message="the input length exceeds the context length"))
        told = home.ask("word " * 900)
        assert (told.is_good, told.expert, told.fallback) == (True, "fallback", "primary")
        assert (len(home.seen()), len(home.seen(SPARE))) == (1, 0)


def test_12_a_larger_model_of_an_api_is_known_too(tmp_path: Path) -> None:
    with fake_openai(["gpt-4", "gpt-4o"]) as fake:
        fake.script("gpt-4", [http_error(400, message="maximum context length is 8192 tokens")])
        way = {"type": "api", "api_base": fake.api_base}
        experts = [{"id": 1, "label": "primary", "model_name": "gpt-4", **way},
                   {"id": 0, "label": "fallback", "model_name": "gpt-4o", **way}]
        with live_server(tmp_path, config={"expert_runner": RUNNER}, experts=experts) as server:
            told = talk(server.url, model="primary")
        assert (told.is_good, told.expert) == (True, "fallback")
        assert len(fake.requests_for("gpt-4")) == 1


@ways
@pytest.mark.parametrize(("status", "code"), [(400, "content_filter"), (413, None), (422, None)])
def test_13_a_refusal_is_passed_on_and_never_sent_again(
    home: House, dialect: Dialect, stream: bool, status: int, code: str | None
) -> None:
    home.plays(http_error(status, message="flagged by the provider's policy", code=code))
    told = home.ask(dialect=dialect, stream=stream)
    assert (told.status, told.error) == (status, "flagged by the provider's policy")
    if dialect == "openai" and code and isinstance(home.upstream, FakeOpenAI):
        assert told.code == code
    assert (len(home.seen()), len(home.seen(SPARE))) == (1, 0)
    assert home.is_well()


def test_a_refusal_by_the_fallback_is_not_the_clients_fault(home: House) -> None:
    home.plays(http_error(503))
    home.upstream.script(SPARE, [http_error(400, message="assistant prefill is not supported")])
    told = home.ask()
    assert (told.is_good, told.expert) == (True, "fallback")


@ways
def test_a_model_that_lacks_what_is_needed_is_not_even_asked(tmp_path: Path, dialect: Dialect, stream: bool) -> None:
    models = {MAIN: {"capabilities": ("completion",)}, SPARE: {"capabilities": ("completion", "tools")}}
    with house("ollama", tmp_path, models=models) as home:
        assert home.ask().expert == "primary"
        told = home.ask(dialect=dialect, stream=stream, tools=[WEATHER])
        assert (told.is_good, told.expert, told.fallback) == (True, "spare", "primary")
        assert len(home.seen()) == 1
        assert home.health()["experts"]["primary"]["breaker"] == "closed"


@ways
def test_when_no_model_can_do_it_the_client_is_told_what_is_missing(
    tmp_path: Path, dialect: Dialect, stream: bool
) -> None:
    models = {name: {"capabilities": ("completion",)} for name in (MAIN, SPARE, LAST)}
    with house("ollama", tmp_path, models=models) as home:
        home.ask()
        told = home.ask(dialect=dialect, stream=stream, tools=[WEATHER])
        assert (told.status, told.error) == (400, f'"{MAIN}" does not support tools')
        assert len(home.seen()) == 1


# A long outage


def test_15_the_breaker_opens_serves_the_fallback_probes_and_comes_back(home: House) -> None:
    home.plays(http_error(503))
    for _ in range(3):
        assert home.ask().expert == "spare"
    assert home.health()["experts"]["primary"]["breaker"] == "open"
    assert home.health()["status"] == "degraded"
    before = len(home.seen())
    for _ in range(3):
        told = home.ask()
        assert (told.is_good, told.expert) == (True, "spare")
    assert len(home.seen()) == before
    assert becomes(lambda: home.health()["experts"]["primary"]["breaker"] == "half-open")
    home.plays(http_error(503, delay_s=0.3))
    with_threads = [threading.Thread(target=home.ask) for _ in range(6)]
    for thread in with_threads:
        thread.start()
    for thread in with_threads:
        thread.join()
    assert len(home.seen()) - before <= 2  # one probe, with its one retry
    home.plays(answer("Back."))
    assert becomes(lambda: home.ask().expert == "primary")
    assert home.health()["experts"]["primary"]["breaker"] == "closed"
    assert home.health()["status"] == "ok"


def test_15_a_route_that_was_silent_is_not_waited_for_by_every_request(ollama_home: House) -> None:
    ollama_home.plays(hang())
    for _ in range(3):
        ollama_home.ask()
    began = time.monotonic()
    for _ in range(10):
        assert ollama_home.ask().expert == "spare"
    assert time.monotonic() - began < 5  # not ten times the limit
    assert len(ollama_home.seen()) <= 4


# Everything failed


@ways
def test_when_all_failed_the_client_gets_a_503_that_names_them(home: House, dialect: Dialect, stream: bool) -> None:
    for model in (MAIN, SPARE, LAST):
        home.upstream.script(model, [http_error(500, message=f"Traceback at {home.upstream.url}/secret")])
    told = home.ask(dialect=dialect, stream=stream)
    assert told.status == 503
    assert all(f"{label}: upstream status 500" in told.error for label in ("primary", "spare", "fallback"))
    assert not re.search(r"127\.0\.0\.1|http:|Traceback|secret|File ", told.raw)
    if dialect == "openai":
        assert told.code == "no_expert_available"
    for model in (MAIN, SPARE, LAST):
        home.upstream.script(model, [answer("All is well.")])
    assert home.is_well()


def test_no_model_is_asked_twice_under_two_names(ollama_home: House) -> None:
    for model in (MAIN, SPARE, LAST):
        ollama_home.upstream.script(model, [http_error(404)])
    ollama_home.ask()
    assert [len(ollama_home.seen(model)) for model in (MAIN, SPARE, LAST)] == [1, 1, 1]


def test_a_model_that_no_expert_names_is_the_last_resort(tmp_path: Path) -> None:
    with fake_ollama([FakeModel(MAIN, loaded=True), FakeModel("extra:1b")]) as fake:
        fake.script(MAIN, [http_error(500)])
        experts = [{"id": 0, "label": "fallback", "model_name": MAIN}]
        config = {"expert_runner": RUNNER | {"ollama_url": fake.url}}
        with live_server(tmp_path, config=config, experts=experts) as server:
            told = talk(server.url)
    assert (told.is_good, told.expert, told.headers["X-MoE-Model"]) == (True, "extra:1b", "extra:1b")


# The built-in answer


@pytest.fixture
def empty_house(tmp_path: Path) -> Iterator[Live]:
    experts = [
        {"id": 1, "label": "math", "model_name": "auto", "keywords": ["equation"]},
        {"id": 0, "label": "fallback", "model_name": "auto"},
    ]
    with live_server(tmp_path, experts=experts) as server:
        yield server


@ways
def test_without_any_model_a_plain_chat_is_told_what_to_do(empty_house: Live, dialect: Dialect, stream: bool) -> None:
    told = talk(empty_house.url, "solve this equation", dialect=dialect, stream=stream)
    assert (told.is_good, told.expert, told.model) == (True, "builtin", "builtin")
    assert "math" in told.text
    assert "ollama" in told.text
    assert told.fallback == "math"


@pytest.mark.parametrize(("dialect", "more"), [
    ("openai", {"tools": [WEATHER]}), ("ollama", {"tools": [WEATHER]}),
    ("openai", {"response_format": {"type": "json_object"}}), ("ollama", {"format": "json"}),
    ("generate", {"raw": True}), ("generate", {"suffix": "return"}),
    ("openai", {"model": "math"}), ("ollama", {"model": "fallback"}),
])
@pytest.mark.parametrize("stream", [True, False])
def test_a_program_or_an_explicit_choice_gets_the_503(
    empty_house: Live, dialect: Dialect, more: dict[str, Any], stream: bool
) -> None:
    told = talk(empty_house.url, "solve this equation", dialect=dialect, stream=stream, **more)
    assert told.status == 503
    assert told.error.startswith("no expert could answer")


def test_a_builtin_fallback_lets_a_model_go_first_and_speaks_when_chosen(tmp_path: Path) -> None:
    with fake_ollama([FakeModel(MAIN, loaded=True), FakeModel("extra:1b")]) as fake:
        fake.script(MAIN, [http_error(500)])
        experts = [{"id": 1, "label": "primary", "model_name": MAIN}, {"id": 0, "label": "house", "type": "builtin"}]
        config = {"expert_runner": RUNNER | {"ollama_url": fake.url}}
        with live_server(tmp_path, config=config, experts=experts) as server:
            assert talk(server.url, model="primary").expert == "extra:1b"
            for model in ("", "house"):
                told = talk(server.url, model=model)
                assert (told.is_good, told.expert) == (True, "house")


# The client leaves


@pytest.mark.parametrize("step", [hang(), headers_then_hang(), endless(interval_s=0.02)],
                         ids=["no head", "head only", "speaking"])
@ways
def test_when_the_client_leaves_the_upstream_is_stopped(
    home: House, dialect: Dialect, stream: bool, step: Step
) -> None:
    home.plays(step)
    body = {"model": "primary", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    client = http.client.HTTPConnection(home.server.host, home.server.port, timeout=GUARD_S)
    client.request("POST", PATHS[dialect], json.dumps(body))
    assert becomes(home.seen)
    if stream and isinstance(step, type(answer())) and step.repeats:
        assert client.getresponse().read(10)
    client.close()
    (only,) = home.seen()
    only.wait_until_over()
    assert only.closed_early_at is not None
    assert len(home.seen(SPARE)) == 0
    assert becomes(lambda: home.health()["experts"]["primary"]["breaker"] == "closed")
    assert home.is_well()


# A slow start: 200 is committed after five seconds


def at_the_same_time(jobs: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = {name: pool.submit(job) for name, job in jobs.items()}
        return {name: job.result() for name, job in running.items()}


def say_with_openai(url: str) -> str:
    with openai_client.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="primary", messages=[{"role": "user", "content": "hello"}], stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def say_with_ollama(url: str) -> str:
    with ollama_client.Client(host=url) as client:
        parts = client.chat(model="primary", messages=[{"role": "user", "content": "hello"}], stream=True)
        return "".join(part.message.content or "" for part in parts)


def raised_by(say: Callable[[str], str], url: str) -> Exception:
    with pytest.raises((openai_client.APIError, ollama_client.ResponseError)) as failure:
        say(url)
    return failure.value


@pytest.mark.slow
def test_a_slow_start_is_bridged_and_what_comes_later_is_told_in_band(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        good, bad, late = (
            stack.enter_context(house("ollama", tmp_path / name, first_token_timeout_s=60))
            for name in ("good", "bad", "late")
        )
        good.plays(answer("Here at last.", delay_s=6.0))
        bad.plays(http_error(404, delay_s=6.0))
        for model in (SPARE, LAST):
            bad.upstream.script(model, [http_error(404)])
        late.plays(http_error(404, delay_s=6.0))
        told = at_the_same_time({
            "openai": lambda: say_with_openai(good.server.url),
            "ollama": lambda: say_with_ollama(good.server.url),
            "good openai": lambda: good.ask(dialect="openai"),
            "good ollama": lambda: good.ask(dialect="ollama"),
            "whole": lambda: good.ask(stream=False),
            "openai fails": lambda: raised_by(say_with_openai, bad.server.url),
            "ollama fails": lambda: raised_by(say_with_ollama, bad.server.url),
            "bad": lambda: bad.ask(dialect="openai"),
            "late": lambda: late.ask(dialect="openai"),
        })
    assert told["openai"] == told["ollama"] == told["whole"].text == "Here at last."
    assert told["good openai"].raw.startswith(": keep-alive\n\n")
    assert told["good ollama"].raw.startswith(" ")
    for name in ("good openai", "good ollama"):
        assert told[name].is_good
        assert "X-MoE-Model" not in told[name].headers  # nobody had begun to speak when the headers went out
        assert {"expert": "primary", "model": MAIN, "stage": "explicit", "confidence": 1.0}.items() <= (
            told[name].extras.items()
        )
    for name in ("openai fails", "ollama fails"):
        assert "no expert could answer" in str(told[name])
    assert (told["bad"].status, told["bad"].has_ended) == (200, False)
    assert told["bad"].error.startswith("no expert could answer (primary: upstream status 404")
    assert (told["late"].is_good, told["late"].model) == (True, "spare")
    assert (told["late"].extras["expert"], told["late"].extras["fallback"]) == ("spare", "primary")


# What is told about it


def test_a_correction_is_logged_in_one_line(home: House, caplog: pytest.LogCaptureFixture) -> None:
    home.plays(http_error(503, message="first line\nsecond line"))
    with caplog.at_level(logging.WARNING, "moe.dispatch"):
        reply = requests.post(
            f"{home.server.url}/api/chat", timeout=GUARD_S, headers={"X-Request-Id": "my-request"},
            json={"model": "primary", "messages": [{"role": "user", "content": "a private prompt"}]},
        )
    assert reply.status_code == 200
    (line,) = [message for message in caplog.messages if "[Auto-Correction]" in message]
    assert re.search(r"request=my-request lost_ms=\d+ expert=primary model=main:1b reason=upstream status 503", line)
    assert "\n" not in line
    assert "private" not in caplog.text


QUOTED = """error parsing tool call: raw='{"diary": "my secret"', err=unexpected end"""


@pytest.mark.parametrize("step", [
    http_error(500, message=QUOTED), http_error(400, message=QUOTED), http_error(429, message=QUOTED),
    error_line(after=0, message=QUOTED), error_line(after=1, text="one two", message=QUOTED),
], ids=["500", "400", "429", "200 with an error", "in the middle"])
@pytest.mark.parametrize("kind", ["ollama", "api"])
@pytest.mark.parametrize("log_prompts", [False, True])
def test_what_an_upstream_quotes_is_logged_only_where_prompts_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, step: Step, kind: str, log_prompts: bool
) -> None:
    with house(kind, tmp_path, log_prompts=log_prompts) as home, caplog.at_level(logging.DEBUG, "moe"):
        home.plays(step)
        home.ask()
    told = r"reason=(upstream status \d{3} error=UpstreamFailure|request refused error=UpstreamRefusal status=400)"
    assert re.search(told, caplog.text)
    assert ("diary" in caplog.text) is log_prompts


def test_an_estimated_usage_is_marked(home: House) -> None:
    home.plays(answer("one two three", usage=None))
    for dialect, stream in WAYS:
        told = home.ask(dialect=dialect, stream=stream)
        assert told.extras == {"usage_estimated": True, "strategy": "direct", "calls": 1}
        assert told.usage is not None
        assert told.usage[1] > 0
    home.plays(answer("one two three"))
    assert home.ask().extras == {"strategy": "direct", "calls": 1}


# From this machine to a cloud


@pytest.mark.parametrize("permission", ["", "local", "cloud"])
def test_a_prompt_for_a_local_model_reaches_a_cloud_only_with_permission(tmp_path: Path, permission: str) -> None:
    with fake_ollama([FakeModel(MAIN, loaded=True)]) as local, fake_openai([SPARE]) as cloud:
        local.script(MAIN, [http_error(500)])
        experts = [
            {"id": 1, "label": "primary", "model_name": MAIN, "fallback": "cloud",
             "allow_cloud": permission == "local"},
            {"id": 2, "label": "cloud", "type": "api", "model_name": SPARE, "api_base": cloud.api_base,
             "allow_cloud": permission == "cloud"},
            {"id": 0, "label": "fallback", "model_name": MAIN},
        ]
        config = {"expert_runner": RUNNER | {"ollama_url": local.url}}
        with live_server(tmp_path, config=config, experts=experts) as server:
            told = talk(server.url, "my secret", model="primary")
            assert (told.status, len(cloud.requests)) == ((200, 1) if permission else (503, 0))
            assert talk(server.url, model="cloud").expert == "cloud"


# Several machines


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[FakeOllama, FakeOllama, Live]]:
    with fake_ollama([FakeModel(MAIN)]) as a, fake_ollama([FakeModel(MAIN, loaded=True)]) as b:
        experts = [{"id": 0, "label": "fallback", "model_name": MAIN, "urls": [a.url, b.url]}]
        with live_server(tmp_path, config={"expert_runner": RUNNER}, experts=experts) as server:
            yield a, b, server


Pair = tuple[FakeOllama, FakeOllama, Live]


def chats(fake: FakeOllama) -> int:
    return len(fake.requests_to("/api/chat"))


def test_the_machine_that_has_the_model_in_memory_serves(pair: Pair) -> None:
    a, b, server = pair
    for number in range(4):
        assert talk(server.url, f"conversation {number}").is_good
    assert (chats(a), chats(b)) == (0, 4)


def test_a_machine_that_is_off_costs_no_answer(pair: Pair) -> None:
    a, b, server = pair
    b.stop()
    told = [talk(server.url, f"conversation {number}") for number in range(4)]
    assert all(each.is_good and each.fallback is None for each in told)
    assert chats(a) == 4


@pytest.mark.parametrize("step", [hang(), headers_then_hang(), http_error(503)], ids=["silent", "head only", "503"])
def test_a_machine_that_gives_nothing_is_tried_once_and_then_the_other(pair: Pair, step: Step) -> None:
    a, b, server = pair
    b.script("/api/chat", [step])
    told = talk(server.url)
    assert (told.is_good, told.expert, told.fallback) == (True, "fallback", None)
    assert (chats(a), chats(b)) == (1, 1)
