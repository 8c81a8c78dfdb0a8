"""Which node serves a model, on tables; and what a node is thought to hold."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from moe.backends.placement import ASSUMED_PARALLEL, Held, Seat, place, take_stock

GB = 10**9
M = "m:70b"


def seat(name: str, *holds: str, **more: Any) -> Seat:
    """`holds` as "model size", with " loading" or " busy" behind it; a node of 96 GB that serves two at a time."""
    held = {}
    for text in holds:
        model, size, *how = text.split()
        held[model] = Held(size=None if size == "?" else int(size) * GB, is_loading="loading" in how,
                           idle_s=0.0 if how else 100.0)
    return Seat(name=name, holds=held, **{"vram": 96 * GB, "max_parallel": 2, **more})


def order(*seats: Seat, size: int | None = 40, home: str = "") -> list[str]:
    return [each.name for each in place(seats, M, size=None if size is None else size * GB, home=home)]


TABLE: list[tuple[str, list[Seat], list[str]]] = [
    ("loaded and idle before room", [seat("empty"), seat("has", f"{M} 40")], ["has", "empty"]),
    ("loaded with a place free is idle", [seat("empty"), seat("has", f"{M} 40 busy", in_flight=1)], ["has", "empty"]),
    ("room before waiting", [seat("has", f"{M} 40 busy", in_flight=2), seat("empty")], ["empty", "has"]),
    ("what is on its way is joined", [seat("empty"), seat("loads", f"{M} 40 loading", in_flight=1)],
     ["loads", "empty"]),
    ("what is there before what is on its way",
     [seat("loads", f"{M} 40 loading", in_flight=1), seat("has", f"{M} 40 busy", in_flight=1)], ["has", "loads"]),
    ("room before what must push out", [seat("full", "a 60"), seat("empty")], ["empty", "full"]),
    ("the room that fits best", [seat("wide", vram=168 * GB), seat("fits", vram=60 * GB)], ["fits", "wide"]),
    ("a full line is waited in, where everything else is worse",
     [seat("full", "a 90 busy", in_flight=2, waiting=20), seat("has", f"{M} 40 busy", in_flight=2)], ["has", "full"]),
    ("a long line is worth a load", [seat("has", f"{M} 40 busy", in_flight=2, waiting=30), seat("full", "a 90")],
     ["full", "has"]),
    ("the longest idle leaves", [
        Seat(name="new", vram=96 * GB, holds={"a": Held(size=90 * GB, idle_s=1.0)}),
        Seat(name="old", vram=96 * GB, holds={"a2": Held(size=90 * GB, idle_s=900.0)}),
    ], ["old", "new"]),
    ("idle ones leave rather than busy ones", [seat("busy", "a 90 busy", in_flight=1), seat("idle", "b 90")],
     ["idle", "busy"]),
    ("a copy that is elsewhere too is not missed",
     [seat("only", "a 90"), seat("twice", "b 90"), seat("too-small", "b 10", vram=12 * GB)],
     ["twice", "only", "too-small"]),
    ("a copy on a node that is away is missed",
     [Seat(name="late", vram=96 * GB, holds={"a": Held(size=90 * GB, idle_s=200.0)}), seat("soon", "b 90"),
      seat("away", "b 10", is_up=False)], ["late", "soon", "away"]),
    ("only as many leave as must, the longest idle first", [
        Seat(name="many", vram=96 * GB, holds={"new": Held(size=50 * GB, idle_s=1.0),
                                               "old": Held(size=40 * GB, idle_s=900.0)}),
        seat("one", "b 90"),
    ], ["many", "one"]),
    ("who has to answer first is waited for, even where a copy is elsewhere", [
        seat("busy", "a 90 busy", in_flight=1),
        Seat(name="idle", vram=96 * GB, max_parallel=2, holds={"b": Held(size=90 * GB, idle_s=1000.0)}),
        seat("too-small", "a 10", vram=12 * GB),
    ], ["idle", "busy", "too-small"]),
    ("what fits exactly fits", [seat("has", f"{M} 40 busy", in_flight=2), seat("exact", vram=40 * GB)],
     ["exact", "has"]),
    ("where it is in memory it is asked, however small the node",
     [seat("full", "a 90"), seat("small", f"{M} 30", vram=32 * GB)], ["small", "full"]),
    ("one that is too small comes after all that are not", [seat("small", vram=32 * GB), seat("full", "a 90")],
     ["full", "small"]),
    ("unknown memory is no room", [seat("unknown", vram=None), seat("empty")], ["empty", "unknown"]),
    ("nor is memory where one of unknown size stands", [seat("odd", "a ?"), seat("empty")], ["empty", "odd"]),
    ("the least busy of equals", [seat("busy", in_flight=1), seat("idle")], ["idle", "busy"]),
    ("the fastest of equals", [seat("slow", tokens_per_s=10.0), seat("fast", tokens_per_s=50.0)], ["fast", "slow"]),
    ("measured before unmeasured", [seat("unmeasured"), seat("measured", tokens_per_s=1.0)],
     ["measured", "unmeasured"]),
    ("speed breaks ties only", [seat("fast", in_flight=1, tokens_per_s=99.0), seat("idle", tokens_per_s=1.0)],
     ["idle", "fast"]),
    ("an unreachable one is last, whatever it had",
     [seat("away", f"{M} 40", is_up=False), seat("small", vram=8 * GB, in_flight=2, waiting=9)], ["small", "away"]),
    ("one without the model, after one that is doubted",
     [seat("without", has_model=False), seat("doubted", is_doubted=True)], ["doubted", "without"]),
    ("a doubted one after the others", [seat("doubted", f"{M} 40", is_doubted=True), seat("full", "a 90")],
     ["full", "doubted"]),
]


@pytest.mark.parametrize(("seats", "wanted"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_table(seats: list[Seat], wanted: list[str], *, backwards: bool) -> None:
    assert order(*(reversed(seats) if backwards else seats)) == wanted


def test_an_unknown_size_fits_nowhere_for_sure() -> None:
    empty, full = seat("empty"), seat("full", "a 95")
    assert order(full, empty, size=None) == ["empty", "full"]
    little, much = seat("little", "x 60"), seat("much", "y 10", in_flight=1)
    assert order(little, much, size=None) == ["much", "little"]
    waits = seat("waits", f"{M} 40 busy", in_flight=2)
    assert order(waits, empty, size=40) == ["empty", "waits"]
    assert order(empty, waits, size=None) == ["waits", "empty"]


def test_a_size_is_never_read_from_a_name() -> None:
    names = ["m:1b", "m:8x22b", "m:235b-a22b", "m"]
    seats = [seat("small", vram=12 * GB), seat("large", "a 90", vram=96 * GB)]
    told = [[[each.name for each in place(seats, name, size=size)] for size in (10 * GB, 50 * GB, None)]
            for name in names]
    assert told == [[["small", "large"], ["large", "small"], ["large", "small"]]] * len(names)


@pytest.mark.parametrize(("home", "more", "wanted"), [
    ("b", {}, "b"),
    ("b", {"in_flight": 1}, "b"),
    ("b", {"in_flight": 2}, "a"),
    ("b", {"in_flight": 2, "waiting": 1}, "a"),
    ("b", {"is_doubted": True}, "a"),
    ("b", {"is_up": False}, "a"),
    ("gone", {}, "a"),
])
def test_a_conversation_stays_where_nobody_has_to_wait(home: str, more: dict[str, Any], wanted: str) -> None:
    a, b = seat("a", f"{M} 40"), seat("b", f"{M} 40", **more)
    assert order(a, b, home=home)[0] == wanted


def test_a_conversation_does_not_wait_at_home_where_the_line_is_shorter_elsewhere() -> None:
    def line(name: str, waiting: int) -> Seat:
        return seat(name, f"{M} 40 busy", in_flight=2, waiting=waiting)

    assert order(line("other", 0), line("home", 2), home="home")[0] == "other"
    assert order(line("other", 0), line("home", 1), home="home")[0] == "home"
    assert order(line("other", 0), line("home", 0), home="home")[0] == "home"


def test_a_conversation_leaves_a_home_that_has_forgotten_the_model() -> None:
    assert order(seat("home", "a 90"), seat("has", f"{M} 40"), home="home")[0] == "has"
    assert order(seat("home"), seat("has", f"{M} 40"), home="home")[0] == "has"


def test_a_home_that_is_much_busier_is_left_though_it_has_a_place() -> None:
    has = {"max_parallel": 8}
    assert order(seat("a", f"{M} 40", **has), seat("b", f"{M} 40 busy", in_flight=3, **has), home="b")[0] == "a"
    assert order(seat("a", f"{M} 40", **has), seat("b", f"{M} 40 busy", in_flight=2, **has), home="b")[0] == "b"


def test_a_node_without_a_limit_is_taken_for_one_that_serves_a_few() -> None:
    assert ASSUMED_PARALLEL == 4
    free = seat("has", f"{M} 40 busy", in_flight=3, max_parallel=None)
    full = seat("has", f"{M} 40 busy", in_flight=4, max_parallel=None)
    assert order(free, seat("empty"))[0] == "has"
    assert order(full, seat("empty"))[0] == "empty"


def test_every_node_is_named_once_whatever_is_known_of_it() -> None:
    chance = random.Random(5)
    for _ in range(2000):
        seats = [
            Seat(name=str(number), is_up=chance.random() < 0.8, has_model=chance.random() < 0.8,
                 is_doubted=chance.random() < 0.2, vram=chance.choice([None, 0, 32 * GB]),
                 holds={name: Held(size=chance.choice([None, 0, 9 * GB]), is_loading=chance.random() < 0.3,
                                   idle_s=chance.choice([0.0, 5.0, math.inf]))
                        for name in chance.sample([M, "a", "b"], chance.randint(0, 3))},
                 in_flight=chance.randint(0, 5), waiting=chance.randint(0, 5),
                 max_parallel=chance.choice([None, 1, 4]), tokens_per_s=chance.choice([None, 0.0, 30.0]))
            for number in range(chance.randint(0, 5))
        ]
        told = place(seats, M, size=chance.choice([None, 0, 8 * GB, 99 * GB]), home=chance.choice(["", "0", "x"]))
        assert sorted(each.name for each in told) == [each.name for each in seats]
        ups = [each.is_up for each in told]
        assert ups == sorted(ups, reverse=True)


# What a node holds


def stock(listed: dict[str, int | None], **more: Any) -> dict[str, Held]:
    given = {"running": {}, "answered_at": {}, "asked_at": 100.0, "now": 103.0, "sizes": {}, **more}
    return take_stock(listed, **given)


def test_what_is_listed_is_held_and_has_been_idle_since_it_last_answered() -> None:
    held = stock({"a": 5, "b": 7}, answered_at={"a": 93.0})
    assert held == {"a": Held(size=5, idle_s=10.0), "b": Held(size=7, idle_s=math.inf)}


def test_what_runs_is_not_idle_and_on_its_way_until_it_is_heard_or_listed() -> None:
    held = stock({"a": 5}, running={"a": 1, "new": 2, "over": 0, "heard": 1}, answered_at={"heard": 101.0},
                 sizes={"new": 9})
    assert held == {"a": Held(size=5), "new": Held(size=9, is_loading=True), "heard": Held(size=None)}


def test_what_answered_since_the_node_was_asked_is_there() -> None:
    assert stock({}, answered_at={"old": 99.0, "new": 101.0}, sizes={"new": 9}) == {"new": Held(size=9, idle_s=2.0)}


def test_what_had_to_leave_for_it_is_not_there_any_more() -> None:
    held = stock({"a": 50, "b": 40, "c": 20}, answered_at={"a": 10.0, "b": 20.0, "new": 101.0}, sizes={"new": 30},
                 vram=100)
    assert set(held) == {"b", "new"}
    held = stock({"a": 50, "b": 40}, running={"a": 1, "new": 1}, sizes={"new": 30}, vram=100)
    assert set(held) == {"a", "new"}


def test_what_is_in_use_is_there_even_where_it_seems_too_much() -> None:
    for more in ({"running": {"a": 1, "new": 1}}, {"running": {"new": 1}, "answered_at": {"a": 101.0}}):
        assert set(stock({"a": 90}, sizes={"new": 30}, vram=100, **more)) == {"a", "new"}
    assert set(stock({"a": 50, "b": 50}, vram=100)) == {"a", "b"}
