"""What is particular about experts behind LiteLLM: their keys, their addresses, and what LiteLLM must not do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from moe.backends.api import Api
from moe.backends.engine import Engine
from moe.config import RunnerConfig
from moe.core import Heartbeat, Image, Message, Sampling, Text, Thinking, ToolCall
from moe.errors import BackendError, BadAnswer, NotReady, Unreachable, UpstreamFailure, UpstreamRefusal
from moe.experts import Expert
from tests.backends.rig import MODEL, Rig, api_rig, ask, end_of, said, text_of
from tests.fakes import (
    SilentPort,
    answer,
    cut,
    endless,
    error_line,
    fake_openai,
    garbage,
    http_error,
    invalid_chunk,
    reset,
)
from tests.fakes.probe import WEATHER

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-a-secret-that-no-one-may-see"
# Served by OpenAI's own SDK, and by LiteLLM's own handlers: two ways to the network.
PROVIDERS = ["openai", "hosted_vllm", "openrouter", "mistral", "deepseek"]


def expert(**fields: Any) -> Expert:
    return Expert(**{"id": 1, "label": "expert", "type": "api", "model_name": MODEL, **fields})


# Keys


def test_the_key_comes_from_its_environment_variable_alone(api: Rig, engine: Engine, monkeypatch: Any) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORGANIZATION", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "from-elsewhere")
    monkeypatch.setenv("MY_KEY", KEY)
    api.upstream.require_key = KEY  # type: ignore[union-attr]
    base = api.upstream.api_base  # type: ignore[union-attr]
    keyed = Api(expert(api_base=base, api_key_env="MY_KEY"), RunnerConfig(), engine)
    assert text_of(said(keyed.chat(ask())))
    sent = str(api.asked[0].headers)
    assert "from-elsewhere" not in sent
    assert "stainless" not in sent


def test_without_a_named_variable_no_key_of_the_environment_is_sent(api: Rig, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    api.chat()
    assert KEY not in str(api.asked[0].headers)


def test_an_unset_variable_is_named_and_nothing_is_sent(engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with api_rig(engine, api_key_env="MY_KEY") as rig:
        with pytest.raises(NotReady, match="MY_KEY"):
            rig.chat()
        assert rig.backend.trouble(MODEL) == "the environment variable MY_KEY is not set"
        assert not rig.upstream.requests
        monkeypatch.setenv("MY_KEY", KEY)
        assert rig.backend.trouble(MODEL) == ""


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_key_that_the_server_repeats_is_blotted_out(engine: Engine, monkeypatch: Any, status: int) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with api_rig(engine, api_key_env="MY_KEY") as rig:
        rig.plays(http_error(status, message=f"bad key {KEY}!"))
        with pytest.raises(BackendError) as failure:
            rig.chat()
    assert failure.value.message == "bad key ***!"
    assert KEY not in str(failure.value)


# Names and addresses


@pytest.mark.parametrize(("provider", "base", "name", "spelled"), [
    ("", "http://127.0.0.1:1/v1", "m", "openai/m"),
    ("", "http://127.0.0.1:1/v1", "openai/gpt-oss-20b", "openai/openai/gpt-oss-20b"),
    ("", "", "anthropic/claude", "anthropic/claude"),
    ("openai", "", "gpt-4o", "openai/gpt-4o"),
    ("openai", "", "openai/gpt-4o", "openai/gpt-4o"),
    ("openrouter", "", "meta/llama", "openrouter/meta/llama"),
])
def test_a_model_is_named_for_its_provider(provider: str, base: str, name: str, spelled: str, engine: Engine) -> None:
    assert Api(expert(provider=provider, api_base=base), RunnerConfig(), engine).spell_model(name) == spelled


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/"])
def test_an_address_does_with_and_without_v1(engine: Engine, tail: str) -> None:
    with fake_openai([MODEL]) as fake:
        api = Api(expert(api_base=fake.url + tail), RunnerConfig(), engine)
        assert text_of(said(api.chat(ask())))
        assert fake.requests[0].path == "/v1/chat/completions"


def test_a_model_whose_name_looks_like_a_provider_keeps_it(engine: Engine) -> None:
    with fake_openai(["openai/gpt-oss-20b"]) as fake:
        api = Api(expert(url=fake.url), RunnerConfig(), engine)
        said(api.chat(ask(model="openai/gpt-oss-20b")))
        assert fake.requests[0].model == "openai/gpt-oss-20b"


@pytest.mark.parametrize("base", ["http://169.254.169.254/v1", "http://[::ffff:169.254.169.254]/v1",
                                  "http://metadata.google.internal/v1", "http://0xA9FEA9FE/v1"])
def test_an_address_that_is_refused_is_never_connected_to(engine: Engine, base: str) -> None:
    with pytest.raises(Unreachable) as failure:
        said(Api(expert(api_base=base), RunnerConfig(), engine).chat(ask()))
    assert failure.value.reason == "address refused"


def test_a_host_that_does_not_resolve_is_unreachable(engine: Engine) -> None:
    with pytest.raises(Unreachable):
        said(Api(expert(api_base="http://no.such.host.invalid/v1"), RunnerConfig(), engine).chat(ask()))


def test_a_host_that_swallows_the_connection_is_given_up_soon(engine: Engine) -> None:
    with SilentPort() as port:
        api = Api(expert(api_base=port.url), RunnerConfig(connect_timeout_s=0.5), engine)
        began = time.monotonic()
        with pytest.raises(Unreachable):
            said(api.chat(ask()))
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(engine: Engine, provider: str, status: int) -> None:
    with fake_openai([MODEL]) as other, api_rig(engine, provider=provider) as rig:
        rig.plays(http_error(status, headers={"Location": f"{other.api_base}/chat/completions"}))
        with pytest.raises(UpstreamFailure, match="injected"):
            rig.chat()
        assert not other.requests
        assert len(rig.asked) == 1


# What LiteLLM must not do by itself


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("step", [http_error(422), http_error(429), http_error(500), http_error(503), reset()],
                         ids=["422", "429", "500", "503", "reset"])
def test_nothing_is_sent_twice_behind_our_back(engine: Engine, provider: str, step: Any) -> None:
    with api_rig(engine, provider=provider) as rig:
        rig.plays(step)
        with pytest.raises(BackendError):
            rig.chat()
        assert len(rig.asked) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_skips_what_is_surely_noise_and_notices_a_cut(engine: Engine, provider: str) -> None:
    with api_rig(engine, provider=provider) as rig:
        rig.plays(invalid_chunk(at=1, text="one two three"), invalid_chunk(at=1, text="one two three", usage=None),
                  cut(after=1, text="one two", clean=True), error_line(after=1, text="one two"))
        if provider == "mistral":  # LiteLLM asks it for no count
            with pytest.raises(BadAnswer):
                rig.chat()
        else:
            assert text_of(rig.chat()) == "one two three"
        for _ in range(3):
            with pytest.raises(BackendError):
                rig.chat()


def test_a_stream_that_stays_open_after_its_end_holds_nobody(api: Rig) -> None:
    done = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    class Open(type(answer())):  # type: ignore[misc]
        def play(self, exchange: Any, voice: Any) -> None:
            exchange.start(200, "text/event-stream", headers={}, length=None)
            exchange.send(done)
            exchange.wait(60)

    api.plays(Open())
    began = time.monotonic()
    assert text_of(api.chat()) == "hi"
    assert time.monotonic() - began < 5


def test_a_slow_reader_does_not_let_the_answer_pile_up(api: Rig) -> None:
    api.plays(endless(interval_s=0.0, text="x" * 50_000))
    chunks = api.open()
    while isinstance(next(chunks), Heartbeat):
        pass
    waiting = [-1, 0]
    while waiting[-1] != waiting[-2]:  # until the upstream cannot send any more
        time.sleep(0.6)
        waiting.append(_sent(chunks))
    assert waiting[-1] < 5_000
    chunks.close()


def _sent(chunks: Any) -> int:
    """How many chunks wait in the call's queue."""
    inner = chunks.gi_frame.f_locals["arrived"]
    return int(inner.qsize())


def test_the_fields_of_other_engines_are_not_sent(api: Rig) -> None:
    api.chat(think=True, keep_alive="5m")
    assert not {"think", "keep_alive", "options"} & api.body.keys()
    assert api.body["stream_options"] == {"include_usage": True}


def test_a_thinking_turn_of_the_past_is_not_said_again(api: Rig) -> None:
    past = Message("assistant", (Thinking("secretly"), Text("Hello")))
    api.chat(messages=(Message("user", (Text("Hi"),)), past, Message("user", (Text("And?"),))))
    assert api.body["messages"][1] == {"role": "assistant", "content": "Hello"}


def test_tool_choice_arrives(api: Rig) -> None:
    api.chat(tools=(WEATHER,), tool_choice="none", parallel_tool_calls=False)
    assert (api.body["tool_choice"], api.body["parallel_tool_calls"]) == ("none", False)


def test_a_schema_arrives_under_its_own_name(api: Rig) -> None:
    api.chat(format={"type": "object"}, format_name="person", format_strict=True)
    assert api.body["response_format"] == {
        "type": "json_schema", "json_schema": {"name": "person", "schema": {"type": "object"}, "strict": True}}
    api.chat(format={"type": "object"})
    assert api.body["response_format"]["json_schema"] == {"name": "answer", "schema": {"type": "object"}}


@pytest.mark.parametrize("provider", ["", "hosted_vllm"])
def test_what_servers_of_open_models_take_beyond_openai_arrives(engine: Engine, provider: str) -> None:
    with api_rig(engine, provider=provider) as rig:
        rig.chat(sampling=Sampling(top_k=5, min_p=0.1, repeat_penalty=1.5, options={"num_predict": -1, "mirostat": 2}))
        sent = {name: rig.body.get(name) for name in ("top_k", "min_p", "repeat_penalty", "repetition_penalty")}
        assert sent == {"top_k": 5, "min_p": 0.1, "repeat_penalty": 1.5, "repetition_penalty": 1.5}
        assert not {"extra_body", "num_predict", "mirostat", "max_tokens"} & rig.body.keys()


def test_openai_itself_is_not_sent_what_it_refuses(engine: Engine) -> None:
    with api_rig(engine, provider="openai") as rig:
        rig.chat(sampling=Sampling(top_k=5, min_p=0.1, repeat_penalty=1.5))
        assert not {"top_k", "min_p", "repeat_penalty", "repetition_penalty"} & rig.body.keys()


def test_a_content_filter_is_told_with_its_code(api: Rig) -> None:
    api.plays(http_error(400, message="blocked by our policy", code="content_filter"))
    with pytest.raises(UpstreamRefusal, match="blocked by our policy") as refusal:
        api.chat()
    assert refusal.value.code == "content_filter"


def test_an_estimated_count_is_marked(api: Rig) -> None:
    api.plays(answer("one two three", usage=None))
    usage = end_of(api.chat()).usage
    assert usage is not None
    assert usage.estimated
    assert usage.completion_tokens > 0


def test_an_unknown_provider_is_not_ready_rather_than_retried(engine: Engine) -> None:
    api = Api(expert(provider="no_such_provider"), RunnerConfig(), engine)
    with pytest.raises(NotReady) as failure:
        said(api.chat(ask()))
    assert failure.value.reason == "cannot be called"


# What it can do


def test_images_need_an_expert_that_sees(engine: Engine) -> None:
    picture = ask(messages=(Message("user", (Text("?"), Image("QUJD"))),))
    assert Api(expert(vision=True), RunnerConfig(), engine).misfit(picture) == ""
    assert Api(expert(), RunnerConfig(), engine).misfit(picture) == "does not support images"


def test_the_context_of_a_well_known_model_is_known_once_litellm_is_loaded(engine: Engine) -> None:
    assert Engine().context_tokens("gpt-4o") == 0
    engine.load()
    assert engine.context_tokens("gpt-4o") == 128_000
    assert engine.context_tokens("nobody-knows-me") == 0


def test_limits_come_from_the_config(engine: Engine) -> None:
    api = Api(expert(), RunnerConfig(first_token_timeout_s=3, idle_timeout_s=4), engine)
    assert (api.first_token_limit_s(ask()), api.idle_limit_s("")) == (3, 4)
    assert Api(expert(), RunnerConfig(api_timeout=9), engine).idle_limit_s("") == 9


# In processes of their own

SCRIPT = """
import json, sys
names = []
def watch(event, arguments):
    if event == "socket.connect":
        names.append(str(arguments[1]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        names.append(str(arguments[0]))
sys.addaudithook(watch)
from moe.backends.api import Api
from moe.backends.engine import Engine
from moe.config import RunnerConfig
from moe.core import ChatRequest, Expert, Heartbeat, Message, Text
engine = Engine()
for provider in ("openai", "hosted_vllm"):
    for model in sys.argv[2:]:
        expert = Expert(id=1, label="x", type="api", model_name=model, provider=provider, api_base=sys.argv[1])
        question = ChatRequest(model=model, messages=(Message("user", (Text("hello"),)),))
        assert len(list(Api(expert, RunnerConfig(), engine).chat(question))) > 2
engine.close()
print(json.dumps(sorted(set(names))))
"""


def test_nothing_is_connected_to_but_the_configured_server() -> None:
    """Without usage LiteLLM counts by itself; some model names make it want to fetch a tokenizer for that."""
    models = ["gpt-4o", "llama-3-8b-instruct", "llama-2-7b", "command-r", "claude-3-opus"]
    with fake_openai(models) as fake:
        fake.script("/v1/chat/completions", [answer("one two", usage=None)])
        process = _run(SCRIPT, fake.api_base, *models)
        told = json.loads(process.stdout.splitlines()[-1])
        foreign = [name for name in told if "127.0.0.1" not in name]
    assert len(fake.requests) == 2 * len(models)
    assert process.stderr == ""
    assert foreign == []


def test_an_engine_that_is_not_installed_names_the_command() -> None:
    script = """
        import sys
        sys.modules["litellm"] = None
        from moe.backends.engine import Engine
        from moe.errors import NotReady
        try:
            Engine().load()
        except NotReady as error:
            print(error.message)
    """
    assert "./setup.sh --with api" in _run(textwrap.dedent(script)).stdout


def test_litellm_is_not_loaded_before_it_is_needed() -> None:
    script = "import sys, moe.build, moe.service; print(sorted({'litellm', 'openai', 'httpx'} & set(sys.modules)))"
    assert _run(script).stdout.strip() == "[]"


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120, check=True,
        env=environment,
    )


# What LiteLLM makes of the fields


def events(*choices: dict[str, Any]) -> Any:
    """An answer frame by frame, just so."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    frames = [json.dumps({**head, "choices": [{"index": 0, **choice}]}) for choice in choices]
    return garbage("".join(f"data: {frame}\n\n" for frame in (*frames, "[DONE]")).encode(),
                   media_type="text/event-stream")


def part(index: int, arguments: str, **head: str) -> dict[str, Any]:
    name = {"name": head.pop("name")} if "name" in head else {}
    return {"index": index, **head, "type": "function", "function": {**name, "arguments": arguments}}


@pytest.mark.parametrize("indexes", [(0, 0, 0, 0), (0, 0, 1, 1), (1, 1, 0, 0)])
def test_calls_are_gathered_whole_even_where_all_have_the_same_index(api: Rig, indexes: tuple[int, ...]) -> None:
    first, again, second, last = indexes
    pieces = (part(first, '{"a"', id="c1", name="f"), part(again, ": 1}"), part(second, '{"b": ', id="c2", name="g"),
              part(last, "2}"))
    api.plays(events(*({"delta": {"tool_calls": [piece]}, "finish_reason": None} for piece in pieces),
                     {"delta": {}, "finish_reason": "tool_calls"}))
    calls = [(call.id, call.name, call.arguments) for call in api.chat(tools=(WEATHER,)) if isinstance(call, ToolCall)]
    assert calls == [("c1", "f", '{"a": 1}'), ("c2", "g", '{"b": 2}')]


def test_what_a_provider_does_not_take_is_named(engine: Engine) -> None:
    engine.load()
    full = ask(logprobs=1, sampling=Sampling(seed=1, logit_bias={"1": 1.0}, presence_penalty=0.5, stop=("x",), top_k=3))
    told = {name: Api(expert(provider=name, model_name=model), RunnerConfig(), engine).ignores(
        structs.replace(full, model=model)) for name, model in (
            ("anthropic", "claude-3-5-sonnet-20241022"), ("openai", "gpt-4o"), ("hosted_vllm", "x"))}
    assert told == {"anthropic": ("seed", "presence_penalty", "logprobs", "logit_bias", "top_k"), "openai": ("top_k",),
                    "hosted_vllm": ()}
    assert Api(expert(provider="anthropic"), RunnerConfig(), engine).ignores(ask()) == ()


@pytest.mark.parametrize(("think", "effort", "sent"), [
    ("low", "minimal", "minimal"), ("high", "", "high"), (False, "none", "none"), (False, "", None), (True, "", None),
])
def test_effort_is_sent_in_the_clients_own_word(engine: Engine, think: Any, effort: str, sent: str | None) -> None:
    for provider in ("", "hosted_vllm"):
        with api_rig(engine, provider=provider) as rig:
            rig.chat(think=think, effort=effort)
            assert rig.body.get("reasoning_effort") == sent
