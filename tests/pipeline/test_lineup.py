"""Who stands in for whom, in what order, and how a request is dressed for each."""

from __future__ import annotations

import time
from typing import Any

import pytest

from moe.backends.builtin import Builtin
from moe.backends.echo import Echo
from moe.core import ChatRequest, Completion, Decision, Expert, Message, Sampling, Text
from moe.pipeline.breaker import Breaker
from moe.pipeline.lineup import Lineup, prepare, raw_expert

FALLBACK = Expert(id=0, label="fallback", model_name="general:4b")


def lineup_of(*experts: Expert, stand_ins: tuple[str, ...] = (), raw: Echo | None = None) -> Lineup:
    def name_model(expert: Expert, *, fresh: bool = True) -> str:
        return expert.model_name

    return Lineup(
        {expert.label: expert for expert in experts}, {expert.label: Echo() for expert in experts},
        raw=raw or Echo(), model_of=name_model, stand_ins=lambda: list(stand_ins),
        new_breaker=lambda: Breaker(failures=3, cooldown_s=10, clock=time.monotonic),
    )


def order(lineup: Lineup, expert: Expert, *, model: str = "") -> list[str]:
    decision = Decision(expert=expert, stage="explicit", confidence=1.0, model=model)
    return [candidate.expert.label for candidate in lineup.candidates(decision)]


# The order


def test_the_chain_comes_before_the_fallback_and_that_before_the_stand_ins() -> None:
    math = Expert(id=1, label="math", fallback="science")
    science = Expert(id=2, label="science", fallback="code")
    code = Expert(id=3, label="code")
    other = Expert(id=4, label="other")
    lineup = lineup_of(FALLBACK, math, science, code, other, stand_ins=("loaded:1b", "spare:1b"))
    assert order(lineup, math) == ["math", "science", "code", "fallback", "loaded:1b", "spare:1b"]
    assert order(lineup, FALLBACK) == ["fallback", "loaded:1b", "spare:1b"]


@pytest.mark.parametrize("back", ["one", "two", "fallback", "", "nobody"])
def test_a_circle_or_a_loose_end_of_fallbacks_ends(back: str) -> None:
    one, two = Expert(id=1, label="one", fallback="two"), Expert(id=2, label="two", fallback=back)
    assert order(lineup_of(FALLBACK, one, two), one) == ["one", "two", "fallback"]


def test_a_name_stands_in_line_once() -> None:
    named_like_a_model = Expert(id=1, label="general:4b", fallback="fallback")
    lineup = lineup_of(FALLBACK, named_like_a_model, stand_ins=("general:4b", "general:4b", "new:1b"))
    assert order(lineup, named_like_a_model) == ["general:4b", "fallback", "new:1b"]


def test_stand_ins_are_asked_for_only_when_the_experts_have_failed() -> None:
    lineup = lineup_of(FALLBACK, stand_ins=("spare:1b",))
    lineup._stand_ins = lambda: pytest.fail("asked too early")
    line = lineup.candidates(Decision(expert=FALLBACK, stage="fallback", confidence=1.0))
    assert next(line).expert is FALLBACK


def test_each_comes_with_its_own_backend_model_and_breaker() -> None:
    raw = Echo()
    math = Expert(id=1, label="math", model_name="phi4:14b")
    lineup = lineup_of(FALLBACK, math, stand_ins=("spare:1b",), raw=raw)
    line = list(lineup.candidates(Decision(expert=math, stage="explicit", confidence=1.0)))
    assert [candidate.model for candidate in line] == ["phi4:14b", "general:4b", "spare:1b"]
    assert len({id(candidate.backend) for candidate in line}) == len({id(candidate.breaker) for candidate in line}) == 3
    assert line[2].backend is raw
    assert [candidate.breaker for candidate in line] == [
        lineup.breaker("math"), lineup.breaker("fallback"), lineup.breaker("spare:1b")]


def test_a_model_settled_by_the_decision_holds_for_its_own_expert_only() -> None:
    raw = raw_expert("Some:7b")
    decision = Decision(expert=raw, stage="raw", confidence=1.0, model="some:7b")
    line = list(lineup_of(FALLBACK).candidates(decision))
    assert [(candidate.expert.label, candidate.model) for candidate in line] == [
        ("Some:7b", "some:7b"), ("fallback", "general:4b")]


# Where a prompt may go

CLOUD = Expert(id=1, label="cloud", type="api", model_name="gpt")
OPEN_CLOUD = Expert(id=2, label="open", type="api", model_name="gpt", allow_cloud=True)


def test_a_local_prompt_never_reaches_an_api_by_itself() -> None:
    local = Expert(id=3, label="local", fallback="cloud")
    assert order(lineup_of(FALLBACK, CLOUD, local), local) == ["local", "fallback"]


def test_beyond_an_api_that_is_left_out_the_chain_goes_on() -> None:
    local = Expert(id=3, label="local", fallback="cloud")
    cloud, last = Expert(id=1, label="cloud", type="api", fallback="last"), Expert(id=4, label="last")
    assert order(lineup_of(FALLBACK, cloud, last, local), local) == ["local", "last", "fallback"]


@pytest.mark.parametrize(("origin_allows", "target"), [(True, CLOUD), (False, OPEN_CLOUD)])
def test_it_does_where_one_of_the_two_allows_it(origin_allows: bool, target: Expert) -> None:
    local = Expert(id=3, label="local", fallback=target.label, allow_cloud=origin_allows)
    assert order(lineup_of(FALLBACK, target, local), local) == ["local", target.label, "fallback"]


def test_an_api_that_is_the_fallback_expert_is_no_exception() -> None:
    fallback = Expert(id=0, label="fallback", type="api", model_name="gpt")
    local = Expert(id=1, label="local")
    assert order(lineup_of(fallback, local, stand_ins=("spare:1b",)), local) == ["local", "spare:1b"]
    assert order(lineup_of(fallback, local, stand_ins=("spare:1b",)), fallback) == ["fallback", "spare:1b"]


def test_an_api_may_be_followed_by_an_api() -> None:
    first = Expert(id=3, label="first", type="api", fallback="cloud")
    assert order(lineup_of(FALLBACK, CLOUD, first), first) == ["first", "cloud", "fallback"]


def test_on_a_way_through_local_experts_the_first_one_decides() -> None:
    origin = Expert(id=3, label="origin", fallback="middle")
    middle = Expert(id=4, label="middle", fallback="cloud", allow_cloud=True)
    assert order(lineup_of(FALLBACK, CLOUD, origin, middle), origin) == ["origin", "middle", "fallback"]


# Health


def test_health_says_what_it_is_and_whether_it_can_answer() -> None:
    math = Expert(id=1, label="math", tier=2, keywords=("sum", "root"), model_name="phi4:14b")
    assert lineup_of(FALLBACK, math).health(math) == {
        "type": "ollama", "tier": 2, "keywords": 2, "model": "phi4:14b", "available": True}


def test_the_builtin_is_not_in_the_line() -> None:
    assert isinstance(lineup_of(FALLBACK).builtin, Builtin)
    assert order(lineup_of(FALLBACK), FALLBACK) == ["fallback"]


# How a request is dressed


def chat(*turns: tuple[str, str], **fields: Any) -> ChatRequest:
    messages = tuple(Message(role, (Text(text),)) for role, text in turns)  # type: ignore[arg-type]
    return ChatRequest(**{"model": "lemoe", "messages": messages, **fields})


def turns_of(request: ChatRequest) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.messages]


def with_prompt(mode: str = "replace") -> Expert:
    return Expert(id=1, label="poet", system_prompt="You are a poet.", system_prompt_mode=mode)  # type: ignore[arg-type]


def test_the_model_is_the_upstreams_name() -> None:
    assert prepare(chat(("user", "hi")), FALLBACK, "general:4b").model == "general:4b"


def test_a_plain_expert_changes_nothing_else() -> None:
    request = chat(("user", "hi"), sampling=Sampling(temperature=0.5), keep_alive="5m")
    assert prepare(request, FALLBACK, request.model) == request


@pytest.mark.parametrize("mode", ["replace", "prepend"])
def test_without_a_system_message_the_experts_own_comes_first(mode: str) -> None:
    prepared = prepare(chat(("user", "hi"), ("assistant", "ho"), ("user", "rhyme")), with_prompt(mode), "m")
    assert turns_of(prepared) == [
        ("system", "You are a poet."), ("user", "hi"), ("assistant", "ho"), ("user", "rhyme")]


def test_a_clients_system_message_replaces_it() -> None:
    request = chat(("system", "Be brief."), ("user", "hi"))
    assert turns_of(prepare(request, with_prompt(), "m")) == [("system", "Be brief."), ("user", "hi")]


def test_a_clients_system_message_follows_it_where_that_is_wanted() -> None:
    request = chat(("system", "Be brief."), ("user", "hi"), ("system", "Now be long."))
    assert turns_of(prepare(request, with_prompt("prepend"), "m")) == [
        ("system", "You are a poet.\n\nBe brief."), ("user", "hi"), ("system", "Now be long.")]


def test_what_only_loads_or_completes_gets_no_system_message() -> None:
    assert prepare(ChatRequest(keep_alive=0), with_prompt(), "m").only_loads
    bare = ChatRequest(completion=Completion(prompt="def f(", raw=True))
    assert prepare(bare, with_prompt(), "m").messages == ()


def test_the_same_system_message_is_not_laid_on_twice() -> None:
    request = chat(("user", "hi"))
    prepare(request, with_prompt("prepend"), "m")
    assert turns_of(request) == [("user", "hi")]


def test_the_experts_sampling_lies_under_the_clients() -> None:
    expert = Expert(id=1, label="e", options={"temperature": 0.1, "top_p": 0.2, "seed": 3, "top_k": 4, "min_p": 0.5})
    sampling = prepare(chat(("user", "hi"), sampling=Sampling(temperature=0.0, seed=9)), expert, "m").sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed, sampling.top_k, sampling.min_p) == (
        0.0, 0.2, 9, 4, 0.5)
    assert sampling.options == {}


def test_an_engines_own_options_are_merged_the_clients_on_top() -> None:
    expert = Expert(id=1, label="e", options={"num_ctx": 8192, "mirostat": 1, "num_gpu": None})
    sampling = prepare(chat(("user", "hi"), sampling=Sampling(options={"mirostat": 2})), expert, "m").sampling
    assert sampling.options == {"num_ctx": 8192, "mirostat": 2}


@pytest.mark.parametrize(
    ("asked", "max_tokens", "num_predict", "expected"),
    [
        (None, None, None, None), (None, 50, None, 50), (None, None, 60, 60), (None, 50, 60, 50), (7, 50, 60, 7),
        (None, None, -1, None), (None, None, -2, None), (900, 50, None, 900),
    ],
)
def test_the_limit_of_tokens_is_the_clients_else_the_experts(
    asked: int | None, max_tokens: int | None, num_predict: int | None, expected: int | None
) -> None:
    options = {} if num_predict is None else {"num_predict": num_predict}
    expert = Expert(id=1, label="e", options=options, max_tokens=max_tokens)
    sampling = prepare(chat(("user", "hi"), sampling=Sampling(max_tokens=asked)), expert, "m").sampling
    assert sampling.max_tokens == expected
    assert "num_predict" not in sampling.options


@pytest.mark.parametrize(
    ("asked", "default", "expected"),
    [((), "END", ("END",)), ((), ["A", "B"], ("A", "B")), (("MINE",), ["A"], ("MINE",)), ((), None, ())],
)
def test_the_stops_are_the_clients_else_the_experts(asked: Any, default: Any, expected: tuple[str, ...]) -> None:
    expert = Expert(id=1, label="e", options={"stop": default})
    assert prepare(chat(("user", "hi"), sampling=Sampling(stop=asked)), expert, "m").sampling.stop == expected


@pytest.mark.parametrize(("asked", "default", "expected"), [(None, "10m", "10m"), (0, "10m", 0), (None, None, None)])
def test_the_time_in_memory_is_the_clients_else_the_experts(asked: Any, default: Any, expected: Any) -> None:
    expert = Expert(id=1, label="e", keep_alive=default)
    assert prepare(chat(("user", "hi"), keep_alive=asked), expert, "m").keep_alive == expected
