"""What every backend must do alike; dispatch relies on nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from moe.backends.absent import Absent
from moe.backends.base import Backend
from moe.backends.builtin import Builtin
from moe.backends.echo import Echo
from moe.core import Done, Heartbeat, Image, Message, Sampling, Text, Thinking, ToolCall, ToolResult
from moe.errors import (
    BackendError,
    BadAnswer,
    BrokenStream,
    NotReady,
    Unreachable,
    UpstreamFailure,
    UpstreamRefusal,
)
from tests.backends.rig import MODEL, Rig, ask, end_of, said, text_of
from tests.fakes import (
    Step,
    answer,
    cut,
    empty,
    endless,
    error_line,
    fragmented,
    garbage,
    hang,
    hang_up,
    headers_then_hang,
    http_error,
    invalid_chunk,
    no_done,
    reset,
    stall,
)
from tests.fakes.probe import WEATHER

GUARD_S = 10.0
PNG = "iVBORw0KGgo="
WORDS = "one two three four five six"


def opened_and_silent(rig: Rig) -> Any:
    """A call whose request has arrived and that got nothing yet."""
    chunks = rig.open()
    while not rig.asked:
        assert isinstance(next(chunks), Heartbeat)
    return chunks


# The order of chunks


def test_pieces_come_as_they_are_and_one_done_is_last(rig: Rig) -> None:
    rig.plays(answer(chunks=["Hel", "lo", " you"]))
    chunks = rig.chat()
    assert text_of(chunks) == "Hello you"
    assert end_of(chunks).finish == "stop"
    assert {type(chunk) for chunk in chunks[:-1]} == {Text}


def test_the_first_piece_is_there_before_the_last_one_is_said(rig: Rig) -> None:
    rig.plays(stall(after=1, for_s=60, text=WORDS))
    chunks = rig.open()
    first = next(chunk for chunk in chunks if not isinstance(chunk, Heartbeat))
    assert first == Text("one ")
    chunks.close()


@pytest.mark.parametrize("delay", ["delay_s", "first_token_delay_s"])
def test_waiting_is_told_by_heartbeats(rig: Rig, delay: str) -> None:
    rig.plays(answer("hi", **{delay: 0.6}))
    chunks = list(rig.open())
    first = next(i for i, chunk in enumerate(chunks) if not isinstance(chunk, Heartbeat))
    assert first >= 2
    assert text_of(chunks) == "hi"


def test_a_pause_within_the_answer_is_told_by_heartbeats(rig: Rig) -> None:
    rig.plays(stall(after=2, for_s=0.8, text=WORDS))
    chunks = list(rig.open())
    first = next(i for i, chunk in enumerate(chunks) if isinstance(chunk, Text))
    assert any(isinstance(chunk, Heartbeat) for chunk in chunks[first:])
    assert text_of(chunks) == WORDS


def test_an_empty_answer_is_only_a_done(rig: Rig) -> None:
    rig.plays(empty())
    assert [type(chunk) for chunk in rig.chat()] == [Done]


def test_thinking_comes_as_such(rig: Rig) -> None:
    rig.plays(answer("four", thinking="two and two"))
    chunks = rig.chat()
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, Thinking)) == "two and two"
    assert text_of(chunks) == "four"


def test_tool_calls_come_whole(rig: Rig) -> None:
    rig.plays(answer(tool_calls=[("get_weather", {"city": "Zürich", "days": 3}), ("sleep", {"note": "z" * 40})]))
    chunks = rig.chat(tools=(WEATHER,))
    calls = [chunk for chunk in chunks if isinstance(chunk, ToolCall)]
    assert [call.name for call in calls] == ["get_weather", "sleep"]
    assert calls[0].arguments == '{"city": "Zürich", "days": 3}'
    assert calls[0].id != calls[1].id
    end_of(chunks)


def test_characters_and_lines_that_are_cut_anywhere_arrive_whole(rig: Rig) -> None:
    text = "ü 🎉 日"
    rig.plays(fragmented(text=text))
    chunks = rig.chat()
    assert text_of(chunks) == text
    end_of(chunks)


def test_the_limit_of_tokens_is_told(rig: Rig) -> None:
    rig.plays(answer(WORDS))
    chunks = rig.chat(sampling=Sampling(max_tokens=3))
    assert text_of(chunks).split() == ["one", "two", "three"]
    assert end_of(chunks).finish == "length"


def test_the_upstreams_own_count_is_passed_on(rig: Rig) -> None:
    rig.plays(answer("one two three"))
    usage = end_of(rig.chat("what is this")).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (3, 3, False)


def test_no_count_is_never_passed_off_as_one(rig: Rig) -> None:
    rig.plays(answer("one two three", usage=None))
    usage = end_of(rig.chat()).usage
    assert usage is None or usage.estimated


# What the upstream gets


def test_the_conversation_arrives_turn_by_turn(rig: Rig) -> None:
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Why?")]
    rig.chat(messages=tuple(Message(role, (Text(text),)) for role, text in turns))  # type: ignore[arg-type]
    assert [(turn["role"], turn["content"]) for turn in rig.body["messages"]] == turns
    assert rig.body["model"] == MODEL


def test_sampling_arrives(rig: Rig) -> None:
    rig.chat(sampling=Sampling(temperature=0.5, top_p=0.25, seed=7, presence_penalty=0.5, frequency_penalty=0.25,
                               max_tokens=9, stop=("END", "\n\n")))
    sent = rig.body["options"] if rig.is_ollama else rig.body
    expected = {"temperature": 0.5, "top_p": 0.25, "seed": 7, "presence_penalty": 0.5, "frequency_penalty": 0.25}
    assert {name: sent[name] for name in expected} == expected
    assert sent["stop"] == ["END", "\n\n"]
    assert sent["num_predict" if rig.is_ollama else "max_tokens"] == 9


def test_nothing_is_sampled_in_a_way_nobody_asked_for(rig: Rig) -> None:
    rig.chat()
    sent = rig.body.get("options", {}) if rig.is_ollama else rig.body
    assert not {"temperature", "top_p", "seed", "stop", "max_tokens", "num_predict", "top_k"} & sent.keys()


def test_images_arrive(rig: Rig) -> None:
    chunks = rig.chat(messages=(Message("user", (Text("What is this?"), Image(PNG, "image/png"))),))
    assert "(1 images)" in text_of(chunks)
    content = rig.body["messages"][0]
    url = None if rig.is_ollama else content["content"][1]["image_url"]["url"]
    assert (content["images"] == [PNG]) if rig.is_ollama else (url == f"data:image/png;base64,{PNG}")


def test_tools_and_their_results_arrive(rig: Rig) -> None:
    messages = (
        Message("user", (Text("Weather?"),)),
        Message("assistant", (ToolCall("call_1", "get_weather", '{"city": "Bonn"}'),)),
        Message("tool", (ToolResult("call_1", "get_weather", "sunny"),)),
    )
    chunks = rig.chat(messages=messages, tools=(WEATHER,))
    assert "the tool said: sunny" in text_of(chunks)
    assert rig.body["tools"] == [WEATHER]
    call, result = rig.body["messages"][1]["tool_calls"][0], rig.body["messages"][2]
    arguments: Any = {"city": "Bonn"} if rig.is_ollama else '{"city": "Bonn"}'
    assert (call["id"], call["function"]["name"], call["function"]["arguments"]) == ("call_1", "get_weather", arguments)
    assert (result["role"], result["content"], result["tool_call_id"]) == ("tool", "sunny", "call_1")


@pytest.mark.parametrize("wanted", ["json", {"type": "object", "properties": {"n": {"type": "integer"}}}])
def test_the_format_arrives(rig: Rig, wanted: Any) -> None:
    text = text_of(rig.chat(format=wanted))
    assert text.startswith("{")
    if rig.is_ollama:
        assert rig.body["format"] == wanted
    elif wanted == "json":
        assert rig.body["response_format"] == {"type": "json_object"}
    else:
        assert rig.body["response_format"]["json_schema"]["schema"] == wanted


# What is asked beside the prompt


def test_log_probabilities_come_with_their_text(rig: Rig) -> None:
    rig.plays(answer(chunks=["Hel", "lö"]))
    texts = [chunk for chunk in rig.chat(logprobs=2) if isinstance(chunk, Text)]
    assert text_of(texts) == "Hellö"
    tokens = [token for text in texts for token in text.logprobs]
    assert [(token.token, token.logprob) for token in tokens] == [("Hel", -0.25), ("lö", -0.25)]
    assert [(each.token, each.logprob) for each in tokens[1].top] == [("lö", -0.25), ("other0", -0.5)]
    assert (rig.body["logprobs"], rig.body["top_logprobs"]) == (True, 2)


def test_log_probabilities_may_come_without_others(rig: Rig) -> None:
    rig.plays(answer("yes"))
    (token,) = rig.chat(logprobs=0)[0].logprobs  # type: ignore[union-attr]
    assert (token.token, token.top) == ("yes", ())
    assert rig.body.get("top_logprobs") == (None if rig.is_ollama else 0)


def test_nobody_gets_log_probabilities_who_did_not_ask(rig: Rig) -> None:
    assert all(not chunk.logprobs for chunk in rig.chat() if isinstance(chunk, Text))
    assert not {"logprobs", "top_logprobs", "logit_bias"} & rig.body.keys()


def test_a_bias_arrives_or_is_told_to_be_ignored(rig: Rig) -> None:
    sampling = Sampling(logit_bias={"50256": -100.0, "7": 2.5})
    rig.chat(sampling=sampling)
    told = rig.backend.ignores(ask(sampling=sampling))
    assert told == (("logit_bias",) if rig.is_ollama else ())
    assert rig.body.get("logit_bias") == (None if rig.is_ollama else {"50256": -100.0, "7": 2.5})


def test_a_plain_request_has_nothing_that_could_be_ignored(rig: Rig) -> None:
    assert rig.backend.ignores(ask()) == ()


TWO = (WEATHER, {"type": "function", "function": {"name": "sleep", "parameters": {"type": "object"}}})


@pytest.mark.parametrize(("choice", "offered"), [
    (None, ["get_weather", "sleep"]), ("auto", ["get_weather", "sleep"]), ("required", ["get_weather", "sleep"]),
    ("none", []), ({"type": "function", "function": {"name": "sleep"}}, ["sleep"]),
])
def test_the_choice_among_the_tools_is_passed_on_or_kept_here(rig: Rig, choice: Any, offered: list[str]) -> None:
    rig.plays(answer("Good night.") if choice == "none" else answer(tool_calls=[("sleep", {})]))
    rig.chat(tools=TWO, tool_choice=choice)
    if rig.is_ollama:
        assert [tool["function"]["name"] for tool in rig.body.get("tools", ())] == offered
    else:
        assert (len(rig.body["tools"]), rig.body.get("tool_choice")) == (2, choice)
    assert len(rig.asked) == 1


@pytest.mark.parametrize(("may_be_parallel", "names"), [(None, ["sleep", "get_weather"]), (False, ["sleep"])])
def test_one_call_at_a_time_is_one_call(rig: Rig, may_be_parallel: bool | None, names: list[str]) -> None:
    rig.plays(answer(tool_calls=[("sleep", {}), ("get_weather", {"city": "Bonn"})]))
    chunks = rig.chat(tools=TWO, parallel_tool_calls=may_be_parallel)
    assert [chunk.name for chunk in chunks if isinstance(chunk, ToolCall)] == names
    end_of(chunks)


def test_calls_without_ids_arrive_with_their_results(rig: Rig) -> None:
    """Ollama's clients, and those from before there were tools, leave the ids out."""
    messages = (
        Message("user", (Text("Weather?"),)),
        Message("assistant", (ToolCall("", "get_weather", "{}"), ToolCall("", "sleep", "{}"))),
        Message("tool", (ToolResult("", "sleep", "slept"),)),
        Message("tool", (ToolResult("", "get_weather", "sunny"),)),
    )
    rig.chat(messages=messages, tools=TWO)
    calls = {call["id"]: call["function"]["name"] for call in rig.body["messages"][1]["tool_calls"]}
    if rig.is_ollama:
        assert [turn["tool_name"] for turn in rig.body["messages"][2:]] == ["sleep", "get_weather"]
    else:
        assert [calls[turn["tool_call_id"]] for turn in rig.body["messages"][2:]] == ["sleep", "get_weather"]


# How it fails


@pytest.mark.parametrize(
    ("status", "kind", "is_worth_a_retry"),
    [
        (400, UpstreamRefusal, False), (413, UpstreamRefusal, False), (422, UpstreamRefusal, False),
        (401, UpstreamFailure, False), (402, UpstreamFailure, False), (403, UpstreamFailure, False),
        (404, UpstreamFailure, False), (408, UpstreamFailure, True), (429, UpstreamFailure, True),
        (500, UpstreamFailure, True), (502, UpstreamFailure, True), (503, UpstreamFailure, True),
        (504, UpstreamFailure, True), (529, UpstreamFailure, True), (302, UpstreamFailure, False),
    ],
)
def test_a_status_is_told_with_the_upstreams_words(
    rig: Rig, status: int, kind: type[BackendError], is_worth_a_retry: bool
) -> None:
    rig.plays(http_error(status, message="the reason why"))
    with pytest.raises(kind, match="the reason why") as failure:
        rig.chat()
    assert failure.value.is_worth_a_retry is is_worth_a_retry
    if isinstance(failure.value, UpstreamFailure):
        assert failure.value.upstream_status == status
        assert failure.value.reason == f"upstream status {status}"
    else:
        assert failure.value.status == status
    assert len(rig.asked) == 1


@pytest.mark.parametrize(("header", "least_s", "most_s"), [
    ("2", 2, 2), ("1.5", 1.5, 1.5), ("0", 0, 0), ("-3", 0, 0), ("Wed, 21 Oct 2099 07:28:00 GMT", 60, 1e10),
    ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
])
def test_retry_after_is_read_in_both_its_forms(rig: Rig, header: str, least_s: float, most_s: float) -> None:
    rig.plays(http_error(429, headers={"Retry-After": header}))
    with pytest.raises(UpstreamFailure) as failure:
        rig.chat()
    assert failure.value.retry_after_s is not None
    assert least_s <= failure.value.retry_after_s <= most_s


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}])
def test_without_a_readable_retry_after_none_is_made_up(rig: Rig, headers: dict[str, str]) -> None:
    rig.plays(http_error(429, headers=headers))
    with pytest.raises(UpstreamFailure) as failure:
        rig.chat()
    assert failure.value.retry_after_s is None


@pytest.mark.parametrize("message", [
    "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
    "the input length exceeds the context length", "prompt is too long: exceeds the context window",
])
def test_a_prompt_that_is_too_long_has_a_code_of_its_own(rig: Rig, message: str) -> None:
    rig.plays(http_error(400, message=message))
    with pytest.raises(UpstreamRefusal) as refusal:
        rig.chat()
    assert (refusal.value.code, refusal.value.message) == ("context_length_exceeded", message)


def test_a_refused_connection_is_unreachable(rig: Rig) -> None:
    rig.upstream.stop()
    with pytest.raises(Unreachable) as failure:
        rig.chat()
    assert failure.value.is_worth_a_retry is False


@pytest.mark.parametrize("step", [reset(), hang_up()], ids=["reset", "hang-up"])
def test_a_connection_lost_before_any_byte_may_be_tried_again(rig: Rig, step: Step) -> None:
    rig.plays(step, step, step, answer("fine"))
    rig.upstream.drop_connections()  # a used one would be replaced without a word
    with pytest.raises(BrokenStream) as failure:
        rig.chat()
    assert failure.value.is_worth_a_retry
    assert len(rig.asked) == 1


@pytest.mark.parametrize("how", [{}, {"clean": True}, {"torn": True}, {"torn": True, "clean": True},
                                 {"with_reset": True}])
def test_an_answer_that_dies_is_never_a_whole_one(rig: Rig, how: dict[str, bool]) -> None:
    rig.plays(cut(after=3, text=WORDS, **how))
    chunks = rig.open()
    got: list[Any] = []
    with pytest.raises(BrokenStream):
        got.extend(chunks)  # extend keeps what came before the error
    assert not any(isinstance(chunk, Done) for chunk in got)
    assert WORDS.startswith(text_of(got).strip())


def test_an_unreadable_chunk_beside_an_answer_that_is_whole_costs_nothing(rig: Rig) -> None:
    rig.plays(invalid_chunk(at=2, text=WORDS))
    chunks = rig.chat()
    assert text_of(chunks) == WORDS
    assert end_of(chunks).usage is not None


def test_an_answer_without_its_last_mark_ends_as_each_protocol_says(rig: Rig) -> None:
    rig.plays(no_done(text=WORDS))
    if rig.is_ollama:  # there the mark carries the finish itself
        with pytest.raises(BrokenStream):
            rig.chat()
        return
    chunks = rig.chat()
    assert text_of(chunks) == WORDS
    usage = end_of(chunks).usage
    assert usage is not None
    assert usage.completion_tokens == 6


@pytest.mark.parametrize("after", [0, 2])
def test_an_error_told_with_200_is_an_error(rig: Rig, after: int) -> None:
    rig.plays(error_line(after=after, text=WORDS, message="out of memory"))
    with pytest.raises(UpstreamFailure, match="out of memory") as failure:
        rig.chat()
    assert failure.value.is_worth_a_retry


HOSTILE = [
    b"", b"\n", b"\x00\xff\xfe\n", b"null\n", b"[]\n", b"42\n", b'"text"\n', b"{}\n", b'{"done": true}\n',
    b'{"message": 5, "done": true}\n', b'{"message": {"content": {"a": 1}}, "done": true}\n',
    b'{"error": {"a": ["b"]}}\n', b'{"error": ""}\n', b'{"message": {"tool_calls": [{}]}, "done": true}\n',
    b"[" * 100_000 + b"\n", b"data: []\n\n", b"data: {}\n\n", b"data: 5\n\n", b"data:\n\n", b": hello\n\n",
    b'data: {"choices": 5}\n\n', b'data: {"choices": [5]}\n\n', b'data: {"choices": [{"delta": null}]}\n\n',
    b'data: {"choices": [{"delta": {"content": 5}, "finish_reason": 7}]}\n\n', b"data: [DONE]\n\n",
    b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0}]}, "finish_reason": "stop"}]}\n\n',
    b'data: {"error": null}\n\n', b'data: {"error": "flat"}\n\n', b'data: {"usage": {}}\n\n',
    b"<html>502</html>",
]


@pytest.mark.parametrize("body", HOSTILE, ids=[repr(body[:40]) for body in HOSTILE])
@pytest.mark.parametrize("media_type", ["text/event-stream", "text/html"])
def test_nonsense_is_a_backend_error_or_no_answer(rig: Rig, body: bytes, media_type: str) -> None:
    rig.plays(garbage(body, media_type=media_type))
    try:
        chunks = rig.chat()
    except BackendError:
        return
    end_of(chunks)
    assert not text_of(chunks)


STRANGE = [b"", b"\x00\xff", b"[1]", b'{"error": 5}', b'{"error": {"message": [1]}}', b"{" * 9999]


@pytest.mark.parametrize("body", STRANGE, ids=[repr(body[:30]) for body in STRANGE])
@pytest.mark.parametrize("status", [400, 500])
def test_a_strange_error_body_is_still_a_backend_error(rig: Rig, body: bytes, status: int) -> None:
    rig.plays(http_error(status, body.decode("latin-1")))
    with pytest.raises(UpstreamRefusal if status == 400 else UpstreamFailure):
        rig.chat()


def test_an_unusable_answer_may_be_tried_again(rig: Rig) -> None:
    rig.plays(garbage())
    with pytest.raises((BadAnswer, BrokenStream)) as failure:
        rig.chat()
    assert failure.value.is_worth_a_retry


# Leaving


@pytest.mark.parametrize("step", [hang(), headers_then_hang()], ids=["no head", "head only"])
def test_closing_stops_a_silent_upstream(rig: Rig, step: Step) -> None:
    rig.plays(step)
    chunks = opened_and_silent(rig)
    assert isinstance(next(chunks), Heartbeat)
    chunks.close()
    rig.asked[0].wait_until_over(GUARD_S)
    assert rig.asked[0].closed_early_at is not None


def test_closing_stops_a_speaking_upstream(rig: Rig) -> None:
    rig.plays(endless(interval_s=0.01))
    chunks = rig.open()
    while not isinstance(next(chunks), Text):
        pass
    left = time.monotonic()
    chunks.close()
    rig.asked[0].wait_until_over(GUARD_S)
    assert rig.asked[0].closed_early_at is not None
    assert rig.asked[0].closed_early_at - left < 2.0


def test_closing_at_once_is_harmless(rig: Rig) -> None:
    rig.plays(answer("fine"))
    rig.open().close()
    assert text_of(rig.chat()) == "fine"


def test_after_each_fault_the_next_call_is_well(rig: Rig) -> None:
    faults = [http_error(500), reset(), cut(after=1, text=WORDS), garbage(), error_line(after=1, text=WORDS)]
    for fault in faults:
        rig.plays(fault, answer("well"))
        rig.upstream.drop_connections()
        with pytest.raises(BackendError):
            rig.chat()
        assert text_of(rig.chat()) == "well"


# Many at once


def test_calls_at_the_same_time_do_not_mix(rig: Rig) -> None:
    rig.plays(answer(chunk_delay_s=0.01))

    def once(number: int) -> bool:
        return text_of(rig.chat(f"number {number}")).endswith(f"] you said: number {number}")

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(once, range(48)))


def test_a_connection_that_was_closed_meanwhile_is_replaced_without_a_word(rig: Rig) -> None:
    rig.chat()
    rig.upstream.drop_connections()
    assert text_of(rig.chat("again")).endswith("again")
    assert len(rig.asked) == 2


def test_calls_one_after_another_share_a_connection(rig: Rig) -> None:
    for _ in range(4):
        rig.chat()
    assert len({request.connection for request in rig.asked}) == 1


# The ones without an upstream

HERE: list[Callable[[], Backend]] = [Echo, Builtin]


@pytest.mark.parametrize("make", HERE)
def test_what_answers_by_itself_keeps_the_order_too(make: Callable[[], Backend]) -> None:
    chunks = said(make().chat(ask("Say it again")))
    assert text_of(chunks)
    assert end_of(chunks).usage is not None
    half = make().chat(ask("Say it again"))
    assert isinstance(next(half), Text)
    half.close()


def test_echo_says_what_it_was_asked() -> None:
    chunks = said(Echo().chat(ask("  two  spaces ")))
    assert text_of(chunks) == "  two  spaces "
    assert end_of(said(Echo().chat(ask("a b c", sampling=Sampling(max_tokens=2))))).finish == "length"


def test_an_absent_engine_says_what_to_do_at_the_first_pull() -> None:
    chunks = Absent("run `./setup.sh --with local`", reason="not installed").chat(ask())
    with pytest.raises(NotReady, match="setup.sh") as failure:
        next(chunks)
    assert failure.value.reason == "not installed"
    assert failure.value.is_worth_a_retry is False


@pytest.mark.parametrize("make", [*HERE, lambda: Absent("x", reason="y")])
def test_all_know_their_limits(make: Callable[[], Backend]) -> None:
    backend = make()
    assert backend.routes == 1
    assert backend.first_token_limit_s(ask()) > 0
    assert backend.idle_limit_s(MODEL) > 0
    assert backend.context_tokens(MODEL) == 0
    assert backend.misfit(ask()) == ""
