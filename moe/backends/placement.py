"""Which node should serve a model: a pure function of what is known of each. No clock, no I/O.

In this order: up, has the model, not in doubt; then the model in memory with a place free, then one that can begin at
once because there is room for it, then whatever costs least: waiting for others, loading, and what must leave for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

# A server that does not say how many it serves at once is taken for one that serves a few.
ASSUMED_PARALLEL = 4
IN_FLIGHT_SLACK = 2
LOAD_BYTES_PER_S = 1e9
UNKNOWN_BYTES = 20 * 10**9
ANSWER_S = 10.0
# What was used a minute ago is half as likely to be missed as what was used just now.
MISSED_HALF_S = 60.0
# A model that is larger than the memory of its node is computed by the processor in part.
TOO_LARGE = 10.0

IDLE, ROOM, COSTS, TOO_SMALL = range(4)


class Held(Struct, frozen=True, kw_only=True, gc=False):
    """A model in a node's memory, or on its way there (`is_loading`).

    `size` is what it takes of the node's memory, None where nobody says; `idle_s` for how long nobody has been served
    by it, 0 while somebody is.
    """

    size: int | None = None
    is_loading: bool = False
    idle_s: float = 0.0


class Seat(Struct, frozen=True, kw_only=True):
    """One node, seen from a request for one model; `holds` are the models in its memory by name.

    `in_flight` are served now and `waiting` wait for that, of all models; at most `max_parallel` are served at a time,
    None where nobody knows. `vram` in bytes, None likewise. `tokens_per_s` was measured for this model here.
    """

    name: str
    is_up: bool = True
    has_model: bool = True
    is_doubted: bool = False
    vram: int | None = None
    holds: Mapping[str, Held] = {}
    in_flight: int = 0
    waiting: int = 0
    max_parallel: int | None = None
    tokens_per_s: float | None = None

    @property
    def places(self) -> int:
        """How many more it would serve at once; below 1 somebody has to wait."""
        most = ASSUMED_PARALLEL if self.max_parallel is None else self.max_parallel
        return most - self.in_flight - self.waiting

    @property
    def free_bytes(self) -> int | None:
        """What none of its models takes, None where that cannot be said."""
        sizes = [held.size for held in self.holds.values()]
        if self.vram is None or any(size is None for size in sizes):
            return None
        return max(0, self.vram - sum(size for size in sizes if size is not None))


def place(seats: Iterable[Seat], model: str, *, size: int | None = None, home: str = "") -> list[Seat]:
    """The seats in the order to try for `model`, which takes `size` bytes, None where nobody knows: then it fits
    nowhere for sure. `home` is the node that served the conversation before; it is left where somebody would wait for
    that."""
    all_seats = list(seats)
    least = min((seat.in_flight + seat.waiting for seat in all_seats), default=0)

    def key(seat: Seat) -> tuple[float, ...]:
        rank, room = _rank(seat, model, size)
        held = seat.holds.get(model)
        is_home = seat.name == home and seat.places > 0 and seat.in_flight + seat.waiting <= least + IN_FLIGHT_SLACK
        cost_s = _cost_s(seat, model, size, others=all_seats) if rank >= COSTS else 0.0
        has_read = seat.name == home and held is not None and rank >= COSTS
        return (not seat.is_up, not seat.has_model, seat.is_doubted, rank, not is_home,
                held is not None and held.is_loading, cost_s, not has_read, *room,
                seat.in_flight + seat.waiting, -(seat.tokens_per_s or 0.0))

    return sorted(all_seats, key=key)


def _rank(seat: Seat, model: str, size: int | None) -> tuple[int, tuple[float, ...]]:
    """How good a seat is, and how well the model fits into its room."""
    if seat.vram is not None and size is not None and size > seat.vram and model not in seat.holds:
        return TOO_SMALL, (-seat.vram,)
    if seat.places < 1:
        return COSTS, (0.0,)
    if model in seat.holds:
        return IDLE, (0.0,)
    free = seat.free_bytes
    if size is not None and free is not None and free >= size:
        return ROOM, (free - size,)
    return COSTS, (0.0 if free is None else -free,)


def _cost_s(seat: Seat, model: str, size: int | None, *, others: Sequence[Seat]) -> float:
    """About how long a request waits there, and what it costs those whose model has to leave."""
    most = ASSUMED_PARALLEL if seat.max_parallel is None else seat.max_parallel
    wait_s = math.ceil(max(0, 1 - seat.places) / most) * ANSWER_S
    if model in seat.holds:
        return wait_s
    need = UNKNOWN_BYTES if size is None else size
    too_large = TOO_LARGE if seat.vram is not None and need > seat.vram else 1.0
    return wait_s + need / LOAD_BYTES_PER_S * too_large + _loss_s(seat, need, others=others)


def _loss_s(seat: Seat, need: int, *, others: Sequence[Seat]) -> float:
    """What it takes to bring back the models that would leave, the longest idle first, as far as they are missed."""
    free, lost_s = seat.free_bytes, 0.0
    if seat.vram is None or free is None:
        return 0.0
    for name, held in sorted(seat.holds.items(), key=lambda item: -item[1].idle_s):
        if free >= need:
            break
        size = held.size or 0
        free += size
        is_elsewhere = any(name in other.holds for other in others if other is not seat and other.is_up)
        if not is_elsewhere:
            lost_s += size / LOAD_BYTES_PER_S * MISSED_HALF_S / (MISSED_HALF_S + held.idle_s)
        if held.idle_s <= 0:  # it leaves only when it has answered
            lost_s += ANSWER_S
    return lost_s


def take_stock(
    listed: Mapping[str, int | None], *, running: Mapping[str, int], answered_at: Mapping[str, float], asked_at: float,
    now: float, sizes: Mapping[str, int | None], vram: int | None = None,
) -> dict[str, Held]:
    """What a node holds now: what it `listed` at `asked_at`, and what has happened through us since then.

    `running` counts the requests under way for each model, `answered_at` says when each last said something, `sizes`
    are those of models that are not listed. What cannot be there any more, because newer ones took its room, is not.
    """
    recent = {name for name, at in answered_at.items() if at > asked_at}
    busy = {name for name, count in running.items() if count > 0}
    held = {
        name: Held(
            size=listed.get(name) or sizes.get(name),
            is_loading=name not in listed and name not in recent,
            idle_s=0.0 if name in busy else max(0.0, now - answered_at.get(name, -math.inf)),
        )
        for name in {**listed, **dict.fromkeys(sorted(recent | busy))}
    }
    total = sum(each.size or 0 for each in held.values())
    for name in sorted(listed, key=lambda name: -held[name].idle_s):
        if vram is None or total <= vram:
            break
        if name not in busy and name not in recent:
            total -= held.pop(name).size or 0
    return held
