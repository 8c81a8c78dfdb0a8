"""Which of several nodes should serve a request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from .nodes import Node, NodeState
from .placement import Seat, place

MAX_CONVERSATIONS = 4096


class Conversations:
    """Which node last served a conversation, so that its prompt cache is met again; the oldest are forgotten.

    `choosing` is held by who chooses a node until that counts it, so that no two take the same place.
    """

    def __init__(self) -> None:
        self.choosing = threading.Lock()
        self._nodes: OrderedDict[int, str] = OrderedDict()
        self._lock = threading.Lock()

    def node_of(self, key: int) -> str:
        return self._nodes.get(key, "")

    def remember(self, key: int, url: str) -> None:
        with self._lock:
            self._nodes[key] = url
            self._nodes.move_to_end(key)
            if len(self._nodes) > MAX_CONVERSATIONS:
                self._nodes.popitem(last=False)


def rank(nodes: Iterable[Node], model: str, *, home: str = "") -> list[Node]:
    """Nodes in the order to try; `home` is the URL of the one that served the conversation before."""
    return rank_known([(node, node.state) for node in nodes], model, home=home)


def rank_known(known: Sequence[tuple[Node, NodeState]], model: str, *, home: str = "") -> list[Node]:
    """As `rank`, where the states are known already: no node is asked."""
    by_url = {node.url: node for node, _ in known}
    seats = [take_seat(node, state, model) for node, state in known]
    sizes = [size for node in by_url.values() if (size := node.size_of(model)) is not None]
    return [by_url[seat.name] for seat in place(seats, model, size=max(sizes, default=None), home=home)]


def take_seat(node: Node, state: NodeState, model: str) -> Seat:
    """The node as it is known now to a request for `model`."""
    waiting = len(node.lane.waiting)
    return Seat(
        name=node.url, is_up=state.is_up, has_model=model in state.models, is_doubted=node.is_doubted,
        vram=node.vram if state.knows_loaded else None, holds=node.held(), in_flight=max(0, node.in_flight - waiting),
        waiting=waiting, max_parallel=node.lane.limit, tokens_per_s=node.tokens_per_s(model),
    )
