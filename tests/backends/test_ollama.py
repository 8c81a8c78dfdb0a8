"""What is particular about Ollama: contexts that fit, several machines, completions, memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from moe.backends.duration import unloads
from moe.backends.nodes import Node
from moe.backends.ollama import Ollama
from moe.backends.preference import Conversations
from moe.config import RunnerConfig
from moe.core import Completion, Done, Image, Message, Sampling, Text, ToolCall, ToolResult
from moe.errors import BadAnswer, TimedOut, Unreachable, UpstreamFailure, UpstreamRefusal
from tests.backends.rig import CAPABLE, MODEL, Rig, ask, end_of, ollama_rig, said, text_of
from tests.fakes import FakeModel, FakeOllama, RefusedPort, SilentPort, answer, fake_ollama, garbage, hang, http_error

# 2.5 bytes are taken for a token, so this many characters are a thousand.
THOUSAND = 2500


def sent_context(rig: Rig) -> Any:
    return rig.body.get("options", {}).get("num_ctx")


# The context


def test_a_short_prompt_leaves_the_context_as_it_is(ollama: Rig) -> None:
    ollama.chat()
    assert sent_context(ollama) is None
    assert ollama.body["truncate"] is False


@pytest.mark.parametrize(("thousands", "output", "context"), [
    (2, None, None), (4, None, 8192), (6, None, 8192), (9, None, 16384), (1, 6000, 8192), (100, None, 131_072),
    (130, None, 131_072), (0, 128_000, 8192), (1, 128_000, 8192), (6, 1_000_000, 16384),
])
def test_the_context_doubles_until_prompt_and_output_fit(
    ollama: Rig, thousands: int, output: int | None, context: int | None
) -> None:
    ollama.chat("x" * thousands * THOUSAND, sampling=Sampling(max_tokens=output))
    assert sent_context(ollama) == context


def test_a_context_once_raised_stays_while_the_model_is_loaded(ollama: Rig) -> None:
    ollama.chat("x" * 6 * THOUSAND)
    assert sent_context(ollama) == 8192
    for _ in range(2):
        ollama.chat("short")
        assert sent_context(ollama) == 8192
    assert len(ollama.upstream.models.loads) == 1  # type: ignore[union-attr]


@pytest.mark.usefixtures("short_lives")
def test_a_context_that_someone_else_raised_is_kept(executor: ThreadPoolExecutor) -> None:
    with ollama_rig(executor) as rig:
        rig.upstream.models.load(CAPABLE, num_ctx=32_768, keep_s=300)  # type: ignore[union-attr]
        rig.backend.first_token_limit_s(ask())
        rig.chat()
        assert sent_context(rig) == 32_768


@pytest.mark.parametrize(("characters", "sent"), [(1000, 2048), (5 * THOUSAND, 8192)])
def test_a_window_that_was_asked_for_is_kept_while_the_prompt_fits_it(ollama: Rig, characters: int, sent: int) -> None:
    ollama.chat("x" * characters, sampling=Sampling(options={"num_ctx": 2048}))
    assert sent_context(ollama) == sent


def test_the_models_own_limit_is_the_most(executor: ThreadPoolExecutor) -> None:
    with ollama_rig(executor, FakeModel(MODEL, context_length=6000, loaded=True)) as rig:
        rig.chat("x" * 5 * THOUSAND)
        assert sent_context(rig) == 6000
        assert rig.backend.context_tokens(MODEL) == 6000


def test_a_prompt_that_can_never_fit_is_refused_here_with_its_reason(executor: ThreadPoolExecutor) -> None:
    with ollama_rig(executor, FakeModel(MODEL, context_length=2048)) as rig:
        with pytest.raises(UpstreamRefusal, match="context length of 2048") as refusal:
            rig.chat("word " * 2049)
        assert refusal.value.code == "context_length_exceeded"
        assert not rig.asked


@pytest.mark.parametrize("text", [" " * 100_000, "internationalisation " * 2040, "-" * 200_000])
def test_whether_one_fits_that_might_is_for_the_node_to_say(executor: ThreadPoolExecutor, text: str) -> None:
    with ollama_rig(executor, FakeModel(MODEL, context_length=2048)) as rig:
        rig.chat(text)
        assert rig.body["truncate"] is False


def test_a_prompt_is_cut_for_whoever_asks_for_it(executor: ThreadPoolExecutor) -> None:
    with ollama_rig(executor, FakeModel(MODEL, context_length=2048)) as rig:
        rig.chat("word " * 5000, truncate=True, shift=False)
        assert (rig.body["truncate"], rig.body["shift"]) == (True, False)
        rig.chat(truncate=False)
        assert rig.body["truncate"] is False
        assert "shift" not in rig.body


def test_images_and_tools_count_too(ollama: Rig) -> None:
    ollama.chat(messages=(Message("user", (Text("?"), *[Image("QUJD")] * 5)),))
    assert sent_context(ollama) == 8192


# Completions and loading


def test_a_bare_completion_goes_to_generate_as_it_is(ollama: Rig) -> None:
    bare = Completion(prompt="def f(", suffix="return 1", raw=True)
    chunks = ollama.chat(messages=(), completion=bare)
    assert text_of(chunks).startswith(f"[{MODEL}")
    assert ollama.asked[0].path == "/api/generate"
    assert {name: ollama.body[name] for name in ("prompt", "suffix", "raw")} == {
        "prompt": "def f(", "suffix": "return 1", "raw": True,
    }
    assert "messages" not in ollama.body


def test_the_context_of_a_completion_comes_back(ollama: Rig) -> None:
    done = end_of(ollama.chat(messages=(), completion=Completion(prompt="hi", context=(1, 2, 3))))
    assert ollama.body["context"] == [1, 2, 3]
    assert done.context[:3] == (1, 2, 3)


@pytest.mark.parametrize(("keep_alive", "finish"), [(None, "load"), (0, "unload")])
def test_a_request_without_a_prompt_loads_or_unloads(ollama: Rig, keep_alive: Any, finish: str) -> None:
    chunks = ollama.chat(messages=(), keep_alive=keep_alive)
    assert [type(chunk) for chunk in chunks] == [Done]
    assert end_of(chunks).finish == finish


@pytest.mark.parametrize(("given", "sent"), [("5m", "5m"), ("300", 300), ("-1", -1), (0, 0), (12.5, 12.5)])
def test_keep_alive_is_sent_as_ollama_reads_it(ollama: Rig, given: Any, sent: Any) -> None:
    ollama.chat(keep_alive=given)
    assert ollama.body["keep_alive"] == sent
    assert type(ollama.body["keep_alive"]) is type(sent)


@pytest.mark.parametrize("think", [True, False, "high"])
def test_think_is_sent_to_a_model_that_can(executor: ThreadPoolExecutor, think: Any) -> None:
    thinker = FakeModel(MODEL, capabilities=("completion", "thinking"), loaded=True)
    with ollama_rig(executor, thinker) as rig:
        rig.chat(think=think)
        assert rig.body["think"] == think
    with ollama_rig(executor, FakeModel(MODEL)) as rig:
        rig.chat(think=think)
        assert "think" not in rig.body


def test_options_of_its_own_are_passed_with_the_common_ones(ollama: Rig) -> None:
    ollama.chat(sampling=Sampling(top_k=5, min_p=0.1, repeat_penalty=1.5,
                                  options={"mirostat": 2, "num_gpu": 1, "num_predict": -1}))
    expected = {"top_k": 5, "min_p": 0.1, "repeat_penalty": 1.5, "mirostat": 2, "num_gpu": 1, "num_predict": -1}
    assert {name: ollama.body["options"][name] for name in expected} == expected


def test_arguments_that_are_no_object_are_not_lost(ollama: Rig) -> None:
    for text in ("not json", "[1]", "5"):
        ollama.chat(messages=(Message("assistant", (ToolCall("a", "f", text),)), Message("user", (Text("?"),))))
        assert "_raw" in ollama.body["messages"][0]["tool_calls"][0]["function"]["arguments"]


def lines(*parts: Any) -> Any:
    return garbage(b"".join(part if isinstance(part, bytes) else json.dumps(part).encode() + b"\n" for part in parts))


def word(text: str, **beside: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text, **beside}, "done": False}


END = {"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 3}
BAD = (b'{"message":{"content":"tw\n', b"\xff\xfe\n", b'{"message":{"content":"\xff"}}\n', b"null\n", b"[1]\n",
       b'{"message":"two "}\n', b'{"message":{"content":5}}\n', b"[" * 100_000 + b"\n")


@pytest.mark.parametrize("bad", BAD, ids=[repr(each[:30]) for each in BAD])
def test_an_answer_with_a_hole_is_none(ollama: Rig, bad: bytes) -> None:
    told = (word("one "), word("three"))
    for place in range(3):
        ollama.plays(lines(*told[:place], bad, *told[place:], END))
        with pytest.raises(BadAnswer) as failure:
            ollama.chat()
        assert failure.value.is_worth_a_retry
    ollama.plays(lines(word("one "), bad, word("two "), word("three"), END))  # each token came
    if b"{" not in bad:
        assert text_of(ollama.chat()) == "one two three"  # it was noise
        return
    with pytest.raises(BadAnswer):  # the server may count what is no token
        ollama.chat()


@pytest.mark.parametrize("bad", [b'ssage":{"content":"tw', b'x "tool_calls":[', b' {"done":fal'])
def test_what_is_visibly_part_of_an_answer_is_never_noise(ollama: Rig, bad: bytes) -> None:
    ollama.plays(lines(word("one "), word("two "), word("three"), bad + b"\n", END))
    with pytest.raises(BadAnswer):
        ollama.chat()


@pytest.mark.parametrize("odd", [
    {"load_duration": "5ms"}, {"context": [1.5, 2.0]}, {"context": "none"}, {"eval_duration": []}, {"done_reason": 3},
    {"prompt_eval_count": "many"}, {"total_duration": {}},
], ids=str)
def test_no_answer_is_lost_for_what_is_told_beside_it(ollama: Rig, odd: dict[str, Any]) -> None:
    ollama.plays(lines(word("hi"), END | {"eval_count": 1} | odd))
    chunks = ollama.chat()
    done = end_of(chunks)
    assert (text_of(chunks), done.finish, done.context) == ("hi", "stop", ())
    assert done.usage is not None and done.usage.completion_tokens == 1


@pytest.mark.parametrize("call_id", [None, 7, ""])
def test_a_call_whose_id_is_none_gets_one(ollama: Rig, call_id: Any) -> None:
    call = {"id": call_id, "function": {"name": "f", "arguments": {"a": 1}}}
    ollama.plays(lines(word("", tool_calls=[call]), END))
    (told,) = (chunk for chunk in ollama.chat() if isinstance(chunk, ToolCall))
    assert told.id.startswith("call_0_") and told.arguments == '{"a": 1}'


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_line(ollama: Rig) -> None:
    ollama.plays(lines(b"\xef\xbb\xbf", word("hi"), END | {"eval_count": 1}))
    assert text_of(ollama.chat()) == "hi"


@pytest.mark.parametrize(("name", "capabilities", "how", "awaits"), [
    ("hf.co/x/deepseek-r1-gguf", ("completion",), {}, True),
    ("hf.co/x/deepseek-r1-gguf", ("completion",), {"think": True}, True),
    ("hf.co/x/deepseek-r1-gguf", ("completion",), {"think": False}, False),
    ("hf.co/x/deepseek-r1-gguf", ("completion",), {"format": "json"}, False),
    ("deepseek-r1:8b", ("completion", "thinking"), {}, False),
    ("deepseek-r1:8b", ("completion", "thinking"), {"think": True}, False),
    ("llama3.2:3b", ("completion",), {}, False),
])
def test_the_end_of_a_thought_is_awaited_of_none_who_tells_thoughts_apart(
    executor: ThreadPoolExecutor, name: str, capabilities: tuple[str, ...], how: dict[str, Any], awaits: bool
) -> None:
    with ollama_rig(executor, FakeModel(name, capabilities=capabilities)) as rig:
        assert rig.backend.begins_inside(ask(model=name, **how)) is awaits  # type: ignore[attr-defined]


def test_nor_is_one_with_calls_beside_a_line_that_cannot_be_read(ollama: Rig) -> None:
    call = word("", tool_calls=[{"function": {"name": "f", "arguments": {}}}])
    for told in ((call, b"{]\n"), (word("x"), b"{]\n", call)):
        ollama.plays(lines(*told, END | {"eval_count": 0}))
        with pytest.raises(BadAnswer):
            ollama.chat()


def test_what_only_keeps_a_connection_alive_is_no_hole(ollama: Rig) -> None:
    ollama.plays(lines(b"\n\r\n\0\n", word("one "), b"\0\0\n \t\n", word("two"), END))
    assert text_of(ollama.chat()) == "one two"


def test_two_calls_that_are_alike_have_different_ids(ollama: Rig) -> None:
    call = lines(word("", tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}] * 2), END)
    ollama.plays(call, call, call)
    turns: list[Message] = [Message("user", (Text("?"),))]
    ids = []
    for _ in range(2):
        calls = [chunk for chunk in ollama.chat(messages=tuple(turns)) if isinstance(chunk, ToolCall)]
        ids += [each.id for each in calls]
        turns += [Message("assistant", tuple(calls)), Message("tool", (ToolResult(calls[0].id, "f", "1"),))]
    again = [chunk.id for chunk in ollama.chat(messages=tuple(turns[:1])) if isinstance(chunk, ToolCall)]
    assert len(set(ids)) == 4
    assert again == ids[:2]


@pytest.mark.parametrize(("keep_alive", "is_gone"), [(0, True), ("0", True), ("0s", True), ("0m0s", True),
                                                     (None, False), ("5m", False), (-1, False), ("never", False)])
def test_an_unload_is_noticed_in_whichever_words(keep_alive: Any, is_gone: bool) -> None:
    assert unloads(keep_alive) is is_gone


def test_figures_with_a_point_are_read(ollama: Rig) -> None:
    line = b'{"message":{"content":"hi"},"done":true,"eval_count":5.0,"prompt_eval_count":2,"eval_duration":1.5e9}\n'
    ollama.plays(garbage(line))
    usage = end_of(ollama.chat()).usage
    assert usage is not None
    assert (usage.completion_tokens, usage.completion_ns) == (5, 1_500_000_000)


# What it can do


@pytest.mark.parametrize(("capabilities", "fields", "why"), [
    (("completion",), {"tools": ({"type": "function"},)}, "does not support tools"),
    (("completion",), {"messages": (Message("user", (Image("QUJD"),)),)}, "does not support images"),
    (("completion",), {"completion": Completion(prompt="a", suffix="b")}, "does not support insert"),
    (("embedding",), {}, "does not support chat"),
    (("completion", "tools"), {"tools": ({"type": "function"},)}, ""),
    (("completion",), {"messages": ()}, ""),
    ((), {"tools": ({"type": "function"},)}, ""),
])
def test_what_a_model_is_known_to_lack_is_said_beforehand(
    executor: ThreadPoolExecutor, capabilities: tuple[str, ...], fields: dict[str, Any], why: str
) -> None:
    with ollama_rig(executor, FakeModel(MODEL, capabilities=capabilities)) as rig:
        assert rig.backend.misfit(ask(**fields)) == why
        assert rig.backend.misfit(ask(model="never-heard-of", **fields)) == ""


def test_trouble_is_told_from_what_is_known(ollama: Rig) -> None:
    assert ollama.backend.trouble(MODEL) == ""
    assert ollama.backend.trouble("other") == "the model is not installed"


# How long it is waited for


def test_a_cold_model_gets_time_to_load(executor: ThreadPoolExecutor) -> None:
    with ollama_rig(executor, FakeModel(MODEL)) as rig:
        assert rig.backend.first_token_limit_s(ask()) == 300
    with ollama_rig(executor, FakeModel(MODEL, loaded=True)) as rig:
        limit_s = rig.backend.first_token_limit_s(ask())
        assert 12 <= limit_s < 13
        assert rig.backend.first_token_limit_s(ask("x" * THOUSAND)) == pytest.approx(32, abs=1)


@pytest.mark.usefixtures("short_lives")
def test_a_model_that_left_the_memory_while_nobody_asked_gets_time_too(executor: ThreadPoolExecutor) -> None:
    with ollama_rig(executor, FakeModel(MODEL, loaded=True)) as rig:
        assert rig.backend.first_token_limit_s(ask()) < 13
        rig.upstream.models.unload(MODEL)  # type: ignore[union-attr]
        assert rig.backend.first_token_limit_s(ask()) == 300


def test_a_node_that_is_off_does_not_shorten_the_time_of_the_other(executor: ThreadPoolExecutor) -> None:
    with fake_ollama([FakeModel(MODEL)]) as fake, RefusedPort() as off, group(executor, fake.url, off.url) as two:
        assert two.first_token_limit_s(ask()) == 300


# Several machines


@contextmanager
def group(executor: ThreadPoolExecutor, *urls: str) -> Iterator[Ollama]:
    nodes = [Node(url, connect_timeout_s=0.5, executor=executor) for url in urls]
    for node in nodes:
        node.refresh(wait=True)
    yield Ollama(nodes, RunnerConfig(), Conversations())
    for node in nodes:
        node.close()


@pytest.fixture
def two(executor: ThreadPoolExecutor) -> Iterator[tuple[FakeOllama, FakeOllama, Ollama]]:
    ready = FakeModel(MODEL, loaded=True)
    with fake_ollama([ready]) as a, fake_ollama([ready]) as b, group(executor, a.url, b.url) as both:
        yield a, b, both


Two = tuple[FakeOllama, FakeOllama, Ollama]


def chats(fake: FakeOllama) -> int:
    return len(fake.requests_to("/api/chat"))


def test_a_conversation_stays_on_its_machine(two: Two) -> None:
    a, b, both = two
    for turn in range(6):
        opening = Message("user", (Text("my first words"),))
        said(both.chat(ask(messages=(opening, *[Message("user", (Text(f"turn {turn}"),))] * turn))))
    assert sorted((chats(a), chats(b))) == [0, 6]


def test_requests_at_the_same_time_are_shared_out(two: Two) -> None:
    a, b, both = two
    for fake in (a, b):
        fake.script("/api/chat", [hang()])
    running = [both.chat(ask(f"conversation {number}")) for number in range(6)]
    for chunks in running:
        next(chunks)
    assert (chats(a), chats(b)) == (3, 3)
    for chunks in running:
        chunks.close()


def test_a_machine_that_refuses_is_passed_over_by_the_next_call(two: Two) -> None:
    a, b, both = two
    a.stop()
    outcomes = []
    for _ in range(3):
        try:
            outcomes.append(text_of(said(both.chat(ask()))))
        except Unreachable:
            outcomes.append("unreachable")
    assert outcomes.count("unreachable") <= 1
    assert chats(b) >= 2


@pytest.mark.parametrize("step", [hang(), http_error(500), http_error(503)])
def test_a_machine_that_gave_nothing_is_not_asked_first_again(two: Two, step: Any) -> None:
    a, b, both = two
    for fake in (a, b):
        fake.script("/api/chat", [step, answer("fine")])
    first = both.chat(ask())
    try:
        next(first)
    except UpstreamFailure:
        assert step != hang()
    first.close()
    second = both.chat(ask())
    try:
        next(second)
    except UpstreamFailure:
        assert step != hang()
    second.close()
    assert (chats(a), chats(b)) == (1, 1)


def test_a_refusal_says_nothing_against_the_machine(two: Two) -> None:
    a, b, both = two
    for fake in (a, b):
        fake.script("/api/chat", [http_error(400)])
    for _ in range(3):
        with pytest.raises(UpstreamRefusal):
            said(both.chat(ask()))
    assert sorted((chats(a), chats(b))) == [0, 3]


def test_a_machine_that_swallows_connections_is_not_waited_for_twice(executor: ThreadPoolExecutor) -> None:
    with SilentPort() as port, group(executor, port.url) as alone:
        with pytest.raises((Unreachable, TimedOut)):
            said(alone.chat(ask()))
        assert alone.trouble(MODEL) == "unreachable"


def test_where_a_model_would_have_to_be_loaded_it_gets_time_though_another_machine_has_it(
    executor: ThreadPoolExecutor
) -> None:
    with fake_ollama([FakeModel(MODEL, loaded=True)]) as has, fake_ollama([FakeModel(MODEL)]) as cold, \
            group(executor, has.url, cold.url) as both:
        assert both.first_token_limit_s(ask()) < 13
        first = both._nodes[0]
        for _ in range(4):
            first.enter(MODEL)
        first.vram = both._nodes[1].vram = 10**12
        assert both.first_token_limit_s(ask()) == 300
        for _ in range(4):
            first.leave(MODEL)
        assert both.first_token_limit_s(ask()) < 13


def test_what_a_machine_serves_is_counted_by_model_and_its_speed_measured(two: Two) -> None:
    a, b, both = two
    asked = both.chat(ask("count", sampling=Sampling(max_tokens=40)))
    next(asked)
    busy = [node for node in both._nodes if node.held()[MODEL].idle_s == 0.0]
    assert len(busy) == 1 and busy[0].in_flight == 1
    said(asked)
    assert busy[0].in_flight == 0 and not busy[0]._running
    a.script("/api/chat", [answer("one two three four five six seven eight nine ten")])
    b.script("/api/chat", [answer("one two three four five six seven eight nine ten")])
    said(both.chat(ask("count")))
    assert busy[0].tokens_per_s(MODEL) == pytest.approx(1000)


def test_many_who_come_at_once_do_not_take_the_same_place(two: Two) -> None:
    a, b, both = two
    for fake in (a, b):
        fake.script("/api/chat", [answer("slowly", delay_s=0.3)])
    with ThreadPoolExecutor(16) as crowd:
        list(crowd.map(lambda number: said(both.chat(ask(f"conversation {number}"))), range(16)))
    assert (chats(a), chats(b)) == (8, 8)
