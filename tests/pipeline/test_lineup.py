"""Who may answer, in which order, and what each of them is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from moe.backends.echo import Echo
from moe.core import ChatRequest, Completion, Decision, Image, Message, Sampling, Text
from moe.experts import Expert
from moe.pipeline.breaker import Breaker
from moe.pipeline.lineup import Lineup, prepare, raw_expert

USER = Message("user", (Text("Hello"),))


def expert(label: str, number: int = 1, **fields: Any) -> Expert:
    return Expert(**{"id": number, "label": label, "model_name": f"{label}-model", **fields})


class Away(Echo):
    """A way that leads off the user's machines."""

    def is_remote(self, model: str) -> bool:
        return True


def lineup(*experts: Expert, stand_ins: Iterable[str] = ()) -> Lineup:
    ways = {each.label: Away() if each.type == "api" else Echo() for each in experts}
    return Lineup(
        {each.label: each for each in experts}, ways, raw=Echo(),
        model_of=lambda each, fresh=True: each.model_name, stand_ins=lambda: list(stand_ins),
        new_breaker=lambda: Breaker(failures=3, cooldown_s=10, clock=lambda: 0.0),
    )


def order(lineup: Lineup, origin: Expert, *, model: str = "") -> list[str]:
    decision = Decision(expert=origin, stage="keyword", confidence=1.0, model=model)
    return [candidate.expert.label for candidate in lineup.candidates(decision)]


# The order


FALLBACK = expert("fallback", 0)


def test_the_expert_then_its_fallbacks_then_the_fallback_then_any_model() -> None:
    first, second, third = (expert("a", 1, fallback="b"), expert("b", 2, fallback="c"), expert("c", 3))
    team = lineup(first, second, third, FALLBACK, expert("other", 4), stand_ins=["x:1b", "y:2b"])
    assert order(team, first) == ["a", "b", "c", "fallback", "x:1b", "y:2b"]
    assert order(team, FALLBACK) == ["fallback", "x:1b", "y:2b"]


def test_fallbacks_in_a_circle_end() -> None:
    first, second = expert("a", 1, fallback="b"), expert("b", 2, fallback="a")
    assert order(lineup(first, second, FALLBACK), first) == ["a", "b", "fallback"]


def test_a_raw_model_comes_first_and_not_twice() -> None:
    team = lineup(FALLBACK, stand_ins=["x:1b", "y:2b"])
    assert order(team, raw_expert("y:2b"), model="y:2b") == ["y:2b", "fallback", "x:1b"]


@pytest.mark.parametrize(("local_allows", "cloud_allows", "crosses"), [
    (False, False, False), (True, False, True), (False, True, True),
])
def test_a_local_prompt_reaches_an_api_only_with_permission(
    local_allows: bool, cloud_allows: bool, crosses: bool
) -> None:
    local = expert("local", 1, fallback="cloud", allow_cloud=local_allows)
    cloud = expert("cloud", 2, type="api", fallback="house", allow_cloud=cloud_allows)
    house = expert("house", 3)
    labels = order(lineup(local, cloud, house, FALLBACK), local)
    assert labels == ["local", *(["cloud"] if crosses else []), "house", "fallback"]


def test_a_raw_model_never_ends_in_a_cloud_either() -> None:
    cloud = expert("fallback", 0, type="api")
    assert order(lineup(cloud), raw_expert("x:1b"), model="x:1b") == ["x:1b"]


def test_a_model_that_ollama_runs_in_its_cloud_is_no_fallback_for_a_local_prompt() -> None:
    local, cloudy = expert("local", 1, fallback="cloudy"), expert("cloudy", 2)
    backends = {"local": Echo(), "cloudy": Away(), "fallback": Echo()}
    team = Lineup(
        {each.label: each for each in (local, cloudy, FALLBACK)}, backends, raw=Echo(),
        model_of=lambda each, fresh=True: each.model_name, stand_ins=list,
        new_breaker=lambda: Breaker(failures=3, cooldown_s=10, clock=lambda: 0.0),
    )
    assert order(team, local) == ["local", "fallback"]
    assert order(team, cloudy) == ["cloudy", "fallback"]


def test_an_api_may_be_followed_by_anybody() -> None:
    cloud, other = expert("a", 1, type="api", fallback="b"), expert("b", 2, type="api", fallback="c")
    house = expert("c", 3)
    assert order(lineup(cloud, other, house, FALLBACK), cloud) == ["a", "b", "c", "fallback"]


def test_on_a_way_through_local_experts_it_is_the_first_whose_permission_counts() -> None:
    first, middle = expert("a", 1, fallback="b"), expert("b", 2, fallback="cloud", allow_cloud=True)
    team = lineup(first, middle, expert("cloud", 3, type="api"), FALLBACK)
    assert order(team, first) == ["a", "b", "fallback"]
    assert order(team, middle) == ["b", "cloud", "fallback"]


def test_models_are_looked_for_only_when_the_experts_have_had_their_turn() -> None:
    looked: list[str] = []

    def look() -> Iterator[str]:
        looked.append("now")
        yield "x:1b"

    line = lineup(FALLBACK, stand_ins=look()).candidates(Decision(expert=FALLBACK, stage="fallback", confidence=1.0))
    assert next(line).expert is FALLBACK
    assert not looked
    assert [candidate.expert.label for candidate in line] == ["x:1b"]
    assert looked


def test_each_comes_with_its_own_way_its_model_and_its_breaker() -> None:
    first = expert("a", 1)
    team = lineup(first, FALLBACK, stand_ins=["x:1b"])
    line = list(team.candidates(Decision(expert=first, stage="keyword", confidence=1.0)))
    assert [candidate.model for candidate in line] == ["a-model", "fallback-model", "x:1b"]
    assert len({id(candidate.backend) for candidate in line}) == 3
    assert [candidate.breaker for candidate in line] == [team.breaker(name) for name in ("a", "fallback", "x:1b")]


def test_a_model_asked_for_by_its_own_name_has_no_stand_in() -> None:
    decision = Decision(expert=raw_expert("X:1b"), stage="raw", confidence=1.0, model="x:1b")
    assert [candidate.model for candidate in lineup(FALLBACK).candidates(decision)] == ["x:1b"]


def test_a_settled_model_holds_for_its_own_expert_only() -> None:
    decision = Decision(expert=raw_expert("X:1b"), stage="raw", confidence=1.0, model="x:1b", virtual=True)
    models = [candidate.model for candidate in lineup(FALLBACK).candidates(decision)]
    assert models == ["x:1b", "fallback-model"]


def test_health_says_what_it_is_and_whether_it_can_answer() -> None:
    math = expert("math", 1, tier=2, keywords=("sum", "root"))
    assert lineup(math, FALLBACK).health(math) == {
        "type": "ollama", "tier": 2, "keywords": 2, "model": "math-model", "available": True}


def test_each_name_has_one_breaker() -> None:
    team = lineup(FALLBACK)
    assert team.breaker("fallback") is team.breaker("fallback")
    assert team.breaker("x:1b") is team.breaker("x:1b")
    assert team.breaker("x:1b") is not team.breaker("fallback")


def test_all_names_of_the_same_model_in_the_same_place_share_a_breaker() -> None:
    one, other, far = expert("a", 1, model_name="m"), expert("b", 2, model_name="m"), expert("c", 3, model_name="m")
    team_of = (one, other, far)
    places = {"a": "here", "b": "here", "c": "there", "m": "here", "x": "here"}
    team = Lineup(
        {each.label: each for each in team_of}, {each.label: Echo() for each in team_of}, raw=Echo(),
        model_of=lambda each, fresh=True: each.model_name, stand_ins=lambda: ["m", "x"],
        new_breaker=lambda: Breaker(failures=1, cooldown_s=10, clock=lambda: 0.0),
        place_of=lambda each, model: places[each.label],
    )
    line = {candidate.expert.label: candidate for candidate in
            team.candidates(Decision(expert=one, stage="keyword", confidence=1.0))}
    line["a"].breaker.fail()
    assert {label: candidate.breaker.admit() for label, candidate in line.items()} == {
        "a": False, "m": False, "x": True}
    assert {label: team.breaker(label).state for label in "abcmx"} == {
        "a": "open", "b": "open", "c": "closed", "m": "open", "x": "closed"}


# What it is given


def asked(**fields: Any) -> ChatRequest:
    return ChatRequest(**{"model": "lemoe", "messages": (USER,), **fields})


def texts(request: ChatRequest) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.messages]


def test_the_model_is_the_upstreams() -> None:
    assert prepare(asked(), expert("a"), "gemma3:27b").model == "gemma3:27b"


def test_the_experts_prompt_goes_ahead() -> None:
    assert texts(prepare(asked(), expert("a", system_prompt="Be wise."), "m")) == [
        ("system", "Be wise."), ("user", "Hello"),
    ]


@pytest.mark.parametrize(("mode", "first"), [("replace", "Be mine."), ("prepend", "Be wise.\n\nBe mine.")])
def test_a_clients_own_system_message_replaces_or_follows_it(mode: Any, first: str) -> None:
    own = asked(messages=(Message("system", (Text("Be mine."),)), USER))
    prepared = prepare(own, expert("a", system_prompt="Be wise.", system_prompt_mode=mode), "m")
    assert texts(prepared) == [("system", first), ("user", "Hello")]


def test_prepended_it_stands_first_wherever_the_clients_stood() -> None:
    late = asked(messages=(USER, Message("system", (Text("Be mine."),)), Message("system", (Text("And short."),))))
    prepared = prepare(late, expert("a", system_prompt="Be wise.", system_prompt_mode="prepend"), "m")
    assert texts(prepared) == [("system", "Be wise.\n\nBe mine."), ("user", "Hello"), ("system", "And short.")]


def test_nothing_is_added_where_there_is_no_conversation() -> None:
    wise = expert("a", system_prompt="Be wise.")
    assert prepare(asked(messages=()), wise, "m").messages == ()
    bare = asked(messages=(), completion=Completion(prompt="def f("))
    assert prepare(bare, wise, "m").messages == ()


def test_the_pictures_stay_where_they_are() -> None:
    seen = asked(messages=(Message("user", (Text("?"), Image("QUJD"))),))
    assert prepare(seen, expert("a", system_prompt="See."), "m").messages[1] is seen.messages[0]


def test_the_experts_defaults_fill_in_what_the_client_left_open() -> None:
    defaults = {"temperature": 0.1, "top_k": 7, "num_ctx": 9000, "mirostat": 1, "stop": "END", "num_predict": 50}
    prepared = prepare(asked(sampling=Sampling(temperature=0.9, options={"mirostat": 2})),
                       expert("a", options=defaults), "m").sampling
    assert (prepared.temperature, prepared.top_k, prepared.stop, prepared.max_tokens) == (0.9, 7, ("END",), 50)
    assert prepared.options == {"num_ctx": 9000, "mirostat": 2}


def test_a_zero_of_the_client_is_no_open_question() -> None:
    sampling = Sampling(temperature=0.0, seed=0, max_tokens=1, stop=("a",))
    prepared = prepare(asked(sampling=sampling), expert(
        "a", options={"temperature": 1.0, "seed": 5, "stop": ["b"], "num_predict": 9}, max_tokens=8), "m").sampling
    assert (prepared.temperature, prepared.seed, prepared.max_tokens, prepared.stop) == (0.0, 0, 1, ("a",))


@pytest.mark.parametrize(("options", "max_tokens", "limit"), [
    ({"num_predict": 50}, 20, 20), ({"num_predict": -1}, None, None), ({"num_predict": "x"}, None, None),
    ({}, 20, 20), ({"num_predict": None}, None, None),
])
def test_the_limit_of_tokens_comes_from_the_expert(options: dict[str, Any], max_tokens: Any, limit: Any) -> None:
    assert prepare(asked(), expert("a", options=options, max_tokens=max_tokens), "m").sampling.max_tokens == limit


@pytest.mark.parametrize("fields", [{"max_tokens": 20}, {"options": {"num_predict": 20}}])
def test_no_limit_of_the_client_is_no_open_question(fields: dict[str, Any]) -> None:
    unlimited = Sampling(options={"num_predict": -1})
    prepared = prepare(asked(sampling=unlimited), expert("a", **fields), "m").sampling
    assert (prepared.max_tokens, prepared.options) == (None, {"num_predict": -1})


def test_keep_alive_of_the_client_comes_first() -> None:
    assert prepare(asked(), expert("a", keep_alive="5m"), "m").keep_alive == "5m"
    assert prepare(asked(keep_alive=0), expert("a", keep_alive="5m"), "m").keep_alive == 0


def test_what_the_client_sent_is_not_changed_in_place() -> None:
    request = asked(sampling=Sampling(options={"a": 1}))
    prepare(request, expert("a", options={"b": 2}, system_prompt="x"), "m")
    assert request.sampling.options == {"a": 1}
    assert request.messages == (USER,)
