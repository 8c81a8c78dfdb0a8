"""The rules that are compared: each sees what a router can see of the nodes, and names the one that serves."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple, Protocol

from moe.backends.placement import Seat, place
from tests.bench.rack_trace import GB, Ask, Machine


class Sight(NamedTuple):
    """What is seen when `ask` comes: a seat for each node, and what its list of models in memory last said."""

    ask: Ask
    now: float
    size: int
    seats: Sequence[Seat]
    listed: Mapping[str, Sequence[str]]


class Policy(Protocol):
    def choose(self, sight: Sight) -> str: ...

    def learn(self, ask: Ask, node: str, *, now: float) -> None:
        """The answer came from there, `now`."""


class Ours:
    """The rule of the product, with its memory of conversations."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._homes: dict[int, str] = {}

    def choose(self, sight: Sight) -> str:
        home = self._homes.get(sight.ask.conversation, "")
        return place(sight.seats, sight.ask.model, size=sight.size, home=home)[0].name

    def learn(self, ask: Ask, node: str, *, now: float) -> None:
        self._homes[ask.conversation] = node


class Former(Ours):
    """How nodes were ranked before their memory was known: free, loaded, the conversation's own, least in flight."""

    def choose(self, sight: Sight) -> str:
        home = self._homes.get(sight.ask.conversation, "")
        least = min(seat.in_flight + seat.waiting for seat in sight.seats)

        def key(seat: Seat) -> tuple[bool | int, ...]:
            busy = seat.in_flight + seat.waiting
            return (seat.in_flight >= (seat.max_parallel or busy + 1), sight.ask.model not in seat.holds,
                    not (seat.name == home and busy <= least + 2), busy)

        return min(sight.seats, key=key).name


class RoundRobin:
    """In turn, among the nodes whose whole memory is enough."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._turn = 0

    def choose(self, sight: Sight) -> str:
        fitting = _fitting(sight)
        self._turn += 1
        return fitting[self._turn % len(fitting)].name

    def learn(self, ask: Ask, node: str, *, now: float) -> None:
        """Nothing."""


class Random(RoundRobin):
    """By lot, among the nodes whose whole memory is enough."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._chance = random.Random(7)

    def choose(self, sight: Sight) -> str:
        return self._chance.choice(_fitting(sight)).name


class Sovereign:
    """MoE Sovereign's rule: the same node for a user and a model's family for 300 s; else by the size read from the
    model's name; warm and idle, warm, cold and idle, cold; then fewest models in memory for each GPU, and what is
    thought of a node's speed (read here as at most 0.3, at three seconds and above on average over 20 answers)."""

    STICKY_S, SLOW_S, PENALTY, SAMPLES = 300.0, 3.0, 0.3, 20

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._gpus = {machine.name: machine.gpus for machine in machines}
        self._sticky: dict[tuple[int, str], tuple[str, float]] = {}
        self._took: dict[str, list[float]] = {machine.name: [] for machine in machines}

    def choose(self, sight: Sight) -> str:
        key = (sight.ask.user, sight.ask.model.partition(":")[0])
        node, until = self._sticky.get(key, ("", 0.0))
        if sight.now >= until:
            node = min(self._fitting(sight), key=lambda seat: self._rank(seat, sight)).name
        self._sticky[key] = (node, sight.now + self.STICKY_S)
        return node

    def learn(self, ask: Ask, node: str, *, now: float) -> None:
        self._took[node] = [*self._took[node], now - ask.at_s][-self.SAMPLES:]

    def _fitting(self, sight: Sight) -> Sequence[Seat]:
        found = re.search(r"(\d+(?:\.\d+)?)b", sight.ask.model)
        if found is None:
            return sight.seats
        need = (float(found[1]) * 0.55 + 1.5) * GB
        return [seat for seat in sight.seats if seat.vram is not None and seat.vram >= need] or [
            max(sight.seats, key=lambda seat: seat.vram or 0)]

    def _rank(self, seat: Seat, sight: Sight) -> tuple[bool, bool, float]:
        running = sight.listed[seat.name]
        took = self._took[seat.name]
        penalty = self.PENALTY * min(1.0, fmean(took) / self.SLOW_S) if took else 0.0
        score = len(running) / self._gpus[seat.name] + penalty
        return sight.ask.model not in running, score >= 0.5, score


class Informed(Sovereign):
    """The same, were it told what each model takes."""

    def _fitting(self, sight: Sight) -> Sequence[Seat]:
        return _fitting(sight)


POLICIES: dict[str, Callable[[Sequence[Machine]], Policy]] = {
    "ours": Ours, "ours before": Former, "MoE Sovereign's rule": Sovereign,
    "MoE Sovereign's rule with true sizes": Informed, "round-robin": RoundRobin, "random": Random,
}


def _fitting(sight: Sight) -> list[Seat]:
    return [seat for seat in sight.seats if (seat.vram or math.inf) >= sight.size]
