"""The rack is simulated as it says, and the fake nodes over sockets agree with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.rack import compare, main
from tests.bench.rack_policies import POLICIES, Informed, Ours, Random, RoundRobin, Sovereign
from tests.bench.rack_simulation import simulate
from tests.bench.rack_sockets import run
from tests.bench.rack_trace import GB, MODELS, RACK, SWITCH_S, Ask, Load, Machine, make_trace

ONE = (Machine("one", 10 * GB, 2, 1e9, 100e9, 1),)
PAIR = (Machine("one", 10 * GB, 2, 1e9, 100e9, 1), Machine("two", 10 * GB, 2, 1e9, 100e9, 1))
SIZES = {"a": 5 * GB, "b": 5 * GB, "c": 6 * GB}
READ_S = SWITCH_S + 120 / 1200


def asked(at_s: float, model: str, *, conversation: int = 0, history: int = 0, tokens: int = 20) -> Ask:
    return Ask(at_s, model, conversation, 0, history, history + 120, tokens)


def test_a_request_waits_for_the_load_the_prompt_and_the_answer() -> None:
    course = simulate(ONE, [asked(0, "a")], Ours(ONE), sizes=SIZES)
    assert course.first_s == [pytest.approx(5 + READ_S)]
    assert course.whole_s == [pytest.approx(5 + READ_S + 1)]
    assert (course.loads, course.swaps, course.loaded_bytes) == (1, 0, 5 * GB)


def test_models_that_fit_beside_each_other_stay_and_those_that_do_not_take_turns() -> None:
    fits = [asked(20.0 * turn, "ab"[turn % 2]) for turn in range(6)]
    assert (course := simulate(ONE, fits, Ours(ONE), sizes=SIZES)).loads == 2 and course.swaps == 0
    thrashes = [asked(20.0 * turn, "ac"[turn % 2]) for turn in range(6)]
    assert (course := simulate(ONE, thrashes, Ours(ONE), sizes=SIZES)).loads == 6 and course.swaps == 5
    assert simulate(PAIR, thrashes, Ours(PAIR), sizes=SIZES).loads == 2


def test_a_prompt_that_was_read_is_not_read_again_until_its_model_has_left() -> None:
    talk = [asked(0, "a", conversation=1), asked(20, "a", conversation=1, history=1200)]
    assert simulate(ONE, talk, Ours(ONE), sizes=SIZES).first_s[1] == pytest.approx(READ_S)
    left = [talk[0], asked(10, "c", conversation=2), talk[1]]
    assert simulate(ONE, left, Ours(ONE), sizes=SIZES).first_s[2] == pytest.approx(5 + READ_S + 1)


def test_only_so_many_are_served_at_a_time() -> None:
    course = simulate(ONE, [asked(0, "a", conversation=number) for number in range(3)], Ours(ONE), sizes=SIZES)
    assert sorted(course.whole_s)[2] == pytest.approx(5 + 2 * (READ_S + 1))


def test_a_model_that_answers_does_not_leave_before_it_is_done() -> None:
    trace = [asked(0, "a", tokens=200), asked(6, "c", conversation=1)]
    course = simulate(ONE, trace, Ours(ONE), sizes=SIZES)
    assert course.first_s[1] == pytest.approx(5 + READ_S + 10 - 6 + 6 + READ_S)


def test_a_model_that_is_larger_than_its_node_is_slow() -> None:
    course = simulate(ONE, [asked(0, "a")], Ours(ONE), sizes={"a": 20 * GB})
    assert course.whole_s == [pytest.approx(20 + SWITCH_S + 1 + 40)]


def test_a_trace_is_the_same_each_time_and_another_with_another_seed() -> None:
    load = Load(600, 0.1, 0.01, 20.0)
    one, again, other = (make_trace(list(MODELS), load, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert all(0 <= ask.at_s < 600 for ask in one) and one == sorted(one)
    assert {ask.model for ask in one} <= set(MODELS)
    assert any(ask.history for ask in one)


@pytest.mark.parametrize("name", POLICIES)
def test_every_rule_serves_every_request(name: str) -> None:
    trace = make_trace(list(MODELS), Load(600, 0.05, 0.004, 20.0), seed=3)
    went: list[str] = []
    course = simulate(RACK, trace, POLICIES[name](RACK), sizes={each: size * GB for each, size in MODELS.items()},
                      note=lambda _, node: went.append(node))
    assert len(course.whole_s) == len(trace) == len(went)
    assert all(first < whole for first, whole in zip(course.first_s, course.whole_s, strict=True))


def sent(policy: type[Sovereign] | type[RoundRobin], *asks: Ask, size: int = 80) -> list[str]:
    went: list[str] = []
    simulate(RACK, asks, policy(RACK), sizes=dict.fromkeys((ask.model for ask in asks), size * GB),
             note=lambda _, node: went.append(node))
    return went


def test_the_other_rules_are_what_they_are_called() -> None:
    turns = [asked(100.0 * turn, "x:70b", conversation=turn) for turn in range(6)]
    assert sent(RoundRobin, *turns) == ["large-2", "huge", "large-1"] * 2
    assert set(sent(Random, *turns * 5)) == {"large-1", "large-2", "huge"}
    assert sent(Sovereign, asked(0, "mixtral:8x22b")) == ["old"]
    assert sent(Informed, asked(0, "mixtral:8x22b")) == ["large-1"]
    sticky = [asked(0, "x:70b"), asked(1, "y:70b"), asked(299, "x:13b"), asked(900, "z:70b")]
    assert sent(Sovereign, *sticky)[2] == sent(Sovereign, *sticky)[0]


def test_ours_swaps_least_and_answers_soonest_on_the_whole_rack() -> None:
    section = compare(1)
    assert all(verdict.is_met for verdict in section.verdicts), "\n".join(map(str, section.verdicts))


def test_fake_nodes_over_sockets_agree_with_the_simulation() -> None:
    machines = (Machine("one", 60 * GB, 2, 200e9, 9000e9, 1), Machine("two", 32 * GB, 2, 200e9, 9000e9, 1))
    sizes = {"a:1b": 20 * GB, "b:1b": 30 * GB, "c:1b": 40 * GB}
    trace = make_trace(list(sizes), Load(5.0, 1.2, 0.2, 1.0, tokens=5.0), seed=4)
    thought = simulate(machines, trace, Ours(machines), sizes=sizes)
    seen = run(machines, trace, None, sizes=sizes)
    assert len(seen.whole_s) == len(trace)
    assert abs(seen.loads - thought.loads) <= 2
    assert sum(seen.whole_s) == pytest.approx(sum(thought.whole_s), rel=0.35)


def test_a_page_without_a_place_for_it_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n", "utf-8")
    assert main(["--no-sockets", "--seeds", "1", "--report", str(page)]) == 2
    assert page.read_text("utf-8") == "nothing\n"
    page.write_text("<!-- shortfalls -->\n<!-- /shortfalls -->\n<!-- rack -->\n<!-- /rack -->\n", "utf-8")
    assert main(["--no-sockets", "--seeds", "1", "--report", str(page)]) == 0
    assert "| busy | ours |" in page.read_text("utf-8")
